"""`antiphon trace`: one trace by author and kind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status, pack_ids
from tests.cli.conftest import MODELS, Command


def test_shows_who_wrote_what(command: Command, finished: Path) -> None:
    shown = command("trace", finished, "347x6/tessy/0")
    assert (shown.code, shown.err) == (0, "")
    assert "347x6/tessy/0  complete  thinking closed by the teacher" in shown.out
    assert "What is 347 times 6?" in shown.out
    assert "[Okay, let me see] {units 7x6=42} [okay, so] {tens 4x6=24+4=28}" in shown.out
    assert "[I get 2082.]" in shown.out
    assert "[student: style, answer]   {teacher: capability}" in shown.out


def test_reads_as_the_response_without_its_marks(command: Command, finished: Path) -> None:
    response = command("trace", finished, "347x6", "--json").json["response"]
    shown = command("trace", finished, "347x6").out
    body = shown[shown.index("<think>") : shown.index("[student:")]
    assert "".join(c for c in body if c not in "[]{}").split() == response.split()


@pytest.mark.parametrize("id", ["347x6", "347x6/tessy", "347x6/tessy/0", "347"])
def test_a_beginning_that_is_enough_names_it(command: Command, finished: Path, id: str) -> None:
    assert command("trace", finished, id).out.startswith("347x6/tessy/0")


def test_several_traces_of_a_name_are_listed(command: Command, finished: Path, problems: Path) -> None:
    command("synth", problems, "--run", finished, *MODELS, "--method", "student_only")
    shown = command("trace", finished, "347x6")
    assert shown.code == 2
    assert "347x6/tessy/0" in shown.err and "347x6/student_only/0" in shown.err


def test_without_an_id_all_are_listed(command: Command, finished: Path) -> None:
    ids = ["347x6/tessy/0", "123x4/tessy/0", "588x2/tessy/0"]
    listed = command("trace", finished)
    assert (listed.code, listed.out.split(), listed.err) == (0, ids, "")
    assert command("trace", finished, "--json").json["traces"] == ids


def test_a_run_without_traces_has_an_empty_list(command: Command, tmp_path: Path) -> None:
    with Store.open(tmp_path / "run"):
        pass
    listed = command("trace", tmp_path / "run")
    assert (listed.code, listed.out, listed.err) == (0, "", "The run has no traces yet.\n")


def test_json_has_the_whole_record(command: Command, finished: Path) -> None:
    facts = command("trace", finished, "347x6", "--json").json
    assert facts["problem"]["metadata"]["answer"] == "2082"
    assert "".join(span["text"] for span in facts["spans"]) == facts["response"]
    style = facts["spans"][1]
    assert (style["author"], style["kind"], style["end"]) == ("student", "style", "boundary")
    assert [word[:2] for word in style["words"]] == [[5, True], [9, True], [12, True], [16, True]]
    assert facts["turns"][0]["cut"] and facts["usage"]["student"]["kept"] > 0


def test_any_text_can_be_shown(command: Command, tmp_path: Path) -> None:
    """What a model wrote must not steer the terminal, nor be lost."""
    text = "a\x1b[2Jb\x00c \ud800 \u202ed\u2028e [red]x[/red] 漢字かな\ttab \U0001f600"
    written(tmp_path / "run", [Span(Author.STUDENT, Kind.STYLE, text, pack_ids(), end=SpanEnd.BOUNDARY)])
    shown = command("trace", tmp_path / "run", "p")
    assert shown.code == 0
    assert "\x1b" not in shown.out and "\x00" not in shown.out and "\u202e" not in shown.out
    for part in ("a␛[2Jb␀c", "\\ud800", "\\u202ed\\u2028e", "[red]x[/red]", "漢字かな", "\U0001f600"):
        assert part in shown.out
    assert command("trace", tmp_path / "run", "p", "--json").json["response"] == text


def test_forced_words_and_pending_traces(command: Command, tmp_path: Path) -> None:
    spans = [
        Span(Author.STUDENT, Kind.STYLE, "Okay", end=SpanEnd.BOUNDARY),
        Span(Author.TEACHER, Kind.STYLE, " But", end=SpanEnd.SEAM, forced=True),
        Span(Author.STUDENT, Kind.STYLE, "ter so", end=None),
    ]
    written(tmp_path / "run", spans, status=None)
    shown = command("trace", tmp_path / "run", "p").out
    assert "pending" in shown
    assert "[Okay] *{But}*[ter so]" in shown
    assert "*{teacher: forced}*" in shown


def written(directory: Path, spans: list[Span], status: Status | None = Status.COMPLETE) -> None:
    key = Key("p", "tessy", 0)

    async def write(store: Store) -> None:
        recorder = store.recorder(key)
        for index, span in enumerate(spans):
            recorder.close_span(index, span)
        if status is not None:
            await recorder.finish(status)

    with Store.open(directory) as store:
        store.add_problems([Problem("p", ({"role": "user", "content": "?"},))])
        store.add_variant("tessy", {}, {})
        store.plan([key])
        asyncio.run(write(store))
