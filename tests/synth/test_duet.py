"""Named cases of one trace (docs/method.md)."""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from typing import Any

import pytest

from antiphon.engine.scripted import Fault, Script, ScriptedEngine
from antiphon.errors import EngineUnavailable
from antiphon.synth.ahead import RunAhead
from antiphon.synth.duet import Duet
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Listener
from antiphon.trace import Author, IdsFrom, Kind, SpanEnd, Status, unpack_words
from tests.synth.duets import (
    ANSWER,
    CLOSE,
    END,
    KEY,
    PROBLEM,
    after,
    duet,
    in_turn,
    is_style,
    perform,
    spans,
)
from tests.synth.invariants import check


def test_a_trace_in_turns() -> None:
    composed = duet(
        in_turn(["Okay,", " So", " two", " plus"], [" Wait,", " four", " is"], ANSWER),
        in_turn([" two", " plus", " two", ".\n\n", "But", " then"], [" four", " it", " is", "\n", CLOSE]),
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder) == [
        ("student", "style", "Okay, So"),
        ("teacher", "capability", " two plus two.\n\n"),
        ("student", "style", " Wait,"),
        ("teacher", "capability", " four it is\n"),
        ("student", "answer", "It is 4."),
    ]
    assert [span.end for span in recorder.spans[1:-2]] == [SpanEnd.BOUNDARY] * 3 + [SpanEnd.THINK_CLOSE]
    assert recorder.spans[-2].text == "</think>\n\n"  # the line break before it was there already
    assert recorder.closed_by is Author.TEACHER
    assert recorder.spans[1].ids_from is IdsFrom.SAMPLED
    assert [word.end for word in unpack_words(recorder.spans[1].words)] == [5, 8]


def test_usage_counts_what_was_thrown_away() -> None:
    composed = duet(in_turn(["Okay,", " two", " plus"], ANSWER), in_turn([" two", CLOSE]))
    _, recorder = perform(composed)
    student = recorder.usage[Author.STUDENT]
    assert (student.requests, student.received, student.kept, student.thrown_away) == (2, 6, 4, 2)
    assert [(t.role, t.received, t.kept, t.words, t.cut) for t in recorder.turns] == [
        (Author.STUDENT, 3, 1, 1, True),
        (Author.TEACHER, 1, 1, 1, False),
        (Author.STUDENT, 3, 3, 0, False),
    ]


def test_rejected_text_is_kept_only_when_asked() -> None:
    def says() -> tuple[Script, Script]:
        return in_turn(["Okay,", " two", " plus"], ANSWER), in_turn([" two", CLOSE])

    _, recorder = perform(duet(*says(), keep_rejected=True))
    assert [turn.rejected for turn in recorder.turns] == [" two plus", None, None]
    _, recorder = perform(duet(*says()))
    assert [turn.rejected for turn in recorder.turns] == [None, None, None]


def test_a_blank_token_before_a_cut_is_rolled_back_and_line_breaks_stay() -> None:
    composed = duet(
        in_turn(["Okay,", " ", "1", "9", "6", " "], [" Wait", " 4 ", " 5"], ANSWER),
        in_turn(["196", " is", "\n", "\n", " ", "But", " "], [" 4", CLOSE]),
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:3] == [
        ("student", "style", "Okay,"),
        ("teacher", "capability", "196 is\n\n"),
        ("student", "style", " Wait"),
    ]


def test_a_cut_inside_a_token_encodes_the_kept_text_anew() -> None:
    composed = duet(in_turn(["Okay 4", " is", " x"], ANSWER), in_turn([" four", CLOSE]))
    _, recorder = perform(composed)
    kept = recorder.spans[1]
    assert (kept.text, kept.reencoded) == ("Okay", True)
    assert composed.voices[Author.STUDENT].engine.vocabulary.decode(kept.ids) == "Okay"


def test_a_cut_inside_a_character_waits_for_the_whole_of_it() -> None:
    half, rest = "é".encode()[:1], "é".encode()[1:]
    smile = "😀".encode()
    composed = duet(
        in_turn(["Okay", b" ", smile[:3], smile[3:], " x"], [" Wait", " x"], ANSWER),
        in_turn([" caf", half, rest, " x", " Wait", " x"], [" x", CLOSE]),
        student_is={"chunk": 3},
        teacher_is={"chunk": 2},
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:2] == [("student", "style", "Okay"), ("teacher", "capability", " café x")]
    assert len(recorder.spans[2].ids) == 4
    assert "\ufffd" not in "".join(span.text for span in recorder.spans)


def test_a_request_too_short_for_a_character_asks_for_more() -> None:
    smile = "😀".encode()
    thinking, answer = after("<think>\n", ["Okay", " 4"]), after("</think>\n\n", ANSWER)
    composed = duet(
        lambda here: answer(here) if "</think>" in here.text else thinking(here),
        after("Okay", [" 4", smile[:1], smile[1:3], smile[3:], " x", CLOSE]),
        run_ahead=RunAhead(1),
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[1] == ("teacher", "capability", " 4😀 x")


def test_two_refusals_in_a_row_force_the_less_sure_author() -> None:
    def confidence(word: str) -> float:
        return {"But": 0.9, "196": 0.6}.get(word, 1.0)

    composed = duet(
        in_turn(["Okay,", " 196", " is"], ["196", " is", " x"], [" Wait", " x", " y"], ANSWER),
        in_turn(["But", " then", " x"], [" is", " it", " Wait", " x"], ["x", CLOSE]),
        confidence=confidence,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:3] == [
        ("student", "style", "Okay,"),
        ("student", "capability", "196"),  # forced
        ("teacher", "capability", " is it"),
    ]
    forced = recorder.spans[2]
    assert (forced.forced, forced.end, round(forced.confidence or 0, 2)) == (True, SpanEnd.SEAM, 0.6)
    written = recorder.turns[3]
    assert (written.role, written.words, written.kept, written.cut) == (Author.STUDENT, 1, 1, False)
    assert (written.requests, written.asked, written.received, written.seconds) == (0, 0, 0, 0.0)
    total = sum(turn.received - turn.kept for turn in recorder.turns if turn.role is Author.STUDENT)
    assert total == recorder.usage[Author.STUDENT].thrown_away


def test_a_tie_of_refusals_is_the_students() -> None:
    composed = duet(
        in_turn(["Okay,", " 196", " is"], ["196", " is", " x"], ANSWER),
        in_turn(["But", " then", " x"], [" is", CLOSE]),
    )
    _, recorder = perform(composed)
    assert recorder.spans[2].author is Author.STUDENT
    assert recorder.spans[2].forced


def test_a_forced_word_is_the_teachers_where_it_was_less_sure() -> None:
    composed = duet(
        in_turn(["Okay,", " 196", " is"], ["196", " is", " x"], [" Wait", " 4", " x"], ANSWER),
        in_turn(["But", " then", " x"], [" four", CLOSE]),
        confidence=lambda word: 0.5 if word == "But" else 0.9,
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[:3] == [
        ("student", "style", "Okay,"),
        ("teacher", "style", "But"),
        ("student", "style", " Wait"),  # the turn passed on
    ]


def test_a_refused_word_is_read_to_its_end_before_it_is_forced() -> None:
    composed = duet(
        in_turn(["Okay,", " 1"], ["1", "9", "6", " is"], ANSWER),
        in_turn(["B", "ut", " then"], [" is", CLOSE]),
        lookahead=-1,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[1] == ("student", "capability", "196")


def test_a_broken_stream_with_two_words_of_lookahead_goes_on_from_what_was_received() -> None:
    requests: list[str] = []

    def breaks(request: Any) -> Fault | None:
        requests.append(request.situation.text)
        return Fault("break", after=2) if len(requests) < 3 else None

    thinking = after("<think>\n", ["Okay,", " So", " Then", " Now", " four", " five", " six"])
    answering = in_turn(ANSWER)
    composed = duet(
        lambda here: answering(here) if "</think>" in here.text else thinking(here),
        in_turn([" four", CLOSE]),
        lookahead=2,
        student_is={"faults": breaks},
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[0] == ("student", "style", "Okay, So Then Now")
    assert [asked[asked.rfind("\n") + 1 :] for asked in requests[:3]] == ["", "Okay, So", "Okay, So Then Now"]
    assert recorder.turns[0].requests == 3


def test_breaks_are_capped_and_then_fail_the_trace() -> None:
    composed = duet(
        in_turn(*[["Okay,"]] * 9),
        in_turn(),
        student_is={"faults": lambda request: Fault("break", after=0)},
        breaks=3,
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.FAILED
    assert "closed the stream" in recorder.cause


def test_a_refused_request_fails_the_trace_with_its_cause() -> None:
    composed = duet(in_turn(["Okay"]), in_turn(), student_is={"faults": lambda request: Fault("refuse")})
    ending, recorder = perform(composed)
    assert ending.status is Status.FAILED
    assert recorder.cause == "student refused the request"


def test_an_engine_that_is_gone_leaves_the_trace_pending() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"]), in_turn([" 4"]), teacher_is={"faults": lambda request: Fault("gone")}
    )
    recorder = MemoryRecorder()
    with pytest.raises(EngineUnavailable):
        perform(composed, recorder=recorder)
    assert recorder.status is None
    assert spans(recorder) == [("student", "style", "Okay,")]


def test_an_engine_that_is_gone_in_the_middle_of_a_span_leaves_what_was_settled_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.synth.passage._SETTLE_EVERY", -1.0)
    composed = duet(
        in_turn(["Okay,", " So", " th"]), in_turn(), student_is={"faults": lambda request: Fault("gone", after=3)}
    )
    recorder = MemoryRecorder()
    with pytest.raises(EngineUnavailable):
        perform(composed, recorder=recorder)
    assert [(span.text, span.end) for span in recorder.spans[1:]] == [("Okay,", None)]


@pytest.mark.parametrize("fault", [None, Fault("refuse"), Fault("gone")])
def test_both_voices_let_go_of_what_they_hold_however_a_trace_ends(
    fault: Fault | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Any] = []

    async def opened(engine: ScriptedEngine, parts: Any, open_: Any = ScriptedEngine.open) -> Any:
        sequence = await open_(engine, parts)
        held.append(sequence)

        async def close() -> None:
            held.remove(sequence)

        sequence.close = close
        return sequence

    monkeypatch.setattr(ScriptedEngine, "open", opened)
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" 4", CLOSE]), teacher_is={"faults": lambda request: fault}
    )
    with contextlib.suppress(EngineUnavailable):
        perform(composed)
    assert held == []


def test_bytes_that_are_not_utf8_are_not_kept() -> None:
    composed = duet(in_turn(["Okay", b"\xff", " So"], [" So", " 4", " x"], ANSWER), in_turn([" 4", CLOSE]))
    _, recorder = perform(composed)
    assert spans(recorder)[0] == ("student", "style", "Okay So")
    assert recorder.turns[0].requests == 2


def test_a_model_that_writes_the_replacement_character_keeps_it() -> None:
    composed = duet(in_turn(["Okay", " 4", " x"], ANSWER), in_turn([" 4", "\ufffd", CLOSE]))
    _, recorder = perform(composed)
    assert spans(recorder)[1] == ("teacher", "capability", " 4\ufffd")


# -- what else a trace carries


def test_seeds_differ_by_request_and_are_the_same_in_every_run() -> None:
    def seeds(seed: int | None) -> list[int | None]:
        seen: list[int | None] = []
        composed = duet(in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" four", CLOSE]), seed=seed)
        recorder = MemoryRecorder()
        original = Duet(composed, PROBLEM, KEY, recorder)
        seen_seeds = original._stage._seeds

        def watch() -> Any:
            for value in seen_seeds:
                seen.append(value)
                yield value

        original._stage._seeds = watch()
        asyncio.run(original.write())
        return seen

    first, again, other = seeds(7), seeds(7), seeds(8)
    assert first == again
    assert len(set(first)) == len(first) == 3
    assert set(first).isdisjoint(other)
    assert all(isinstance(value, int) and 0 <= value < 2**32 for value in first)
    assert seeds(None) == [None, None, None]


def test_a_listener_hears_what_is_proposed_kept_and_rolled_back() -> None:
    events: list[tuple[str, str]] = []

    class Ear(Listener):
        def proposed(self, author: Author, kind: Kind, text: str) -> None:
            events.append(("proposed", text))

        def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
            events.append(("kept", text))

        def rolled_back(self, author: Author, text: str) -> None:
            events.append(("rolled back", text))

    perform(duet(in_turn(["Okay,", " 4", " x"], [END]), in_turn([" four", CLOSE]), listener=Ear()))
    assert events == [
        ("kept", "<think>\n"),
        ("proposed", "Okay,"),
        ("proposed", " 4"),
        ("proposed", " x"),
        ("kept", "Okay,"),
        ("rolled back", " 4 x"),
        ("proposed", " four"),
        ("kept", " four"),
        ("kept", "\n</think>\n\n"),
    ]


def test_text_is_stored_as_its_author_wrote_it() -> None:
    decomposed = unicodedata.normalize("NFD", " café")
    composed = duet(in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([decomposed, CLOSE]))
    _, recorder = perform(composed)
    assert recorder.spans[2].text == decomposed


def test_a_loop_of_words_of_several_tokens_ends_between_words() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"]), in_turn([" re", "pe", "ti", "tion", "s", ".\n"] * 900), lookahead=2)
    ending, recorder = perform(composed)
    assert ending.status is Status.REPETITION
    check(recorder, composed, is_style)


def test_bytes_that_are_not_utf8_at_the_very_beginning_of_a_request_are_a_break() -> None:
    composed = duet(in_turn([b"\xff", " So"], ["Okay", " 4", " x"], ANSWER), in_turn([" 4", CLOSE]))
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    composed = duet(in_turn(*[[b"\xff"]] * 9), in_turn(), breaks=4)
    ending, recorder = perform(composed)
    said = "student wrote bytes that are not UTF-8; it was broken stream 5 of this trace (guards.breaks)"
    assert (ending.status, recorder.cause) == (Status.FAILED, said)
