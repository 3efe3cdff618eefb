"""Rule pages at work. `⟦ ⟧` in a text marks what must be style."""

from __future__ import annotations

import asyncio
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.base import Step
from antiphon.boundary.page import Node, Page
from antiphon.boundary.pagefile import load_page, shipped_pages
from antiphon.boundary.rules import RulesPredictor
from antiphon.trace import Author

from .contract import check_contract, traces


def shortened(page: Page, lookahead: int) -> Page:
    """The same page at a smaller look-ahead: phrases that it does not allow are left out."""

    def pruned(node: Node, depth: int) -> Node:
        kept = {key: pruned(child, depth - 1) for key, child in node.next.items()} if depth > 1 else {}
        return Node(kept, node.ends)

    return replace(page, lookahead=lookahead, root=pruned(page.root, lookahead + 1))


PREDICTORS = {
    "general": load("general"),
    "shortened to 1": RulesPredictor(shortened(load_page("general"), 1)),
    "shortened to 0": RulesPredictor(shortened(load_page("general"), 0)),
}


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
@settings(deadline=None)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_contract(predictor, trace, random):
    check_contract(predictor, trace, random)


def marked(predictor, *parts, context=""):
    """The parts, fed one after the other and then finished, with ⟦ ⟧ around each run of style words."""
    session = predictor.session(Author.STUDENT)
    session.context(context)
    verdicts = [v for part in parts for v in session.feed(part)] + session.finish()
    return render("".join(parts), verdicts, len(context))


def render(text, verdicts, base=0):
    out, done, style = "", 0, False
    for v in verdicts:
        if v.style and not style:
            out += text[done : v.start - base] + "⟦"
            done = v.start - base
        if style and not v.style:
            out += "⟧"
        out += text[done : v.end - base]
        done, style = v.end - base, v.style
    return out + ("⟧" if style else "") + text[done:]


def plain(text):
    return text.replace("⟦", "").replace("⟧", "")


@pytest.fixture
def page(tmp_path):
    """Makes the predictor of a page from its text."""

    def make(text):
        path = tmp_path / "page.toml"
        path.write_text(text, encoding="utf-8")
        return load(str(path))

    return make


GENERAL = [
    "⟦Okay, so let me check⟧ 3 + 4 = 7. ⟦Wait, but⟧ x is odd, ⟦so⟧ it fails, so that 3 = 4.",
    "⟦Hmm. However, the problem says⟧ each digit is even.",
    "⟦**Wait,** let’s see:⟧ the area is 12.",
    "If n is even then n² is even, because 2 divides n.",
    "1. ⟦First,⟧ add 3.\n2. ⟦Then⟧ take the root.\n- ⟦Also,⟧ x > 0",
    "Bob lives here ⟦(so⟧ he knows) and also there.",
    "First term: 3. I multiply so that nothing is left.",
    "⟦好的，那么⟧答案是5。⟦但是⟧它不对",
    "⟦LET’S THINK⟧ x",
    "⟦Hmm ... maybe⟧ 5",
]


@pytest.mark.parametrize("text", GENERAL)
def test_general_page(text):
    assert marked(load("general"), plain(text)) == text


LITERAL = [
    "```\nso wait\n\nbut so\n``` \n⟦So⟧ x",
    "```py\nso\n```\n⟦so⟧ x",
    "x ```, ⟦so⟧ `so but`, ⟦but⟧ x",
    "x, `so but` is, ⟦so⟧ x",
    'he says "so, but" and “So, but” and 「so, but」, ⟦so⟧ x',
    "$so, but$ and $$so, but$$ and \\(so, but\\) and \\[so, but\\], ⟦so⟧ x",
    'it is 5" long, ⟦so⟧ x',
    "it costs $5, ⟦so⟧ $6, ⟦but⟧ x",
    'a stray "quote, so x\n\n⟦so⟧ x',
    "a stray `tick, so x\n \n⟦so⟧ x",
    "x\n\n```\nso\n\nso\n\nno end, so x",
    "'so', ⟦so⟧ x",
    'a "b "c, so", ⟦so⟧ x',
]


@pytest.mark.parametrize("text", LITERAL)
def test_code_formulas_and_quotes_are_never_style(text):
    assert marked(load("general"), plain(text)) == text


def test_what_is_literal_can_be_chosen(page):
    rules = page('literal = []\n[patterns]\nany = ".+"\n[[style]]\nphrases = ["so", "1", "a <any>"]')
    assert marked(rules, "```\nso\n``` 1 2 a user_id") == "```\n⟦so⟧\n``` ⟦1⟧ 2 ⟦a user_id⟧"
    rules = page('[patterns]\nany = ".+"\n[[style]]\nphrases = ["a <any>"]')
    assert marked(rules, "a 1 a user_id a f(x) a `b` a word") == "a 1 a user_id a f(x) a `b` ⟦a word⟧"


def test_places(page):
    rules = page(
        """
        [[style]]
        at = "opening"
        phrases = ["o"]
        [[style]]
        at = "clause"
        phrases = ["c"]
        [[style]]
        at = "after"
        phrases = ["f"]
        [[style]]
        phrases = ["w"]
        """
    )
    assert marked(rules, "o o x o, o. o x") == "⟦o o⟧ x o, o. ⟦o⟧ x"
    assert marked(rules, "c x c, c x — c x (c x c\nc") == "⟦c⟧ x c, ⟦c⟧ x — ⟦c⟧ x (⟦c⟧ x c\n⟦c⟧".replace("(⟦", "⟦(")
    assert marked(rules, "f x w f f x f w. f w\nf") == "f x ⟦w f f⟧ x f ⟦w.⟧ f ⟦w⟧\nf"
    assert marked(rules, "x w, o w o") == "x ⟦w,⟧ o ⟦w⟧ o"


def test_which_phrase_wins(page):
    rules = page(
        """
        [patterns]
        p = "b+"
        [[style]]
        confidence = 0.6
        phrases = ["a", "a b c", "d", "f", "<p>"]
        [[style]]
        at = "opening"
        confidence = 0.7
        phrases = ["d", "e."]
        [[capability]]
        confidence = 0.8
        phrases = ["a b", "e", "b."]
        [[style]]
        phrases = ["f", "e"]
        confidence = 0.9
        """
    )

    def verdicts(text):
        return [(v.style, v.confidence) for v in rules.session(Author.TEACHER).feed(text + " y y y")]

    assert verdicts("x a b c")[1:] == [(True, 0.6)] * 3  # the longest
    assert verdicts("x a b d")[1:] == [(False, 0.8), (False, 0.8), (True, 0.6)]
    assert verdicts("d")[0] == (True, 0.7)  # the more particular place
    assert verdicts("x f x")[1] == (True, 0.9)  # the later of equal ones
    assert verdicts("x e.")[1] == (False, 0.8)  # capability before style
    assert verdicts("e.")[0] == (True, 0.7)
    assert verdicts("x b.")[1] == (False, 0.8)  # with a mark before without
    assert verdicts("x bb.")[1] == (True, 0.6)


def test_marks_in_phrases(page):
    rules = page('[words]\nn = ["no"]\n[[style]]\nphrases = ["good.", "wait, <n>", "let me", "why?", "<n>!"]')
    assert marked(rules, "good x good! x good, x wait no wait, no x") == "good x ⟦good!⟧ x good, x wait no ⟦wait, no⟧ x"
    assert marked(rules, "let me let, me (let) **me** x") == "⟦let me⟧ let, me ⟦(let) **me**⟧ x"
    assert marked(rules, "why why? no no…") == "why ⟦why?⟧ no ⟦no…⟧"
    assert marked(rules, "let\nme") == "let\nme"  # a phrase stays in its line


def test_extending_a_page(tmp_path):
    (tmp_path / "base.toml").write_text('lookahead = 2\n[words]\nx = ["a"]\n[[style]]\nphrases = ["<x>", "b b b", "c"]')
    (tmp_path / "page.toml").write_text(
        'extends = "base.toml"\nlookahead = 1\n[words]\nx = ["d"]\n[[capability]]\nphrases = ["c"]'
    )
    base, extended = load(str(tmp_path / "base.toml")), load(str(tmp_path / "page.toml"))
    assert marked(base, "a b b b c d") == "⟦a b b b c⟧ d"
    assert extended.lookahead == 1  # phrases that it does not allow are left out
    assert marked(extended, "a b b b c d") == "a b b b c ⟦d⟧"


def test_the_page_in_the_documentation(page):
    text = (Path(__file__).parents[2] / "docs" / "boundaries.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example
    rules = page(example[1])
    assert (
        marked(rules, "Okay, let me check that 3 is odd, so that 9 is")
        == "⟦Okay, let me check that⟧ 3 is odd, so that 9 is"
    )


def test_equal_ids_for_equal_pages_only(page):
    first, text = page('[[style]]\nphrases = ["so"]'), '# a comment\n[[style]]\nphrases = [\n  "so",\n]'
    assert page(text).id == first.id
    changed = [text.replace("so", "but"), text.replace("style", "capability"), text + "\nconfidence = 0.8"]
    changed += [text + '\n[words]\nx = ["a"]', "lookahead = 1\n" + text, "literal = []\n" + text]
    assert len({first.id, *(page(other).id for other in changed)}) == 7


@pytest.mark.parametrize(
    ("context", "text", "expected"),
    [
        ("x\n```py\nfoo", "\nso wait\n```\nso x", "\nso wait\n```\n⟦so⟧ x"),
        ("the sum $a", " so, so$, so x", " so, so$, ⟦so⟧ x"),
        ("he said “well", " so, so”, so x", " so, so”, ⟦so⟧ x"),
        ("x is even.", " So x", " ⟦So⟧ x"),
        ("x is even", " So x", " So x"),
        ("x is even,", " so x", " ⟦so⟧ x"),
        ("x is even\n", "then x", "⟦then⟧ x"),
        ("x is even\n\n  ", "then x", "⟦then⟧ x"),
        ("", "then x", "⟦then⟧ x"),
        (" ", "then x", "⟦then⟧ x"),
        ("x is odd. Let", " me check 5", " ⟦me check⟧ 5"),
        ("x. I need", " to x", " ⟦to⟧ x"),
        ("x. So", "so x", "⟦so⟧ x"),  # glued on: a word of its own
        ("x. so", " that x", " ⟦that⟧ x"),
        ("a `stray", " so\n\nso x", " so\n\n⟦so⟧ x"),
    ],
)
def test_context_keeps_the_state(context, text, expected):
    """What stands before a session's text counts, whoever wrote it and however it came."""
    general = load("general")
    assert marked(general, text, context=context) == expected
    for cut in range(len(context) + 1):
        if re.fullmatch(r"\s?", context[cut : cut + 1]):  # not inside a word: a seam would end it
            session = general.session(Author.TEACHER)
            session.feed(context[:cut])
            session.context(context[cut:])
            assert render(text, session.feed(text) + session.finish(), len(context)) == expected


def test_a_context_settles_what_is_owed():
    session = load("general").session(Author.STUDENT)
    assert session.feed("So let me") == []
    session.context(" 3 + 4")
    assert session.finish() == []
    assert [v.start for v in session.feed(" a b") + session.finish()] == [16, 18]


def test_a_verdict_once_given_is_not_given_again():
    session = load("general").session(Author.STUDENT)
    assert [v.end for v in session.feed("Okay, x y z ")] == [5, 7]
    session.rollback(8)
    assert session.feed("y z ") == []
    assert [v.end for v in session.feed("w ")] == [9]  # y has two words behind it again
    session.rollback(3)  # inside a word: it is written anew
    assert [(v.start, v.end) for v in session.feed("ra x") + session.finish()] == [(0, 5), (6, 7)]


def test_a_rollback_goes_behind_a_finish():
    session = load("general").session(Author.STUDENT)
    session.feed("let m")
    assert [v.end for v in session.finish()] == [3, 5]
    session.rollback(4)
    verdicts = session.feed("me check x y z ")
    assert [(v.start, v.end, v.style) for v in verdicts] == [(4, 6, True), (7, 12, True), (13, 14, False)]


def test_pitfall_21_so_is_not_found_inside_also():
    """Phrases are found by word, not by substring; curly quotes and Markdown do not hide them."""
    text = "The solution is also sorted; Wait-free, but-not Butter x. ⟦Let’s⟧ do **x**, ⟦so⟧ y"
    assert marked(load("general"), plain(text)) == text.replace("; Wait-free", "; Wait-free")


def test_pitfall_23_a_verdict_does_not_depend_on_how_far_generation_ran_ahead():
    general = load("general")
    text = "Okay, so let me check the area. But wait, maybe I should verify that 3 divides 12, so that it fits."
    whole = general.session(Author.STUDENT).feed(text + " x x x")
    for end in range(len(text)):
        session = general.session(Author.STUDENT)
        given = [v for character in text[:end] for v in session.feed(character)]
        assert given == whole[: len(given)]


def test_the_same_for_both_roles_and_in_batches():
    general = load("general")
    teacher, student = general.session(Author.TEACHER), general.session(Author.STUDENT)
    first, second = asyncio.run(general.advance([Step(teacher, "So x", True), Step(student, "So x", True)]))
    assert first == second == [(0, 2, True, 0.97), (3, 4, False, first[1].confidence)]


def test_confidences_mean_something():
    """A digit is surer than a word of content, that than one right after style; all are probabilities."""
    verdicts = load("general").session(Author.STUDENT).feed("So red balls weigh 12 x x ")
    assert [v.style for v in verdicts] == [True, False, False, False, False]
    _, after_style, content, _, number = (v.confidence for v in verdicts)
    assert 0.5 < after_style < content < number < 1


def test_memory_does_not_grow_with_context():
    session = load("general").session(Author.STUDENT)
    piece = "Okay, so the sum of 3 and 4 is 7. " * 100
    tracemalloc.start()
    for _ in range(30):
        session.context(piece)
        session.feed(" so")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 200_000  # 27,000 words would take some megabytes


def test_the_memory_for_words_is_bounded(monkeypatch):
    monkeypatch.setattr("antiphon.boundary.reading._CACHED_WORDS", 100)
    predictor = RulesPredictor(load_page("general"))
    session = predictor.session(Author.STUDENT)
    session.feed("x" * 10_000 + " ")
    assert len(predictor.see) == 0
    session.feed(" ".join(f"w{n}" for n in range(1_000)))
    assert len(predictor.see) <= 100


@pytest.mark.parametrize("name", shipped_pages())
def test_a_long_stretch_of_openers(name):
    predictor = load(name)
    session = predictor.session(Author.STUDENT)
    verdicts = session.feed("so but wait let me the this is a " * 2_000)
    assert len(verdicts) == 18_000 - predictor.lookahead
    session.rollback(verdicts[-1].end)
    assert session.feed(" x y z ")[-1].end == verdicts[-1].end + 2 * (3 - predictor.lookahead)
