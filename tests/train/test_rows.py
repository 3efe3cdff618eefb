"""What is learned of each row, against counts made otherwise."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import UsageError
from antiphon.export.student import Student, read_student
from antiphon.export.tokens import KINDS
from antiphon.trace import Author, Kind
from antiphon.train.recipe import recipe
from antiphon.train.rows import Count, TrainingRow, training_rows
from tests.train.data import STUDENT, row, rows, tokens_row, write

ROW = row("a", "What is 12 times 3?", [(Kind.STYLE, "Okay, so"), (Kind.CAPABILITY, " units 2x3=6")], "So it is 36.")
MESSAGES = [{"role": "user", "content": "What is 12 times 3?"}]
RESPONSE = "<think>\nOkay, so units 2x3=6\n</think>\n\nSo it is 36."


def read(
    tmp_path: Path,
    made: Iterable[object],
    *,
    student: Student = STUDENT,
    limit: int = 1024,
    name: str = "data.jsonl",
    **settings: Any,
) -> tuple[list[TrainingRow], Count]:
    data, count = write(tmp_path / name, made), Count()
    return list(training_rows(data, student, recipe("lab", settings), limit, count)), count


def learned(row: TrainingRow) -> str:
    return STUDENT.vocabulary.decode(id for id, weight in zip(row.ids, row.weights, strict=True) if weight)


stretches = st.lists(
    st.tuples(
        st.lists(st.integers(0, 500), max_size=4),
        st.sampled_from([Kind.STYLE, Kind.CAPABILITY, Kind.ANSWER, Kind.MARKER]),
        st.sampled_from([Author.STUDENT, Author.TEACHER]),
    ),
    max_size=8,
)


@given(stretches, st.lists(st.integers(0, 500), max_size=4), st.sampled_from([0.1, 0.5, 1.0]))
def test_weights_equal_a_count_by_stretches(
    tmp_path_factory: pytest.TempPathFactory, response: list[Any], prompt: list[int], weight: float
) -> None:
    made = tokens_row("a", prompt, response)
    before = [0.0] * len(prompt)
    wanted: dict[str, list[float]] = {"all": list(before), "capability": list(before), "style_down": list(before)}
    wanted["answer"] = list(before)
    answering = False
    for ids, kind, _ in response:
        answering = answering or (kind is Kind.ANSWER and bool(ids))
        wanted["all"] += [1.0] * len(ids)
        wanted["capability"] += [1.0 if kind is Kind.CAPABILITY else 0.0] * len(ids)
        wanted["style_down"] += [weight if kind is Kind.STYLE else 1.0] * len(ids)
        wanted["answer"] += [1.0 if answering else 0.0] * len(ids)
    folder = tmp_path_factory.mktemp("rows")
    for loss, weights in wanted.items():
        found, count = read(folder, [made], loss=loss, style_weight=weight)
        trained = sum(one > 0 for one in weights[1:])
        if trained:
            assert list(found[0].weights) == weights
            assert (count.rows, count.tokens, count.trained) == (1, len(weights), trained)
        else:
            assert not found
            assert count.left_out == {"nothing to train on": 1}


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("all", RESPONSE + "<|im_end|>"),
        ("capability", " units 2x3=6"),
        ("style_down", RESPONSE + "<|im_end|>"),
        ("answer", "So it is 36.<|im_end|>"),
    ],
)
def test_what_each_loss_learns_of_a_trace(tmp_path: Path, loss: str, text: str) -> None:
    found, _ = read(tmp_path, [ROW], loss=loss, style_weight=0.25)
    assert learned(found[0]) == text
    if loss == "style_down":
        down = [id for id, weight in zip(found[0].ids, found[0].weights, strict=True) if weight == 0.25]
        assert STUDENT.vocabulary.decode(down) == "Okay, so"


@pytest.mark.parametrize("loss", ["all", "answer"])
def test_texts_and_conversations_become_the_rows_that_tokens_has(tmp_path: Path, loss: str) -> None:
    prompt = "<|im_start|>user\nWhat is 12 times 3?<|im_end|>\n<|im_start|>assistant\n"
    texts = {"id": "a", "prompt": prompt, "completion": RESPONSE + "<|im_end|>"}
    conversation = {"id": "a", "messages": [*MESSAGES, {"role": "assistant", "content": RESPONSE}]}
    (ours, as_texts, as_conversation), _ = read(tmp_path, [ROW, texts, conversation], loss=loss)
    for other in (as_texts, as_conversation):
        assert list(other.ids) == list(ours.ids)
        assert list(other.weights) == list(ours.weights)


def test_a_text_without_an_answer_is_left_out_of_answers(tmp_path: Path) -> None:
    found, count = read(tmp_path, [{"prompt": "a", "completion": "<think>\nnever done"}], loss="answer")
    assert not found
    assert count.left_out == {"no answer behind a closed thinking": 1}


def test_long_rows_are_left_out_or_cut_as_asked(tmp_path: Path) -> None:
    made = rows(30)
    lengths = [len(one["input_ids"]) for one in made]
    limit = sorted(lengths)[20]
    found, count = read(tmp_path, made, limit=limit)
    assert [len(one.ids) for one in found] == [length for length in lengths if length <= limit]
    assert count.left_out == {f"longer than {limit} tokens": sum(length > limit for length in lengths)}
    found, count = read(tmp_path, made, limit=limit, longer="cut")
    assert [len(one.ids) for one in found] == [min(length, limit) for length in lengths]
    assert (count.cut, count.longest) == (sum(length > limit for length in lengths), limit)


@pytest.mark.parametrize("name", ["data.jsonl.gz", "data.jsonl.zst", "data.parquet", "folder", "shards"])
def test_every_container_of_an_export_is_read(tmp_path: Path, name: str) -> None:
    import pyarrow
    import pyarrow.parquet
    import zstandard

    made = rows(3)
    lines = "".join(f"{json.dumps(one)}\n" for one in made).encode()
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines))
    elif name.endswith(".zst"):
        path.write_bytes(zstandard.compress(lines))
    elif name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(made), path)
    else:
        (path / "data").mkdir(parents=True)
        parts = [made] if name == "folder" else [made[:1], made[1:]]
        for number, part in enumerate(parts):
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), path / "data" / f"train-{number:05}.parquet")
    found = list(training_rows(path, STUDENT, recipe("lab", {}), 1024, Count()))
    assert [one.name for one in found] == [one["id"] for one in made]
    assert [list(one.ids) for one in found] == [one["input_ids"] for one in made]


def _other_student(tmp_path: Path) -> Student:
    """The embedded student with one word fewer."""
    folder = tmp_path / "other"
    shutil.copytree("src/antiphon/lab/models/student", folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    merges = tokenizer["model"]["merges"]
    tokenizer["model"]["merges"] = merges[:-1]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return read_student(str(folder))


def test_rows_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"row 1: its ids are of another tokenizer .* export again with --student"):
        read(tmp_path, [ROW], student=_other_student(tmp_path))
    with pytest.raises(UsageError, match="row 2: its ids are not those of lab:student"):
        read(tmp_path, [ROW, {**ROW, "tokenizer": None, "input_ids": [9999, *ROW["input_ids"][1:]]}])


def test_rows_that_do_not_say_whose_they_are_are_counted(tmp_path: Path) -> None:
    _, count = read(tmp_path, [ROW, {key: value for key, value in ROW.items() if key != "tokenizer"}])
    assert count.unnamed == 1


def _bare() -> Student:
    return Student("bare", STUDENT.vocabulary, STUDENT.dialect, None, "bare", "auto")


@pytest.mark.parametrize(
    ("made", "settings", "says"),
    [
        ({**ROW, "kind": [KINDS.index(Kind.THINKING)] * len(ROW["kind"])}, {"loss": "capability"}, "nobody told style"),
        ({**ROW, "kind": [KINDS.index(Kind.THINKING)] * len(ROW["kind"])}, {"loss": "style_down"}, "nobody told style"),
        ({key: ROW[key] for key in ("input_ids", "labels", "tokenizer")}, {"loss": "answer"}, "no column kind"),
        ({"prompt": "a", "completion": "b"}, {"loss": "capability"}, "loss capability needs to know who wrote"),
        ({"prompt": "a", "completion": "b"}, {"loss": "style_down"}, "only the export format tokens tells"),
        ({"text": "what?"}, {}, "neither tokens, prompt_completion nor messages"),
        ([1, 2], {}, "not an object"),
    ],
)
def test_rows_that_cannot_be_learned_from_as_asked(
    tmp_path: Path, made: object, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=f"row 2: .*{says}"):
        read(tmp_path, [ROW, made], **({"loss": "all"} if made == [1, 2] else settings))


def test_conversations_need_a_template_that_renders_thinking(tmp_path: Path) -> None:
    conversation = {"messages": [*MESSAGES, {"role": "assistant", "content": RESPONSE}]}
    with pytest.raises(UsageError, match="bare has no chat template, which messages needs"):
        read(tmp_path, [conversation], student=_bare())


def test_files_that_are_none(tmp_path: Path) -> None:
    def reading(path: Path) -> None:
        list(training_rows(path, STUDENT, recipe("lab", {}), 10, Count()))

    with pytest.raises(UsageError, match="there is no such file"):
        reading(tmp_path / "missing.jsonl")
    with pytest.raises(UsageError, match="has no files of rows"):
        reading(tmp_path)
    (tmp_path / "data.txt").write_text("x")
    with pytest.raises(UsageError, match="training data end in"):
        reading(tmp_path / "data.txt")
    (tmp_path / "torn.jsonl").write_text(json.dumps(ROW) + '\n{"id": ')
    with pytest.raises(UsageError, match=r"torn.jsonl: row 2 cannot be read"):
        list(training_rows(tmp_path / "torn.jsonl", STUDENT, recipe("lab", {}), 1024, Count()))
