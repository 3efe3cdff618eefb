"""Runs to look at."""

from __future__ import annotations

import random
from pathlib import Path

from antiphon.trace import Author, Label, Status, Trace, Turn, Verdict
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import problem, span, trace, write

WORDS = tuple(
    "let us see so the carry of the units is then added to tens wait check that again".split()  # noqa: SIM905
)


def _turns(each: Trace) -> list[Turn]:
    found = []
    for number, part in enumerate(each.spans):
        if part.author in (Author.STUDENT, Author.TEACHER):
            rejected = " rolled back" if number % 3 == 1 else None
            thrown = 3 if rejected else 0
            words = len(part.text.split())
            found.append(
                Turn(
                    part.author, "srv", 16, words + thrown, words, words, bool(rejected), 0.1, 1, None, number, rejected
                )
            )
    return found


def _spoken(draw: random.Random, variant: str, spans: int) -> list[object]:
    found: list[object] = [span("none", "marker", "<think>\n")]
    for number in range(spans):
        author, kind = {
            "tessy": (("student", "style"), ("teacher", "capability"))[number % 2],
            "teacher_only": ("teacher", "thinking"),
        }[variant]
        forced = variant == "tessy" and number % 11 == 10
        found.append(span(author, kind, " ".join(draw.choices(WORDS, k=draw.randrange(2, 12))) + " ", forced=forced))
    found.append(span("none", "marker", "\n</think>\n\n"))
    found.append(span("student" if variant == "tessy" else "teacher", "answer", f"It is {draw.randrange(100)}."))
    return found


def usual(directory: Path, problems: int = 60) -> Path:
    """A finished run of two variants and two samples, with verdicts, rolled back text and some failures."""
    draw = random.Random(1)
    traces = []
    for number in range(problems):
        for variant, samples in (("tessy", 2), ("teacher_only", 1)):
            for sample in range(samples):
                spans = _spoken(draw, variant, draw.randrange(4, 60))
                status = Status.TOO_LONG if number % 10 == 7 else Status.COMPLETE
                label = draw.choice([Label.RIGHT, Label.WRONG])
                verdicts = (Verdict("exact", "1", label, "by its last number"),) if status is Status.COMPLETE else ()
                traces.append(
                    trace(
                        f"p{number}",
                        *spans,
                        variant=variant,
                        sample=sample,
                        status=status,
                        verdicts=verdicts,
                        cause="" if verdicts else "the budget was used up",
                        closed_by=Author.TEACHER,
                    )
                )
    questions = [problem(f"p{number}", f"Question {number}: what is {number} times 7?") for number in range(problems)]
    return write(
        directory, questions, traces, {each.key: _turns(each) for each in traces if each.key.variant == "tessy"}
    )


def hostile(directory: Path) -> Path:
    """Every hostile text wherever a run can have one."""
    problems, traces, turns = [], [], {}
    for text in [*TEXTS.values(), LONG_LINE]:
        name = text[:200]
        problems.append(problem(name, text))
        verdicts = (Verdict(name, name, Label.WRONG, name),)
        each = trace(name, span("student", "style", text), variant=name, verdicts=verdicts, cause=name)
        traces.append(each)
        turns[each.key] = [Turn(Author.STUDENT, name, 2, 2, 1, 1, True, 0.1, span=0, rejected=text)]
    return write(directory, problems, traces, turns)


def long(directory: Path, tokens: int = 40_000) -> Path:
    """One trace of so many tokens."""
    draw = random.Random(2)
    spans, count = [], 0
    while count < tokens:
        part = span(
            *(("student", "style"), ("teacher", "capability"))[len(spans) % 2], " ".join(draw.choices(WORDS, k=8)) + " "
        )
        count += len(part.ids)
        spans.append(part)
    return write(directory, [problem("long")], [trace("long", *spans), trace("long", *spans, sample=1)])


def pilot(directory: Path, problems: int = 12) -> Path:
    """Variants that differ in the predictor's threshold alone: the higher, the more is the teacher's."""
    draw = random.Random(3)
    traces, shapings = [], {}
    for threshold in (0.7, 0.3, 0.5):
        variant = f"t{threshold}"
        id = "default:style:0123456789ab" + (f":threshold={threshold}" if threshold != 0.5 else "")
        shapings[variant] = {"method": {"name": "tessy"}, "student": {"boundary": id}, "teacher": {"boundary": id}}
        for number in range(problems):
            spans = [span("none", "marker", "<think>\n")]
            for author, kind, share in (("student", "style", 1 - threshold), ("teacher", "capability", threshold)):
                words = draw.choices(WORDS, k=round(40 * share) + draw.randrange(6))
                spans.append(span(author, kind, " ".join(words) + " "))
            spans += [span("none", "marker", "\n</think>\n\n"), span("student", "answer", f"It is {number}.")]
            label = Label.RIGHT if draw.random() < threshold else Label.WRONG
            verdicts = (Verdict("exact", "1", label),)
            traces.append(trace(f"p{number}", *spans, variant=variant, verdicts=verdicts))
    questions = [problem(f"p{number}", f"Question {number}?") for number in range(problems)]
    return write(directory, questions, traces, {each.key: _turns(each) for each in traces}, shapings)
