"""Replies become marks: exactly where they should be, or not at all and for a stated cause."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from antiphon.boundary.making.align import Cause, Unusable, align
from antiphon.boundary.making.forms import bracketed, classes_of, spans_of
from antiphon.boundary.words import words

from .texts import TEXTS

# -- replies that hold the text unchanged

TEXT = "Okay, so let's check: 3+4=7. \"Wait,\" she said - but then x² isn't 7… 好的 fine."
CLASSES = [True, True, True, True, False, True, False, False, False, True, True, False, False, False, True, True, False]
MARKED = bracketed(TEXT, spans_of(TEXT, CLASSES))

DISGUISES = {
    "as asked": MARKED,
    "curly quotes": MARKED.replace("'", "’").replace('"Wait,"', "“Wait,”"),
    "dashes": MARKED.replace(" - ", " — "),
    "simpler forms": MARKED.replace("²", "2").replace("…", "..."),
    "another form of letters": MARKED.replace("isn't", "i\u200bsn't"),
    "white space": MARKED.replace(" ", "\u00a0\n"),
    "blanks inside the brackets": MARKED.replace("⟦", "⟦ ").replace("⟧", " ⟧"),
    "blanks beside the brackets gone": MARKED.replace(" ⟦", "⟦").replace("⟧ ", "⟧"),
    "a fence": f"```text\n{MARKED}\n```",
    "a preamble": f"Here is the text with style between ⟦ and ⟧:\n\n{MARKED}",
    "a preamble with a bracket of its own": f"I put ⟦ before each:\n{MARKED}",
    "a remark behind it": f"{MARKED}\n\nI marked all of ⟦the style⟧ that there is, but no ⟦ around x.",
    "thinking before it": f"<think>\nIs ⟦Okay⟧, so one? {MARKED[:40]}\n</think>\n\n{MARKED}",
    "thinking before it that holds it all": f"<think>\n{TEXT}\n⟦{TEXT}⟧\n</think>\n\n{MARKED}",
    "harmony": f"<|channel|>analysis<|message|>{TEXT}<|end|><|channel|>final<|message|>{MARKED}<|return|>",
    "the text itself before it": f"The text:\n{TEXT}\n\nMarked:\n{MARKED}",
    "the text itself behind it": f"{MARKED}\n\nThe text was: {TEXT}",
    "pairs around nothing": f"⟦⟧{MARKED} ⟦⟧",
}


@pytest.mark.parametrize("reply", DISGUISES.values(), ids=DISGUISES)
def test_marks_fall_where_the_brackets_are(reply: str) -> None:
    assert len(CLASSES) == len(words(TEXT))
    assert align(TEXT, reply) == spans_of(TEXT, CLASSES)


@given(TEXTS, st.data())
def test_any_text_comes_back_with_its_marks(text: str, data: st.DataObject) -> None:
    count = len(words(text))
    classes = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    style = spans_of(text, classes)
    assume(len(style) <= 8)
    assume(count < 20 or sum(classes) <= 0.9 * count)
    disguise = data.draw(st.sampled_from([str, "```\n{}\n```".format, "Here you are: {}".format]))
    assert align(text, disguise(bracketed(text, style))) == style


def test_a_word_is_style_where_its_first_character_is() -> None:
    assert align("so (maybe) it is there", "so (⟦maybe⟧) it is ⟦th⟧ere") == ((17, 22),)


# -- replies that change some of it


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, list[bool], str, dict[int, str]]:
    """A text of words of which no two are the same, its classes, a reply in which fewer than 5% of them are changed,
    and what was done to which word."""
    count = draw(st.integers(40, 120))
    spelled = [f"w{number}{draw(st.sampled_from(['', ',', '.', ':']))}" for number in range(count)]
    edges = sorted(draw(st.sets(st.integers(0, count), max_size=12)))
    classes = [sum(edge <= number for edge in edges) % 2 == 1 for number in range(count)]
    assume(sum(classes) <= 0.9 * count)
    places = draw(st.sets(st.integers(0, count - 1), max_size=(count - 1) // 20))
    done = {place: draw(st.sampled_from(["replaced", "left out", "doubled"])) for place in sorted(places)}
    parts = []
    for number, word in enumerate(spelled):
        opens = classes[number] and (number == 0 or not classes[number - 1])
        closes = classes[number] and (number + 1 == count or not classes[number + 1])
        change = done.get(number)
        said = {"replaced": "changed", "left out": "", "doubled": f"{word} more"}.get(change or "", word)
        parts.append(f"{'⟦' * opens}{said}{'⟧' * closes}")
    return " ".join(spelled), classes, " ".join(parts), done


@given(damaged(), st.sampled_from(["{}", "Sure! Here is the text:\n{}\nThat is all.", "```\n{}\n```"]))
def test_every_word_that_is_there_has_its_class_whatever_happened_to_others(
    case: tuple[str, list[bool], str, dict[int, str]], around: str
) -> None:
    text, classes, reply, done = case
    found = classes_of(text, align(text, around.format(reply)))
    for number in range(len(classes)):
        one_change_of_many = number in done and {number - 1, number + 1} & done.keys()
        # Of a word that is not there, nobody can tell on which side of a bracket it stood.
        around_it = classes[number - 1 : number + 2] if 0 < number < len(classes) - 1 else [True, False]
        left_out = done.get(number) == "left out" and len(set(around_it)) > 1
        if not one_change_of_many and not left_out:
            assert found[number] == classes[number], number


def test_a_word_that_is_left_out_is_style_inside_a_mark_only() -> None:
    text = " ".join(f"w{number}" for number in range(40))
    inside = text.replace("w3 w4 w5", "⟦w3 w5⟧")
    beside = text.replace("w3 w4 w5", "⟦w3⟧ w5")
    assert classes_of(text, align(text, inside))[3:6] == [True, True, True]
    assert classes_of(text, align(text, beside))[3:6] == [True, False, False]


def test_capitals_and_emphasis_are_no_change_of_a_word() -> None:
    text = "so it is seven, and Then we stop"
    assert align(text, "⟦So⟧ it is **seven**, and ⟦then⟧ we _stop_") == ((0, 2), (20, 24))


def test_real_slices_keep_their_marks_through_damage(shared: Path) -> None:
    draw = random.Random(1)
    lines = (shared / "style_spans.jsonl").read_text("utf-8").splitlines()
    for record in map(json.loads, draw.sample(lines, 60)):
        text = record["text"]
        classes = classes_of(text, tuple(map(tuple, record["style"])))
        spans, found = spans_of(text, classes), words(text)
        opens, closes = {start for start, _ in spans}, {end for _, end in spans}
        changed = set(draw.sample(range(len(found)), (len(found) - 1) // 20))
        parts = []
        for number, (start, end) in enumerate(found):
            word = f"changed{number}" if number in changed else text[start:end]
            parts.append(f"{'⟦' * (start in opens)}{word}{'⟧' * (end in closes)}")
        assert classes_of(text, align(text, "Here is the text: " + " ".join(parts))) == classes


# -- replies of no use

SLICE = (
    "Okay, so let me think about the problem again. The boat goes 12 miles up the river in 3 hours and comes back in 2"
    " hours. Hmm, so the speed of the boat against the stream is 4 and with the stream it is 6. But then the speed of"
    " the stream must be 1, because the two speeds differ by twice that."
)
GERMAN = (
    "⟦Okay, lass mich also⟧ noch einmal über die Aufgabe nachdenken. Das Boot fährt 12 Meilen den Fluss hinauf, in 3"
    " Stunden, und kommt in 2 Stunden zurück. ⟦Hmm, also⟧ ist die Geschwindigkeit gegen die Strömung 4 und mit der"
    " Strömung 6. ⟦Aber dann⟧ muss die Strömung 1 sein, weil beide sich um das Doppelte unterscheiden."
)
CHINESE = (
    "⟦好的，让我再想想这个问题。⟧船逆流而上十二英里用了三个小时，返回用了两个小时。⟦嗯，⟧所以逆流速度是四，顺流速度是六。"
    * 2
)
OTHERWISE = (
    "⟦Let me⟧ restate the problem. In 3 hours the boat goes up the river for 12 miles, and in 2 hours it is back. So"
    " against the stream its speed is 4, with the stream 6, and the stream itself has the speed 1. The reason is that"
    " speeds up and down differ by the speed of the stream, taken two times."
)
REFUSED = {
    "nothing": ("", Cause.EMPTY),
    "only thinking": ("<think>I should mark Okay</think>\n", Cause.EMPTY),
    "thinking without an end": (f"<think>{SLICE}", Cause.EMPTY),
    "only brackets": ("⟦⟧ ⟦⟧", Cause.EMPTY),
    "a refusal": ("I'm sorry, but I cannot help with that request.", Cause.REFUSAL),
    "German": (GERMAN, Cause.LANGUAGE),
    "Chinese": (CHINESE, Cause.LANGUAGE),
    "half": (f"⟦Okay, so⟧{SLICE[8:150]}", Cause.HALF),
    "the other half": (SLICE[150:], Cause.HALF),
    "half, left open": (f"⟦{SLICE[:150]}", Cause.HALF),
    "its own words": (OTHERWISE, Cause.CHANGED),
    "one word too many changed": (
        SLICE.replace("boat", "ship").replace("stream", "water").replace("Okay, so", "⟦Okay, so⟧"),
        Cause.CHANGED,
    ),
    "never closed": (f"⟦{SLICE}", Cause.BRACKETS),
    "never opened": (f"{SLICE}⟧", Cause.BRACKETS),
    "nested": (f"⟦Okay, ⟦so⟧⟧{SLICE[8:]}", Cause.BRACKETS),
    "nested, in a damaged text": (f"⟦Okay, ⟦so⟧⟧{SLICE[8:]}".replace("miles", "km"), Cause.BRACKETS),
    "a mark on each word": (" ".join(f"⟦{word}⟧" for word in SLICE.split()), Cause.SPANS),
    "a mark on all": (f"⟦{SLICE}⟧", Cause.SPANS),
    "a mark on every second word": (
        " ".join(f"⟦{word}⟧" if n % 2 else word for n, word in enumerate(SLICE.split())),
        Cause.SPANS,
    ),
    "a thousand marks": ("⟦a⟧ " * 1000, Cause.CHANGED),
}


@pytest.mark.parametrize(("reply", "cause"), REFUSED.values(), ids=REFUSED)
def test_a_reply_of_no_use_has_its_cause(reply: str, cause: Cause) -> None:
    with pytest.raises(Unusable) as raised:
        align(SLICE, reply)
    assert raised.value.cause is cause
    assert raised.value.cause.says


@given(st.text("ab ⟦⟧<think>/\n`", max_size=60), st.text("ab \n", min_size=1, max_size=30))
def test_whatever_the_reply_there_are_marks_between_words_or_a_cause(reply: str, text: str) -> None:
    try:
        style = align(text, reply)
    except Unusable:
        return
    assert style == spans_of(text, classes_of(text, style))
