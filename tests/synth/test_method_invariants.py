"""What holds of every method that writes in turns, on random authors and random cuttings; revoiced traces."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from antiphon.boundary.words import words
from antiphon.engine.scripted import Control, ScriptedEngine
from antiphon.store import Saved
from antiphon.synth import record as record_module
from antiphon.synth.ahead import RunAhead
from antiphon.synth.cutter import Course, Cutter, lengths
from antiphon.synth.duet import Duet
from antiphon.synth.methods import METHODS
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Score
from antiphon.synth.taken import _stretches
from antiphon.synth.voice import Voice
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Trace, unpack_words
from tests.boundary.contract import check_contract, traces
from tests.synth.authors import BETWEEN, CAPABILITY, STYLE, is_style
from tests.synth.duets import KEY, PROBLEM, Oracle, in_turn, perform, score, spans
from tests.synth.invariants import check
from tests.synth.test_invariants import Cutting, Dying, Killed, World, compose, cuttings, outcome, worlds

LENGTHS = {Author.STUDENT: {1: 2, 3: 1}, Author.TEACHER: {2: 1, 5: 3}}
CLOSE, END = Control("</think>"), Control("<|im_end|>")
IN_TURNS = ("swapped", "no_rollback", "random_boundaries", "fixed_boundaries")


def by(name: str, world: World, cutting: Cutting) -> tuple[Score, list[str]]:
    """A score by this method, and what is heard of it."""
    composed, ear = compose(world, cutting)
    composed = replace(composed, method=METHODS[name])
    if name == "no_rollback":
        composed = replace(composed, run_ahead=RunAhead(5))  # where requests end shapes its text
    if name.endswith("boundaries"):
        cutter = Cutter(LENGTHS, random=name == "random_boundaries")
        voices = {role: cut_by(voice, cutter) for role, voice in composed.voices.items()}
        composed = replace(composed, voices=voices, script=voices[Author.STUDENT])
    heard: list[str] = []
    ear.kept = lambda author, kind, text, *, forced: heard.append(text)  # type: ignore[method-assign]
    return composed, heard


def cut_by(voice: Voice, cutter: Cutter) -> Voice:
    return Voice(voice.role, voice.engine, voice.dialect, voice.sampling, voice.context, voice.has_ids, cutter)


WHOLE = Cutting(chunk=1, run_ahead="streamed")


@given(name=st.sampled_from(IN_TURNS), world=worlds, cutting=cuttings)
def test_invariants_hold_and_nothing_depends_on_how_text_arrives(name: str, world: World, cutting: Cutting) -> None:
    composed, heard = by(name, world, cutting)
    ending, recorder = perform(composed)
    check(recorder, composed, is_style, heard="".join(heard))
    whole, _ = by(name, world, WHOLE)
    assert outcome(ending, recorder, composed) == outcome(*perform(whole), whole)


@given(name=st.sampled_from(IN_TURNS), world=worlds, cutting=cuttings, life=st.integers(0, 60))
def test_a_killed_trace_goes_on_from_what_was_saved(name: str, world: World, cutting: Cutting, life: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_module, "_SAVE_EVERY", -1.0)
        dying = Dying(life)
        composed, _ = by(name, world, cutting)
        try:
            perform(composed, recorder=dying)
        except Killed:
            pass
        saved = Saved(tuple(dying.spans), {}, len(dying.turns))
        before = "".join(span.text for span in saved.spans)
        note(f"saved: {before!r}")
        again, heard = by(name, world, cutting)
        share_vocabularies(composed, again)
        _, recorder = perform(again, saved=saved)
    assert "".join(span.text for span in recorder.spans) == before + "".join(heard)
    check(recorder, again, is_style, all_turns=False)


def share_vocabularies(one: Score, other: Score) -> None:
    for role, voice in other.voices.items():  # the same models, so the same ids
        voice.engine.vocabulary = one.voices[role].engine.vocabulary  # type: ignore[attr-defined]


def test_without_rollback_a_chunk_is_kept_to_its_last_whole_word() -> None:
    student = ScriptedEngine("student", in_turn(["Okay,", " 4", " hm", " 5", " never"], [CLOSE], [" four", END]))
    teacher = ScriptedEngine("teacher", in_turn([" two", " x", " But", " th", "ree"]))
    composed = score(student, teacher, Oracle(is_style, 0), name="no_rollback", run_ahead=RunAhead(4))
    _, recorder = perform(composed)
    assert spans(recorder) == [
        ("student", "thinking", "Okay, 4 hm"),
        ("teacher", "thinking", " two x But"),
        ("student", "answer", " four"),
    ]
    verdicts = [[word.style for word in unpack_words(span.words)] for span in recorder.spans[1:3]]
    assert verdicts == [[True, False, True], [False, False, True]]


# -- boundaries by the lengths of others


@given(traces(), st.randoms(use_true_random=False), st.booleans())
def test_a_cutter_keeps_the_contract_of_a_predictor(trace, random, drawn: bool) -> None:  # type: ignore[no-untyped-def]
    check_contract(Cutter(LENGTHS, random=drawn), trace, random)


histograms = st.dictionaries(st.integers(1, 60), st.integers(1, 40), min_size=1, max_size=12)


@given(student=histograms, teacher=histograms, sample=st.integers(0, 10**6))
def test_fixed_boundaries_have_the_share_of_what_they_are_like(
    student: dict[int, int], teacher: dict[int, int], sample: int
) -> None:
    session = Cutter({Author.STUDENT: student, Author.TEACHER: teacher}, random=False).session(Author.STUDENT)
    verdicts = session.feed("w " * 1500)
    style = sum(verdict.style for verdict in verdicts)
    means = [sum(n * k for n, k in some.items()) / sum(some.values()) for some in (student, teacher)]
    assert style / 1500 == pytest.approx(means[0] / sum(means), abs=0.05)


def test_random_boundaries_are_drawn_from_the_lengths_and_are_the_same_for_the_same_trace() -> None:
    cutter = Cutter(LENGTHS, random=True)

    def spans(key: Key, role: Author) -> list[int]:
        verdicts = cutter.session_of(key, role).feed("w " * 3000)
        runs, style = [0], True
        for verdict in verdicts:
            if verdict.style is not style:
                style = verdict.style
                runs.append(0)
            runs[-1] += 1
        return runs[:-1]

    found = spans(KEY, Author.STUDENT)
    assert found == spans(KEY, Author.TEACHER) == spans(Key("p", "another", 0), Author.STUDENT)
    assert found != spans(Key("p", "v", 1), Author.STUDENT)
    assert set(found[::2]) == {1, 3} and set(found[1::2]) == {2, 5}
    assert Counter(found[::2])[1] / len(found[::2]) == pytest.approx(2 / 3, abs=0.1)
    assert Counter(found[1::2])[5] / len(found[1::2]) == pytest.approx(3 / 4, abs=0.1)


def test_a_course_goes_on_wherever_it_is_asked() -> None:
    def course() -> Course:
        return Course(iter([2, 1, 1]), iter([3, 1]))

    whole = "SSCCCSCS"
    assert ["S" if course().is_style(n) else "C" for n in range(8)] == list(whole)


def test_lengths_are_of_what_one_author_wrote_without_the_other() -> None:
    spans = [
        Span(Author.NONE, Kind.MARKER, "<think>"),
        Span(Author.STUDENT, Kind.STYLE, "Okay, let me see"),
        Span(Author.STUDENT, Kind.CAPABILITY, " 4", forced=True),
        Span(Author.TEACHER, Kind.CAPABILITY, " 2+2 is"),
        Span(Author.STUDENT, Kind.STYLE, " so"),
        Span(Author.NONE, Kind.MARKER, "</think>"),
        Span(Author.STUDENT, Kind.ANSWER, "It is four."),
    ]
    found = lengths([Trace(KEY, tuple(spans)), Trace(KEY, tuple(spans))])
    assert found == {Author.STUDENT: {1: 2, 5: 2}, Author.TEACHER: {2: 2}}


# -- revoiced traces

texts = st.lists(st.sampled_from([*STYLE, *CAPABILITY, *BETWEEN]), max_size=40).map("".join)
authors = st.sampled_from([Author.UNKNOWN, Author.TEACHER])


def source(text: str, author: Author) -> Trace:
    spans = (
        Span(Author.NONE, Kind.MARKER, "<think>\n"),
        Span(author, Kind.THINKING, text),
        Span(Author.NONE, Kind.MARKER, "\n</think>\n\n"),
        Span(author, Kind.ANSWER, "Four."),
    )
    return Trace(Key("p", "imported", 0), spans, Status.COMPLETE, closed_by=author)


def revoicing(world: World, cutting: Cutting) -> tuple[Score, list[str]]:
    composed, heard = by("revoice", world, cutting)
    marks = composed.voices[Author.TEACHER].predictor
    assert isinstance(marks, Oracle)
    voices = {Author.STUDENT: composed.voices[Author.STUDENT]}
    return replace(composed, voices=voices, marks=Oracle(is_style, marks.lookahead)), heard


def rewrite(composed: Score, given_trace: Trace, recorder: MemoryRecorder, saved: Saved | None = None) -> None:
    recorder.spans = list(saved.spans) if saved is not None else []
    asyncio.run(Duet(composed, PROBLEM, KEY, recorder, saved, given=given_trace).write())


def check_revoiced(recorder: MemoryRecorder, composed: Score, given_trace: Trace) -> None:
    text = given_trace.thinking
    capability = [text[start:end] for start, end in words(text) if not is_style(text[start:end])]
    kept = [span for span in recorder.spans if span.kind is Kind.CAPABILITY]
    assert {span.author for span in kept} <= {given_trace.spans[1].author}
    assert all(span.ids_from is IdsFrom.NONE for span in kept)
    closed = recorder.closed_by is not None
    found = "".join("".join(span.text for span in kept).split())
    whole = "".join("".join(capability).split())
    assert found == whole if closed and recorder.closed_by is not Author.NONE else whole.startswith(found)
    for before, after in zip(recorder.spans, recorder.spans[1:], strict=False):
        if after.kind is Kind.CAPABILITY and before.kind is Kind.STYLE and before.end is SpanEnd.BOUNDARY:
            assert before.text and after.text


def test_stretches_of_capability_are_cut_out_with_what_is_their_own() -> None:
    def shouts(word: str) -> bool:
        return word[0].isupper()

    def parts(text: str) -> list[tuple[bool, str, str]]:
        stretches = asyncio.run(_stretches(Oracle(shouts, 1), text))
        return [(each.style_before, each.gap, each.text) for each in stretches]

    assert parts("one two") == [(False, "", "one two")]
    assert parts(" one two\n\n") == [(False, " ", "one two\n\n")]
    assert parts("Okay, So  one two.\n\n  Wait\tthree\n Hence ") == [
        (True, "  ", "one two.\n\n"),  # the blanks behind the break belong to the word that follows
        (True, "\t", "three\n"),
        (True, "", ""),
    ]
    assert parts("") == []
    (stretch,) = asyncio.run(_stretches(Oracle(shouts, 1), "  ab cde"))
    assert [word.end for word in stretch.words] == [2, 6]
    behind_a_word, behind_a_blank = (stretch.span(Author.TEACHER, behind=text) for text in ("x", "x "))
    assert (behind_a_word.text, [w.end for w in unpack_words(behind_a_word.words)]) == ("  ab cde", [4, 8])
    assert (behind_a_blank.text, [w.end for w in unpack_words(behind_a_blank.words)]) == ("ab cde", [2, 6])
    assert stretch.span(Author.TEACHER, behind="").text == "ab cde"


@given(world=worlds, cutting=cuttings, text=texts, author=authors)
def test_a_revoiced_trace_keeps_all_capability_and_nothing_else(
    world: World, cutting: Cutting, text: str, author: Author
) -> None:
    given_trace = source(text, author)
    composed, heard = revoicing(world, cutting)
    recorder = MemoryRecorder()
    rewrite(composed, given_trace, recorder)
    check(recorder, composed, is_style, heard="".join(heard))
    check_revoiced(recorder, composed, given_trace)
    if recorder.status is Status.COMPLETE and recorder.closed_by is not Author.NONE:
        assert recorder.closed_by is author
    assert all(turn.role is Author.STUDENT for turn in recorder.turns)


@given(world=worlds, cutting=cuttings, text=texts, author=authors, life=st.integers(0, 40))
def test_a_revoiced_trace_goes_on_after_a_kill(
    world: World, cutting: Cutting, text: str, author: Author, life: int
) -> None:
    given_trace = source(text, author)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_module, "_SAVE_EVERY", -1.0)
        dying = Dying(life)
        composed, _ = revoicing(world, cutting)
        try:
            rewrite(composed, given_trace, dying)
        except Killed:
            pass
        saved = Saved(tuple(dying.spans), {}, len(dying.turns))
        note(f"saved: {saved.spans}")
        again, heard = revoicing(world, cutting)
        share_vocabularies(composed, again)
        recorder = MemoryRecorder()
        rewrite(again, given_trace, recorder, saved)
    before = "".join(span.text for span in saved.spans)
    assert "".join(span.text for span in recorder.spans) == before + "".join(heard)
    check(recorder, again, is_style, all_turns=False)
    check_revoiced(recorder, again, given_trace)


@pytest.mark.parametrize(("end", "written"), [(SpanEnd.BOUNDARY, []), (None, [" hm"])])
def test_style_that_was_written_before_a_kill_is_not_written_again(end: SpanEnd | None, written: list[str]) -> None:
    student = ScriptedEngine("student", in_turn(*([" hm", " 2"] for _ in written), ["Four.", END]))
    teacher = ScriptedEngine("teacher", in_turn())
    composed = score(student, teacher, Oracle(is_style, 1), name="revoice")
    composed = replace(composed, voices={Author.STUDENT: composed.voices[Author.STUDENT]}, marks=Oracle(is_style, 1))
    style = Span(Author.STUDENT, Kind.STYLE, "hm", student.vocabulary.encode("hm"), IdsFrom.SAMPLED, end)
    saved = Saved((Span(Author.NONE, Kind.MARKER, "<think>\n", end=SpanEnd.SEAM), style), {}, 1)
    recorder = MemoryRecorder()
    rewrite(composed, source("So 2 3", Author.TEACHER), recorder, saved)
    assert recorder.status is Status.COMPLETE
    assert [span.text for span in recorder.spans[1:]] == ["".join(["hm", *written]), " 2 3", "\n</think>\n\n", "Four."]
