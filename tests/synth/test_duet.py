"""Named cases of one trace (docs/method.md)."""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from antiphon.engine.scripted import Control, Fault, Script, ScriptedEngine
from antiphon.errors import EngineUnavailable
from antiphon.store import Saved
from antiphon.synth.ahead import RunAhead
from antiphon.synth.duet import Duet
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Listener
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Status, unpack_words
from tests.synth.duets import DIALECT, KEY, PROBLEM, TEXTUAL, Oracle, after, in_turn, perform, score, spans
from tests.synth.invariants import check

CLOSE, END = Control("</think>"), Control("<|im_end|>")
ANSWER = ["It", " is", " 4.", END]


def is_style(word: str) -> bool:
    return word[0].isupper() or word in ("so", "hm")


def duet(
    student: Script,
    teacher: Script,
    *,
    lookahead: int = 1,
    confidence: Any = lambda word: 1.0,
    student_is: dict[str, Any] | None = None,
    teacher_is: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A score for two scripts."""
    return score(
        ScriptedEngine("student", student, **(student_is or {})),
        ScriptedEngine("teacher", teacher, **(teacher_is or {})),
        Oracle(is_style, lookahead, confidence),
        **settings,
    )


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


# -- ends, closes, budgets


def test_the_teachers_end_of_turn_hands_over() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], [" Wait", CLOSE], ANSWER), in_turn([" four", END]))
    _, recorder = perform(composed)
    assert spans(recorder)[1:3] == [("teacher", "capability", " four"), ("student", "style", " Wait")]
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN
    assert recorder.closed_by is Author.STUDENT


def test_the_students_end_of_turn_ends_the_thinking() -> None:
    composed = duet(in_turn(["Okay,", END], ANSWER), in_turn())
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert [span.text for span in recorder.spans] == ["<think>\n", "Okay,", "\n</think>\n\n", "It is 4."]


def test_two_ends_in_a_row_without_a_word_give_no_answer() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], [END]), in_turn([END]))
    ending, recorder = perform(composed)
    assert ending.status is Status.NO_ANSWER
    assert spans(recorder) == [("student", "style", "Okay,")]


def test_a_refusal_and_an_end_force_the_refused_word() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], ["5", " x", " y"], ANSWER), in_turn([END], [" six", CLOSE]))
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[1] == ("student", "capability", "5")


def test_a_cut_found_at_an_end_or_close_wins() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", END], [" Wait,", " 5", CLOSE], ANSWER),
        in_turn([" four", " Wait", CLOSE], [" five", CLOSE]),
        lookahead=3,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:4] == [
        ("student", "style", "Okay,"),
        ("teacher", "capability", " four"),
        ("student", "style", " Wait,"),
        ("teacher", "capability", " five"),
    ]
    assert recorder.spans[2].end is SpanEnd.BOUNDARY


def test_an_immediate_end_is_legal_and_an_empty_answer_is_no_answer() -> None:
    ending, recorder = perform(duet(in_turn([END], ["\n", END]), in_turn()))
    assert ending.status is Status.NO_ANSWER
    assert [span.kind for span in recorder.spans] == [Kind.MARKER, Kind.MARKER, Kind.ANSWER]
    assert recorder.spans[1].text == "\n</think>\n\n"


def test_only_the_student_closes_where_it_is_set_so() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait,", CLOSE], ANSWER), in_turn([" four", CLOSE]), only_student_closes=True
    )
    _, recorder = perform(composed)
    assert recorder.closed_by is Author.STUDENT
    assert spans(recorder)[1:3] == [("teacher", "capability", " four"), ("student", "style", " Wait,")]


def test_a_budget_drops_the_unfinished_word_and_stops() -> None:
    composed = duet(in_turn(["Okay,", " So", " H", "m"]), in_turn(), thinking_budget=3, lookahead=2)
    ending, recorder = perform(composed)
    assert ending.status is Status.TOO_LONG
    assert "3 tokens" in recorder.cause
    assert spans(recorder) == [("student", "style", "Okay, So")]
    assert recorder.spans[-1].end is SpanEnd.BUDGET


def test_a_cut_found_at_a_budget_wins() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" six", " seven", " eight"]),
        thinking_budget=3,
        lookahead=2,
        close_on_budget=True,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " six")]


def test_a_budget_closes_the_thinking_where_it_is_set_so() -> None:
    composed = duet(in_turn(["Okay,", " So", " So"], ANSWER), in_turn(), thinking_budget=3, close_on_budget=True)
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert recorder.closed_by is Author.NONE
    assert [span.text for span in recorder.spans] == ["<think>\n", "Okay, So", "\n</think>\n\n", "It is 4."]


def test_thinking_leaves_the_answers_budget_of_the_context() -> None:
    composed = duet(in_turn(["Okay,"] + [" So"] * 50), in_turn(), answer_budget=30, student_is={"context": 50})
    ending, recorder = perform(composed)
    assert ending.status is Status.CONTEXT_FULL
    prompt = composed.voices[Author.STUDENT].engine
    assert prompt.requests == 1
    assert len(recorder.spans[1].ids) + 1 < 20  # the prompt takes some


def test_a_prompt_longer_than_the_context_is_context_full() -> None:
    ending, recorder = perform(duet(in_turn(), in_turn(), student_is={"context": 6}))
    assert ending.status is Status.CONTEXT_FULL
    assert "student's context" in recorder.cause


def test_an_answer_cut_by_its_budget_is_never_complete() -> None:
    ending, _ = perform(duet(in_turn([CLOSE], ANSWER), in_turn(), answer_budget=2))
    assert ending.status is Status.TOO_LONG


def test_an_answer_that_fills_the_context() -> None:
    composed = duet(
        in_turn(["Okay,", CLOSE], [" x"] * 99),
        in_turn(),
        answer_budget=90,
        student_is={"context": 118},
        guard_repetition=False,
    )
    ending, _ = perform(composed)
    assert ending.status in (Status.CONTEXT_FULL, Status.TOO_LONG)


def test_what_stands_is_recorded_before_a_turn_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.synth.passage._SETTLE_EVERY", -1.0)
    monkeypatch.setattr("antiphon.synth.record._SAVE_EVERY", -1.0)
    grown: list[tuple[int, str]] = []

    class Growing(MemoryRecorder):
        def grow(self, index: int, head: Span, text: str, ids: Any, words: bytes) -> None:
            grown.append((index, text))
            super().grow(index, head, text, ids, words)

    composed = duet(in_turn(["Okay,", " So", " Wait", " But", CLOSE], ANSWER), in_turn())
    _, recorder = perform(composed, recorder=Growing())
    assert [text for index, text in grown if index == 1][:2] == ["Okay,", " So"]
    assert recorder.spans[1].text == "Okay, So Wait But"


def test_where_budget_and_context_end_together_it_is_the_budget() -> None:
    ended = {}
    for context in range(30, 90):
        composed = duet(
            in_turn(["Okay,", CLOSE], [" x"] * 99),
            in_turn(),
            answer_budget=20,
            student_is={"context": context},
            guard_repetition=False,
        )
        ending, recorder = perform(composed)
        answer = sum(len(span.ids) for span in recorder.spans if span.kind is Kind.ANSWER)
        if answer:
            assert ending.status is (Status.TOO_LONG if answer == 20 else Status.CONTEXT_FULL)
            ended[context] = answer
    assert set(ended.values()) >= {19, 20}


def test_a_loop_ends_the_trace_as_repetition() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"]), in_turn([" and", " again", ",", " it"] * 900))
    ending, recorder = perform(composed)
    assert ending.status is Status.REPETITION
    text = recorder.spans[-1].text
    assert 500 < len(text) < 2000
    assert len(recorder.spans[-1].ids) == len(text.split(" ")) - 1 + text.count(",")


def test_a_loop_in_the_answer_ends_the_trace_as_repetition() -> None:
    ending, _ = perform(duet(in_turn(["Okay", CLOSE], [" and", " again", " it"] * 900), in_turn()))
    assert ending.status is Status.REPETITION


# -- markers


def test_a_marker_in_plain_text_is_left_alone_where_the_model_has_a_token() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" print('", "</think>", "')", " <", "think", ">", CLOSE])
    )
    _, recorder = perform(composed)
    assert spans(recorder)[1] == ("teacher", "capability", " print('</think>') <think>")
    assert recorder.spans[-2].text == "\n</think>\n\n"


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_a_textual_marker_is_found_however_it_is_cut(chunk: int, ids: bool) -> None:
    how = {"chunk": chunk, "ids": ids}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" a", "</", " b", ".</", "thi", "nk", ">\n", "x"]),
        student_is=how,
        teacher_is=how,
        dialect=TEXTUAL,
    )
    _, recorder = perform(composed)
    assert "".join(span.text for span in recorder.spans) == "<think>\nOkay, a</ b.\n</think>\n\nIt is 4."
    assert recorder.spans[2].reencoded is ids
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE_TEXT
    assert recorder.closed_by is Author.TEACHER


@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_a_server_that_tells_no_ids_closes_by_the_spelling_of_the_token(chunk: int) -> None:
    how = {"chunk": chunk, "ids": False}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" a", " b.", CLOSE, "\n", "x"]), student_is=how, teacher_is=how
    )
    _, recorder = perform(composed)
    assert "".join(span.text for span in recorder.spans) == "<think>\nOkay, a b.\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE_TEXT
    assert recorder.spans[2].ids_from is IdsFrom.NONE


def test_a_code_fence_that_one_author_opened_is_one_for_the_other() -> None:
    how = {"ids": False}
    composed = duet(
        in_turn(["Okay,", " x"], ["Say('", "</think>", "')\n", "x"], ANSWER),
        in_turn(["\n```\n", "x(1)\n", "Say"], ["```\n", CLOSE, "x"]),
        student_is=how,
        teacher_is=how,
    )
    _, recorder = perform(composed)
    assert "".join(s.text for s in recorder.spans[1:-2]) == "Okay,\n```\nx(1)\nSay('</think>')\n```\n"
    assert recorder.spans[-2].text == "</think>\n\n"
    assert recorder.closed_by is Author.TEACHER


def test_an_end_of_turn_that_comes_as_text_is_not_stored() -> None:
    how = {"ids": False}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait", CLOSE], ["It", " is", " 4.", "<|im_", "end|>", "\n", "x"]),
        in_turn([" four", "<|im_end|>", "\n"]),
        student_is=how,
        teacher_is=how,
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[1:] == [
        ("teacher", "capability", " four"),
        ("student", "style", " Wait"),
        ("student", "answer", "It is 4."),
    ]
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN


@pytest.mark.parametrize("chunk", [1, 50])
@pytest.mark.parametrize("foreign", ["<think>", "<|im_start|>"])
def test_a_control_token_that_is_no_end_ends_the_turn_and_is_no_text(foreign: str, chunk: int) -> None:
    how = {"chunk": chunk}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait", Control(foreign), " Then"], ["It", " is", " 4.", CLOSE, " x"]),
        in_turn([" four", Control(foreign), " is"]),
        student_is=how,
        teacher_is=how,
    )
    for voice in composed.voices.values():
        voice.engine.controls = tuple(voice.engine.vocabulary.controls)
        voice.__post_init__()
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four Wait\n</think>\n\nIt is 4."
    assert [span.end for span in recorder.spans[1:4]] == [SpanEnd.BOUNDARY, SpanEnd.END_OF_TURN, SpanEnd.END_OF_TURN]
    assert recorder.closed_by is Author.STUDENT


def test_another_token_may_close_the_thinking_too() -> None:
    dialect = replace(DIALECT, also_close=("<|im_start|>",))
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" four", Control("<|im_start|>"), "final", " x"]),
        dialect=dialect,
    )
    _, recorder = perform(composed)
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE
    assert recorder.closed_by is Author.TEACHER


@pytest.mark.parametrize("ids", [True, False])
def test_what_begins_the_next_turn_ends_its_own(ids: bool) -> None:
    """A base model does not stop: it asks itself the next question."""
    dialect = replace(DIALECT, next_turn=("\nQuestion:",))
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" so"], ["It", " is", " 4.\n", "Quest", "ion:", " 5?", END]),
        in_turn([" four\n", "\nQues", "tion: 5?", " x"]),
        dialect=dialect,
        student_is={"ids": ids},
        teacher_is={"ids": ids},
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four\n so\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN


# -- methods of one voice


def test_student_only_and_teacher_only() -> None:
    ending, recorder = perform(duet(in_turn(["Okay", " 4", CLOSE], ANSWER), in_turn(), name="student_only"))
    assert ending.status is Status.COMPLETE
    assert spans(recorder) == [("student", "thinking", "Okay 4"), ("student", "answer", "It is 4.")]
    ending, recorder = perform(duet(in_turn(), in_turn(["We", " 4", END], ANSWER), name="teacher_only"))
    assert ending.status is Status.COMPLETE
    assert spans(recorder) == [("teacher", "thinking", "We 4"), ("teacher", "answer", "It is 4.")]
    assert recorder.closed_by is Author.TEACHER
    assert recorder.spans[0].text == "<think>\n"


@pytest.mark.parametrize(("close", "status"), [(True, Status.COMPLETE), (False, Status.TOO_LONG)])
def test_one_voice_at_its_budget(close: bool, status: Status) -> None:
    composed = duet(
        in_turn(["a", " b", " c"], ANSWER), in_turn(), name="student_only", thinking_budget=3, close_on_budget=close
    )
    ending, recorder = perform(composed)
    assert ending.status is status
    assert recorder.spans[1].text == "a b c"


def test_one_voice_in_a_loop() -> None:
    ending, _ = perform(duet(in_turn([" a", " b", " c"] * 999), in_turn(), name="student_only"))
    assert ending.status is Status.REPETITION


def test_one_voice_fills_the_context() -> None:
    composed = duet(
        in_turn([" a"] * 99),
        in_turn(),
        name="student_only",
        answer_budget=5,
        student_is={"context": 40},
        guard_repetition=False,
    )
    ending, _ = perform(composed)
    assert ending.status is Status.CONTEXT_FULL


# -- a trace taken up again


def saved(composed: Any, *kept: tuple[Author, Kind, str, SpanEnd | None]) -> Saved:
    """Spans as an earlier session left them."""
    made = [Span(Author.NONE, Kind.MARKER, "<think>\n", end=SpanEnd.SEAM)]
    for author, kind, text, end in kept:
        engine = composed.voices[Author.STUDENT if author is Author.NONE else author].engine
        ids = engine.vocabulary.encode(text)
        made.append(Span(author, kind, text, ids, IdsFrom.SAMPLED, end))
    return Saved(tuple(made), {}, 0)


STYLE, CAPABILITY = Kind.STYLE, Kind.CAPABILITY


def resume(composed: Any, *kept: tuple[Author, Kind, str, SpanEnd | None]) -> tuple[Any, MemoryRecorder]:
    return perform(composed, saved=saved(composed, *kept))


def test_after_a_kill_the_same_author_goes_on_with_its_open_span() -> None:
    composed = duet(in_turn([" So", " 4", " x"], ANSWER), in_turn([" 4", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", None))
    assert spans(recorder)[0] == ("student", "style", "Okay, So")
    assert [word.end for word in unpack_words(recorder.spans[1].words)] == [8]


def test_after_a_kill_an_open_span_whose_next_word_is_refused_is_a_cut() -> None:
    composed = duet(in_turn([" 4", " x"], ANSWER), in_turn([" four", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", None))
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " four")]
    assert recorder.spans[1].end is SpanEnd.BOUNDARY


def test_after_a_kill_an_open_code_fence_is_still_one() -> None:
    composed = duet(
        in_turn(["Say('", "</think>", "')\n", " x"], ANSWER), in_turn(["```\n", "</think>"]), dialect=TEXTUAL
    )
    _, recorder = resume(composed, (Author.TEACHER, CAPABILITY, "```\nx(1)\n", SpanEnd.BOUNDARY))
    assert [span.text for span in recorder.spans[2:-1]] == ["Say('</think>')\n", "```\n", "</think>\n\n"]


def test_after_a_kill_a_finished_span_hands_over() -> None:
    composed = duet(in_turn(ANSWER), in_turn([" four", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", SpanEnd.BOUNDARY))
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " four")]


@pytest.mark.parametrize(
    ("author", "kind", "end", "by"),
    [
        (Author.TEACHER, CAPABILITY, SpanEnd.THINK_CLOSE, Author.TEACHER),
        (Author.TEACHER, CAPABILITY, SpanEnd.THINK_CLOSE_TEXT, Author.TEACHER),
        (Author.STUDENT, STYLE, SpanEnd.THINK_CLOSE, Author.STUDENT),
        (Author.STUDENT, STYLE, SpanEnd.END_OF_TURN, Author.STUDENT),
    ],
)
def test_after_a_kill_a_closed_thinking_is_not_reopened(author: Author, kind: Kind, end: SpanEnd, by: Author) -> None:
    composed = duet(in_turn(ANSWER), in_turn())
    ending, recorder = resume(composed, (author, kind, "Okay,", end))
    assert ending.status is Status.COMPLETE
    assert recorder.closed_by is by


def test_after_a_kill_the_teachers_end_of_turn_hands_over() -> None:
    composed = duet(in_turn([" Wait", CLOSE], ANSWER), in_turn())
    _, recorder = resume(composed, (Author.TEACHER, CAPABILITY, "four", SpanEnd.END_OF_TURN))
    assert spans(recorder)[1] == ("student", "style", " Wait")


def test_after_a_kill_one_voice_goes_on() -> None:
    composed = duet(in_turn([" 5", CLOSE], ANSWER), in_turn(), name="student_only")
    _, recorder = resume(composed, (Author.STUDENT, Kind.THINKING, "Okay 4", None))
    assert spans(recorder)[0] == ("student", "thinking", "Okay 4 5")
    composed = duet(in_turn(ANSWER), in_turn(), name="student_only")
    ending, _ = resume(composed, (Author.STUDENT, Kind.THINKING, "Okay 4", SpanEnd.THINK_CLOSE))
    assert ending.status is Status.COMPLETE


@pytest.mark.parametrize(
    ("last", "end", "by"),
    [
        ((Author.TEACHER, CAPABILITY), SpanEnd.THINK_CLOSE, Author.TEACHER),
        ((Author.TEACHER, CAPABILITY), SpanEnd.THINK_CLOSE_TEXT, Author.TEACHER),
        ((Author.TEACHER, CAPABILITY), SpanEnd.BOUNDARY, Author.STUDENT),
        ((Author.STUDENT, STYLE), SpanEnd.BUDGET, Author.NONE),
    ],
)
def test_after_a_kill_the_answer_goes_on(last: tuple[Author, Kind], end: SpanEnd, by: Author) -> None:
    composed = duet(in_turn([" is", " 4.", END]), in_turn(), answer_budget=4)
    marker = (Author.NONE, Kind.MARKER, "\n</think>\n\n", SpanEnd.SEAM)
    ending, recorder = resume(composed, (*last, "four", end), marker, (Author.STUDENT, Kind.ANSWER, "It", None))
    assert ending.status is Status.COMPLETE
    assert recorder.spans[-1].text == "It is 4."
    assert recorder.closed_by is by


def test_after_a_kill_an_empty_thinking_was_closed_by_the_student() -> None:
    heard: list[str] = []

    def student(here: Any) -> Any:
        heard.append(here.text)
        return [CLOSE] if here.text.endswith("<think>\n") else ANSWER

    _, unbroken = perform(duet(student, in_turn()))
    (_, before), marker = heard, unbroken.spans[1].text
    _, recorder = resume(duet(student, in_turn()), (Author.NONE, Kind.MARKER, marker, SpanEnd.SEAM))
    assert recorder.closed_by is unbroken.closed_by is Author.STUDENT
    assert heard[-1] == before


def test_both_voices_read_what_was_kept_before_they_go_on() -> None:
    heard: dict[str, str] = {}

    def teacher(here: Any) -> Any:
        heard["teacher"] = here.text
        return [" five", CLOSE]

    def student(here: Any) -> Any:
        heard["student"] = here.text
        return ANSWER

    composed = duet(student, teacher)
    resume(
        composed,
        (Author.STUDENT, STYLE, "Okay,", SpanEnd.BOUNDARY),
        (Author.TEACHER, CAPABILITY, " four.\n\n", SpanEnd.BOUNDARY),
        (Author.STUDENT, STYLE, "Wait,", SpanEnd.BOUNDARY),
    )
    prompt = "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert heard["teacher"] == prompt + "Okay, four.\n\nWait,"
    assert heard["student"] == prompt + "Okay, four.\n\nWait, five\n</think>\n\n"


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
