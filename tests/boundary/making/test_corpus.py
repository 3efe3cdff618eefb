"""Slices of thinking: found in every shape of trace, cut where they say, never twice, split by problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.corpus import Corpus, Cut, Thinking, gather, problem_key_of, slices
from antiphon.boundary.making.thinking import Stretch, after_thinking, stretches
from antiphon.boundary.words import words
from antiphon.errors import UsageError

# -- where the thinking is

RESPONSES = {
    "opened and closed": ("<think>\nSo 4.\n</think>\n\nIt is 4.", "\nSo 4.\n"),
    "opened by the prompt": ("So 4.\n</think>\n\nIt is 4.", "So 4.\n"),
    "closed at the end of a line": ("<think>So 4.</think>\nIt is 4.", "So 4."),
    "spoken of before it is closed": (
        "<think>\nFirst <think>a</think> and then code.\n</think>\ncode",
        "\nFirst <think>a</think> and then code.\n",
    ),
    "only ever spoken of": ("<think>So 4.</think> It is 4.", "So 4."),
    "two blocks, of which the first is raw": ("<think>\nraw\n</think>\n<think>\nneat\n</think>\nx", "\nraw\n"),
    "harmony": (
        "<|channel|>analysis<|message|>We add.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        "We add.",
    ),
    "harmony, cut off": ("<|channel|>analysis<|message|>We add", "We add"),
    "harmony, decoded without its tokens": ("analysisWe add.assistantfinalIt is 4.", "We add."),
    "harmony, half decoded": ("<|channel|>analysis<|message|>We add.assistantfinalIt is 4.", "We add."),
    "Mistral": ("[THINK]So 4.[/THINK]\nIt is 4.", "So 4."),
    "never closed": ("<think>\nSo 4, or", "\nSo 4, or"),
    "none": ("It is 4, as `</think>` shows.", None),
    "a word that only looks like a channel": ("analysis shows that it is 4", None),
}


@pytest.mark.parametrize(("response", "thinking"), RESPONSES.values(), ids=RESPONSES)
def test_thinking_in_a_response(response: str, thinking: str | None) -> None:
    assert [found.text for found in stretches({"response": response})] == ([] if thinking is None else [thinking])


@pytest.mark.parametrize("record", [{"complete": False}, {"finish_reason": "length"}])
def test_what_was_cut_off_before_any_marker_is_all_thinking(record: dict[str, Any]) -> None:
    assert [found.text for found in stretches({"response": "So 4, or", **record})] == ["So 4, or"]


REPLIES: dict[str, tuple[Mapping[str, Any], list[str]]] = {
    "apart": ({"reasoning_content": "So 4.", "content": "4"}, ["So 4."]),
    "apart, named otherwise": ({"thinking": "So 4.", "content": "4"}, ["So 4."]),
    "inline": ({"content": "<think>So 4.</think>\n4"}, ["So 4."]),
    "a part of its own": (
        {"content": [{"type": "thinking", "thinking": "So 4."}, {"type": "text", "text": "4"}]},
        ["So 4."],
    ),
    "in parts of parts": ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "So."}]}]}, ["So."]),
    "empty": ({"reasoning_content": "", "content": "4"}, []),
    "nothing": ({"content": None}, []),
}


@pytest.mark.parametrize(("reply", "thinking"), REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", ["messages", "dialogs"])
def test_thinking_in_messages(name: str, reply: Mapping[str, Any], thinking: list[str]) -> None:
    messages = [{"role": "user", "content": "2+2?"}, {"role": "assistant", **reply}]
    assert [found.text for found in stretches({name: messages})] == thinking
    assert [found.text for found in stretches({name: json.dumps(messages)})] == thinking


def test_every_reply_of_a_conversation_has_its_thinking() -> None:
    reply = {"role": "assistant", "content": "<think>So 4.</think>\n4"}
    asked = {"role": "user", "content": "2+2?"}
    assert len(list(stretches({"messages": [asked, reply, asked, reply]}))) == 2


@pytest.mark.parametrize(
    "reply",
    ["<think>no ⟦a⟧</think>\nyes", "yes", "<|channel|>analysis<|message|>no<|end|><|channel|>final<|message|>yes"],
)
def test_what_is_written_after_thinking(reply: str) -> None:
    assert after_thinking(reply).strip() == "yes"


# -- problems


def test_samples_of_one_problem_share_its_key_whatever_they_are_called() -> None:
    asked = {"role": "user", "content": "2+2?"}
    keys = {
        problem_key_of({"id": "a", "problem": "2+2?"}),
        problem_key_of({"id": "b", "question": "2+2?"}),
        problem_key_of({"messages": [asked, {"role": "assistant", "content": "4"}]}),
        problem_key_of({"messages": [asked]}),
    }
    assert len(keys) == 1
    assert problem_key_of({"problem": "2+3?"}) not in keys
    assert problem_key_of({"problem": "2+2?", "problem_key": "k"}) == "k"
    assert problem_key_of({"id": 7, "response": "x"}) == "7"


# -- cutting

WORDS = st.text("ab⟦⟧\n 数", min_size=1, max_size=4)


def thinking(text: str, **fields: Any) -> Thinking:
    return Thinking(Stretch(f"<think>{text}</think>", 7, 7 + len(text)), "f", 1, **{"problem_key": "p", **fields})


@given(st.lists(WORDS, max_size=80).map(" ".join), st.integers(1, 6), st.integers(0, 6), st.integers(0, 3))
def test_slices_lie_apart_and_are_cut_between_words(text: str, shortest: int, more: int, seed: int) -> None:
    item = thinking(text)
    found = slices(item, Cut(shortest, shortest + more, seed))
    whole = [(7 + start, 7 + end) for start, end in words(text)]
    last = 0
    for piece in sorted(found, key=lambda piece: piece.fields["start"]):
        start, end = piece.fields["start"], piece.fields["end"]
        assert item.stretch.within[start:end] == piece.text
        assert last <= start
        assert start in [first for first, _ in whole]
        assert end in [end for _, end in whole]
        assert shortest <= len(words(piece.text)) <= shortest + more
        assert not set("⟦⟧") & set(piece.text)
        last = end
    assert len({piece.id for piece in found}) == len(found)
    assert found == slices(item, Cut(shortest, shortest + more, seed))


def test_a_thinking_just_long_enough_gives_one_slice_and_a_shorter_none() -> None:
    assert [piece.text for piece in slices(thinking("a b c"), Cut(3, 5))] == ["a b c"]
    assert not slices(thinking("a b"), Cut(3, 5))


def written(folder: Path, name: str, problems: range, **fields: Any) -> Path:
    """Traces of these problems, each of 40 words of its own."""
    path = folder / name
    records = [
        {
            "problem": f"problem {number}?",
            "response": "<think>" + " ".join(f"{name}{number}w{word}" for word in range(40)) + "</think>\nx",
            **fields,
        }
        for number in problems
    ]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


def test_where_a_slice_comes_from_is_kept(tmp_path: Path) -> None:
    said = {"model": "m", "source": "here", "licence": "MIT", "domain": "sql", "problem_key": "k"}
    path = written(tmp_path, "a.jsonl", range(1), **said)
    (piece,) = gather([path], 1, Cut(30, 40), test_share=0).slices
    assert (piece.model, piece.domain, piece.problem_key) == ("m", "sql", "k")
    assert {**piece.fields, "start": 0, "end": 0} == {
        "source": "here",
        "licence": "MIT",
        "file": str(path),
        "row": 1,
        "start": 0,
        "end": 0,
    }


def test_what_the_traces_do_not_say(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", range(1))
    (piece,) = gather([path], 1, Cut(30, 40), test_share=0, domain="math").slices
    assert (piece.model, piece.domain, piece.fields["source"]) == ("", "math", str(path))


def test_the_same_slices_in_whatever_order_the_files_come_and_more_of_them_begin_alike(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, range(6)) for name in ("a.jsonl", "b.jsonl")]

    def cut(number: int, *paths: Path, seed: int = 0) -> Corpus:
        return gather(paths, number, Cut(5, 8, seed))

    few, many, turned = cut(8, *paths), cut(20, *paths), cut(20, *paths[::-1])
    assert few.slices == many.slices[:8]
    assert many.slices == turned.slices
    assert few.tests == many.tests == turned.tests
    assert [piece.id for piece in cut(20, *paths, seed=1).slices] != [piece.id for piece in many.slices]
    assert len({(piece.fields["file"], piece.fields["row"]) for piece in many.slices[:12]}) == 12  # one of each first


def test_a_trace_that_is_there_twice_is_cut_once(tmp_path: Path) -> None:
    paths = [written(tmp_path, "a.jsonl", range(2)), tmp_path / "b.jsonl"]
    paths[1].write_bytes(paths[0].read_bytes())
    assert [p.text for p in gather(paths, 50, Cut(5, 8), test_share=0).slices] == [
        p.text for p in gather(paths[:1], 50, Cut(5, 8), test_share=0).slices
    ]


def test_problems_for_testing_are_a_share_of_them_with_all_their_traces(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, range(20)) for name in ("a.jsonl", "b.jsonl")]
    corpus = gather(paths, 400, Cut(5, 8), test_share=0.2)
    assert len(corpus.tests) == 4
    files = {piece.fields["file"] for piece in corpus.slices if piece.problem_key in corpus.tests}
    assert files == set(map(str, paths))
    assert not gather(paths, 10, Cut(5, 8), test_share=0).tests


def test_what_cannot_be_read_or_cut_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", range(5))
    lines = ['{"response": "no thinking"}', '{"response": "<think>too short</think>\\n"}', "broken", "[1]"]
    path.write_text(path.read_text("utf-8") + "\n".join(lines), "utf-8")
    corpus = gather([path], 10, Cut(5, 8))
    assert (corpus.traces, corpus.short, corpus.without) == (5, 1, 1)
    assert [fault.split(": ")[0] for fault in corpus.faults] == [f"{path}:8", f"{path}:9"]


def test_nothing_to_cut_is_said_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", range(2))
    with pytest.raises(
        UsageError, match=r"no thinking of at least 60 words in .*: with less there are 2, with none 0.*; --words"
    ):
        gather([path], 10, Cut())
    with pytest.raises(UsageError, match="there is no such file"):
        gather([tmp_path / "none.jsonl"], 10, Cut())
    with pytest.raises(UsageError, match="2 problems cannot be split into 5"):
        gather([path], 10, Cut(5, 8))


def test_published_traces_are_cut_where_their_records_say(shared: Path) -> None:
    paths = sorted((shared / "traces").glob("[cs]*.jsonl"))
    corpus = gather(paths, 400, Cut())
    assert not corpus.faults
    assert corpus.traces > 200
    assert len(corpus.slices) == 400
    lines = {str(path): path.read_bytes().split(b"\n") for path in paths}
    for piece in corpus.slices:
        record = json.loads(lines[piece.fields["file"]][piece.fields["row"] - 1])
        assert record["response"][piece.fields["start"] : piece.fields["end"]] == piece.text
        assert (piece.problem_key, piece.model) == (record["problem_key"], record["model"])
        assert "</think>\n" not in piece.text  # some think about how to write it
        assert "<|" not in piece.text.replace("<|BEGIN_CODE|>", "").replace("<|END_CODE|>", "")
