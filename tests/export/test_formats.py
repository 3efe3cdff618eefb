"""What each format makes of a trace, for students with real templates and for such as have none."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.dialect import text_of
from antiphon.dialect.template import ChatTemplate
from antiphon.errors import UsageError
from antiphon.export import write
from antiphon.export.container import rows
from antiphon.export.file import DATA
from antiphon.export.messages import SPELLED
from antiphon.export.rendering import MOVED
from antiphon.export.student import read_student
from antiphon.export.tokens import AT_SEAMS, AUTHORS, KINDS, TRAINED, WITHIN
from antiphon.export.verl import as_it_is
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Trace, pack_ids
from tests.export.fake import problem
from tests.export.record import record

LAB = read_student("lab:student")
PROMPT = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n"
OPEN, CLOSE = "<think>\n", "\n</think>\n\n"


def span(text: str, author: Author, kind: Kind, *, letters: bool = False) -> Span:
    """A span; its ids are the lab student's, of the text at once or of each character by itself."""
    if author is not Author.STUDENT:
        return Span(author, kind, text, pack_ids([1] * len(text)), IdsFrom.SAMPLED, SpanEnd.BOUNDARY)
    parts = list(text) if letters else [text]
    ids = pack_ids(id for part in parts for id in LAB.vocabulary.encode(part))
    return Span(author, kind, text, ids, IdsFrom.SAMPLED, SpanEnd.BOUNDARY)


def marker(text: str) -> Span:
    return Span(Author.NONE, Kind.MARKER, text, end=SpanEnd.SEAM)


def answered(
    *thinking: str, answer: str = "2.", open: str = OPEN, close: str = CLOSE, sample: int = 0, letters: bool = False
) -> Trace:
    """A whole trace whose thinking is the student's and the teacher's in turn."""
    voices = ((Author.STUDENT, Kind.STYLE), (Author.TEACHER, Kind.CAPABILITY))
    spans = [span(text, *voices[n % 2], letters=letters) for n, text in enumerate(thinking)]
    last = [span(answer, Author.STUDENT, Kind.ANSWER)] if answer else []
    return Trace(Key("p", "tessy", sample), (marker(open), *spans, marker(close), *last), Status.COMPLETE)


def of_lab(folder: Path, *traces: Trace, problems: tuple[Problem, ...] = ()) -> Path:
    return record(folder / "run", traces, student="lab:student", tokenizer=LAB.vocabulary.digest, problems=problems)


def exported(run: Path, format: str, *, to: str = "x.jsonl", **how: Any) -> tuple[Any, list[dict[str, Any]]]:
    """What an export says, and its rows; what an earlier one left is replaced."""
    with Reader(run) as reader:
        done = write(reader, format, run.parent / to, overwrite=True, **how)
    file = done.path / DATA if done.path.is_dir() else done.path
    return done, list(rows(file, file.name))


# -- tokens


def test_tokens_are_those_that_the_student_saw(tmp_path: Path) -> None:
    run = of_lab(tmp_path, answered("Hmm, let me see", " 1+1=2", " okay", letters=True))
    done, (row,) = exported(run, "tokens")
    ids, labels, encode = row["input_ids"], row["labels"], LAB.vocabulary.encode
    assert LAB.vocabulary.decode(ids) == f"{PROMPT}{OPEN}Hmm, let me see 1+1=2 okay{CLOSE}2.<|im_end|>"
    trained = ids[len(ids) - done.counts[TRAINED] :]
    assert labels == [-100] * (len(ids) - len(trained)) + trained
    assert row["assistant_masks"] == [int(label != -100) for label in labels]
    own = [id for text in ("Hmm, let me see", " okay") for letter in text for id in encode(letter)]
    pairs = [(AUTHORS[author], KINDS[kind]) for author, kind in zip(row["author"], row["kind"], strict=True)]
    style = [id for id, pair in zip(ids, pairs, strict=True) if pair == (Author.STUDENT, Kind.STYLE)]
    assert style == own, "the student's ids are the sampled ones"
    work = [id for id, pair in zip(ids, pairs, strict=True) if pair == (Author.TEACHER, Kind.CAPABILITY)]
    assert work == list(encode(" 1+1=2")), "the teacher's text is encoded"
    assert pairs[0] == (Author.NONE, "prompt") and pairs[-1] == (Author.NONE, Kind.MARKER)
    assert done.counts[WITHIN] + done.counts[AT_SEAMS] > 0


def test_tokens_unlike_a_fresh_tokenisation_are_counted(tmp_path: Path) -> None:
    whole = of_lab(tmp_path / "a", answered("Okay, so"))
    assert {exported(whole, "tokens")[0].counts[name] for name in (AT_SEAMS, WITHIN)} == {0}
    seam = of_lab(tmp_path / "b", answered("to", "tal"))
    counts = exported(seam, "tokens")[0].counts
    parts = [*LAB.vocabulary.encode("to"), *LAB.vocabulary.encode("tal")]
    assert 0 < counts[AT_SEAMS] <= len(parts) and counts[WITHIN] == 0
    sampled = of_lab(tmp_path / "c", answered("total", letters=True))
    counts = exported(sampled, "tokens")[0].counts
    assert counts[AT_SEAMS] == 0 < counts[WITHIN] <= len("total")


TEXTS = st.lists(st.text(st.sampled_from("ab1 \n+é漢😀<|>"), min_size=1, max_size=8), max_size=5)


@given(TEXTS, st.booleans())
@settings(max_examples=12)
def test_any_spans_are_ids_that_spell_them(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], own: bool
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    trace = answered(*texts)
    run = record(folder / "run", [trace], student="lab:student", tokenizer=LAB.vocabulary.digest if own else "")
    _, (row,) = exported(run, "tokens", student="lab:student")
    ids = [id for id, mask in zip(row["input_ids"], row["assistant_masks"], strict=True) if mask]
    assert LAB.vocabulary.decode(ids) == trace.response + "<|im_end|>"
    assert len({len(row[name]) for name in ("input_ids", "attention_mask", "labels", "author", "kind")}) == 1
    student = [id for id, author in zip(row["input_ids"], row["author"], strict=True) if AUTHORS[author] == "student"]
    if own:  # else all is encoded anew, and a token may hold the end of one span and the beginning of the next
        assert LAB.vocabulary.decode(student) == "".join(s.text for s in trace.spans if s.author is Author.STUDENT)


def test_other_ids_than_the_students_are_not_taken_over(tmp_path: Path) -> None:
    trace = Trace(
        Key("p", "tessy", 0),
        (Span(Author.STUDENT, Kind.THINKING, "abc", pack_ids([9999]), IdsFrom.SAMPLED, SpanEnd.END_OF_TURN),),
        Status.COMPLETE,
    )
    run = record(tmp_path / "run", [trace], student="lab:student", tokenizer="another")
    with pytest.raises(UsageError, match="another tokenizer than the run's student had; give --student MODEL"):
        exported(run, "tokens")
    _, (row,) = exported(run, "tokens", student="lab:student")
    assert LAB.vocabulary.decode(row["input_ids"]) == f"{PROMPT}abc<|im_end|>"


# -- texts for a trainer


def test_prompt_and_completion_are_what_the_student_reads(tmp_path: Path) -> None:
    _, (row,) = exported(of_lab(tmp_path, answered("So ", "2")), "prompt_completion")
    assert (row["prompt"], row["completion"]) == (PROMPT, f"{OPEN}So 2{CLOSE}2.<|im_end|>")


def test_sharegpt_is_what_llama_factory_takes(tmp_path: Path) -> None:
    _, (row,) = exported(of_lab(tmp_path, answered("So ", "2")), "sharegpt", to="data")
    assert row["system"] == "Be brief."
    assert row["conversations"] == [
        {"from": "human", "value": "1+1?"},
        {"from": "gpt", "value": f"{OPEN}So 2{CLOSE}2."},
    ]
    (about,) = json.loads((tmp_path / "data" / "dataset_info.json").read_text()).items()
    assert about[0] == "data" and (tmp_path / "data" / about[1]["file_name"]).is_file()


def test_sharegpt_leaves_out_what_does_not_take_turns(tmp_path: Path) -> None:
    twice = Problem("p", ({"role": "user", "content": "1+1?"}, {"role": "user", "content": "Well?"}))
    done, _ = exported(of_lab(tmp_path, answered("2"), problems=(twice,)), "sharegpt")
    assert done.left_out == {"user and assistant do not take turns": 1}


def test_verl_has_both_of_its_shapes(tmp_path: Path) -> None:
    _, (row,) = exported(of_lab(tmp_path, answered("So ", "2")), "verl", to="data")
    assert row["messages"][-1] == {"role": "assistant", "content": f"{OPEN}So 2{CLOSE}2."}
    assert row["prompt"] == list(problem().messages)
    assert row["reward_model"] == {"style": "rule", "ground_truth": "2"}
    template = as_it_is(LAB.dialect)
    assert template is not None and json.dumps(template) in (tmp_path / "data" / "verl.yaml").read_text()
    rendered = [ChatTemplate(template, {}, {}).render([message], reply=False) for message in row["messages"]]
    assert "".join(rendered) == f"{PROMPT}{OPEN}So 2{CLOSE}2.<|im_end|>\n", "each message alone"


def test_parquet_holds_the_whole_record(tmp_path: Path) -> None:
    trace = answered("So ", "2")
    _, (row,) = exported(of_lab(tmp_path, trace), "parquet", to="x.parquet")
    assert [one["text"] for one in row["spans"]] == [one.text for one in trace.spans]
    assert [one["ids"] for one in row["spans"]] == [list(one.ids) for one in trace.spans]
    assert (row["thinking"], row["answer"]) == ("So 2", "2.")
    assert json.loads(row["metadata"]) == problem().metadata


def test_tessy_written_read_and_written_is_equal(tmp_path: Path) -> None:
    traces = [answered("So ", "2"), answered(answer="<b>\u2028é", sample=1), answered(" \n", answer="", sample=2)]
    exported(of_lab(tmp_path / "a", *traces), "tessy")
    again, problems = [], []
    for number, row in enumerate(rows(tmp_path / "a" / "x.jsonl", "x.jsonl")):
        *asked, reply = row["dialogs"]
        problems.append(Problem(row["id_ddm"], tuple(asked)))
        spans = (Span(Author.UNKNOWN, Kind.ANSWER, reply["content"]),)
        again.append(Trace(Key(row["id_ddm"], "imported", number), spans, Status.COMPLETE))
    exported(record(tmp_path / "b" / "run", again, problems=problems), "tessy")
    assert (tmp_path / "a" / "x.jsonl").read_bytes() == (tmp_path / "b" / "x.jsonl").read_bytes()


# -- what does not go into every format


@pytest.mark.parametrize("text", ["a <|im_end|> b", "```\n</think>\n```", "<think>"])
def test_control_tokens_in_a_response_stay_letters_or_are_left_out(tmp_path: Path, text: str) -> None:
    run = of_lab(tmp_path, answered("So ", text), answered("fine", sample=1))
    for format in ("messages", "prompt_completion", "sharegpt"):
        done, read = exported(run, format)
        assert (done.left_out, len(read)) == ({"spells control tokens": 1}, 1)
    done, read = exported(run, "tokens")
    assert done.rows == 2
    assert read[0]["input_ids"].count(LAB.vocabulary.controls["</think>"]) == 1, "the others are letters"
    assert exported(run, "tessy")[0].rows == 2


def test_control_tokens_in_a_prompt_are_counted(tmp_path: Path) -> None:
    asked = Problem("p", ({"role": "user", "content": "What does <|im_end|> do?"},))
    run = of_lab(tmp_path, answered("So ", "2"), problems=(asked,))
    for format in ("messages", "prompt_completion"):
        assert exported(run, format)[0].counts[SPELLED] == 1


def test_an_empty_answer_is_kept_and_an_empty_response_is_not(tmp_path: Path) -> None:
    empty = Trace(Key("p", "tessy", 1), (), Status.COMPLETE)
    run = of_lab(tmp_path, answered("So", answer=""), empty)
    for format in ("messages", "prompt_completion", "tokens", "sharegpt", "axolotl"):
        done, _ = exported(run, format)
        assert (done.rows, done.left_out) == (1, {"nothing to train on": 1}), format
    for format in ("verl", "parquet"):
        assert exported(run, format, to="x.parquet")[0].rows == 1 + (format == "parquet")


def test_a_lone_surrogate_is_in_json_lines_only(tmp_path: Path) -> None:
    run = of_lab(tmp_path, answered("So \ud800"), answered("fine", sample=1))
    done, _ = exported(run, "messages")
    assert (done.rows, done.unpaired) == (2, 1)
    for format in ("messages", "tessy", "parquet", "verl"):
        done, _ = exported(run, format, to="x.parquet")
        assert (done.rows, done.left_out) == (1, {"lone surrogate": 1})
    done, _ = exported(run, "tokens")
    assert done.left_out == {"the tokenizer cannot write it": 1}


@pytest.mark.slow
def test_a_trace_of_200_000_tokens(tmp_path: Path) -> None:
    long = answered(*["okay so " * 50] * 2_000)
    done, (row,) = exported(of_lab(tmp_path, long), "tokens", to="x.parquet", max_length=100_000)
    assert len(row["input_ids"]) == done.lengths.longest >= 200_000
    assert exported(tmp_path / "run", "messages")[1][0]["messages"][-1]["content"] == long.response


# -- students


def a_student(folder: Path, template: str | None) -> str:
    """The lab student's tokenizer in a folder of its own, with another template."""
    folder.mkdir()
    lab = Path(str(files("antiphon") / "lab" / "models" / "student"))
    shutil.copy(lab / "tokenizer.json", folder)
    settings = json.loads((lab / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return str(folder)


DROPS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REFUSES = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}"
    "{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "has no chat template, which messages needs; take prompt_completion or tokens"),
        (DROPS, "messages would lose the thinking: the chat template leaves the thinking out"),
        (REFUSES, "messages would lose the thinking: the chat template refuses the conversation"),
    ],
)
def test_a_template_that_cannot_render_thinking_refuses_messages(
    tmp_path: Path, template: str | None, says: str
) -> None:
    run = of_lab(tmp_path, answered("So ", "2"))
    student = a_student(tmp_path / "other", template)
    with pytest.raises(UsageError) as caught:
        exported(run, "messages", student=student)
    assert says in str(caught.value)
    assert exported(run, "prompt_completion", student=student)[0].rows == 1
    assert exported(run, "tokens", student=student)[0].rows == 1
    assert exported(run, "tessy", student=student)[0].rows == 1


def test_white_space_that_a_template_moves_is_counted(tmp_path: Path) -> None:
    run = of_lab(tmp_path, answered("So \n\n", "2"), answered("So", "\n\n", answer="\n2.", sample=1))
    done, read = exported(run, "messages")
    assert (done.rows, done.counts[MOVED]) == (2, 1)
    assert [row["messages"][-1]["content"] for row in read] == [f"{OPEN}So \n\n2{CLOSE}2.", f"{OPEN}So\n\n{CLOSE}\n2."]


def test_without_a_student_nothing_is_rendered_and_it_says_so(tmp_path: Path) -> None:
    run = record(tmp_path / "run", [answered("So ", "2")])
    done, _ = exported(run, "messages")
    assert (done.student, done.unchecked) == ("", "the run tells of no student")
    for format in ("tokens", "prompt_completion"):
        with pytest.raises(UsageError, match=f"{format}: the student's tokenizer is needed, and the run tells of no"):
            exported(run, format)
    with pytest.raises(UsageError, match="lengths: the student's tokenizer is needed"):
        exported(run, "tessy", max_length=10)
    away = record(tmp_path / "far" / "run", [answered("So ", "2")], student="http://gpu-1:8000/v1")
    assert "http://gpu-1:8000/v1 is not on this machine" in exported(away, "messages")[0].unchecked
    with pytest.raises(UsageError, match="there is no such folder or file"):
        exported(run, "messages", student=str(tmp_path / "none"))


@pytest.mark.slow  # real tokenizers take seconds to read
@pytest.mark.parametrize(
    ("model", "open", "close", "field"),
    [
        ("qwen3", OPEN, CLOSE, None),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "thinking",
        ),
    ],
)
def test_real_templates_give_the_response_back(
    tmp_path: Path, shared: Path, model: str, open: str, close: str, field: str | None
) -> None:
    student = str(shared / "tokenizers" / model)
    run = record(tmp_path / "run", [answered("So 漢 ", "2 </b>", open=open, close=close)])
    for format in ("messages", "axolotl", "verl"):
        done, (row,) = exported(run, format, to="x.parquet", student=student)
        reply = row["messages"][-1]
        assert (reply["content"], reply.get(field or "")) == (
            ("2.", "So 漢 2 </b>") if field else (f"{open}So 漢 2 </b>{close}2.", None)
        )
        assert done.counts[MOVED] == 0
    for format in ("prompt_completion", "tokens"):
        assert exported(run, format, student=student)[0].rows == 1
    frame = as_it_is(read_student(student).dialect)
    assert (frame is None) == (model == "gpt-oss")


@pytest.mark.slow  # real tokenizers take seconds to read
def test_a_prompt_that_opens_the_thinking_has_the_opening(tmp_path: Path, shared: Path) -> None:
    student = str(shared / "tokenizers" / "r1-distill-qwen")
    run = record(tmp_path / "run", [answered("So ", "2")])
    for format in ("messages", "axolotl", "verl"):
        with pytest.raises(UsageError, match=f"{format} would lose the thinking"):
            exported(run, format, to="x.parquet", student=student)
    _, (row,) = exported(run, "prompt_completion", student=student)
    assert row["prompt"].endswith(f"<｜Assistant｜>{OPEN}")
    assert not row["prompt"].startswith("<｜begin"), "the tokenizer adds it by itself"
    assert row["completion"] == f"So 2{CLOSE}2.<｜end▁of▁sentence｜>"
    _, (row,) = exported(run, "tokens", student=student)
    vocabulary = read_student(student).vocabulary
    trained = [id for id, mask in zip(row["input_ids"], row["assistant_masks"], strict=True) if mask]
    assert vocabulary.decode(trained) == f"So 2{CLOSE}2.<｜end▁of▁sentence｜>"
    assert vocabulary.decode(row["input_ids"]).startswith("<｜begin▁of▁sentence｜>Be brief.<｜User｜>1+1?")


# -- lengths


def test_lengths_are_counted_and_longer_rows_left_out_where_asked(tmp_path: Path) -> None:
    run = of_lab(tmp_path, answered("So ", "2"), answered(*["okay so "] * 40, sample=1))
    done, _ = exported(run, "messages", max_length=60)
    lengths = done.lengths
    assert (done.rows, lengths.rows, lengths.longer) == (2, 2, 1)
    assert sum(lengths.histogram.values()) == 2
    assert all(count == 0 or least <= lengths.longest for (least, _), count in lengths.histogram.items())
    done, read = exported(run, "messages", max_length=60, drop_longer=True)
    assert (done.rows, done.left_out, done.lengths.longer) == (1, {"longer than --max-length": 1}, 0)
    done, (row,) = exported(run, "tokens", max_length=60, drop_longer=True)
    assert len(row["input_ids"]) == done.lengths.longest == done.lengths.tokens
    text = text_of(LAB.dialect.render(problem().messages)) + read[0]["messages"][-1]["content"] + LAB.end
    assert LAB.count(text) == done.lengths.longest
