"""Taggers in this process: what they say depends on the text alone, and a turn costs its new words."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.boundary.base import Session, Step, Verdict
from antiphon.boundary.checkpoint import read_tokens
from antiphon.boundary.tagger import Tagger
from antiphon.boundary.tagging import GRID
from antiphon.boundary.words import words
from antiphon.errors import PredictorError
from antiphon.trace import Author

from . import classifiers
from .contract import check_contract, traces, whole

WINDOW = 128
KINDS = {
    "behind the word": ("Qwen3", {"window": WINDOW}),
    "one word later": ("Llama", {"lookahead": 1, "end": 2, "window": WINDOW}),
    "two words later": ("Qwen3", {"lookahead": 2, "end": 2, "start": 0, "window": WINDOW}),
    "before the word": ("Qwen3", {"label_offset": 1, "window": WINDOW}),
    "sliding attention": ("Gemma2", {"lookahead": 1, "end": 2, "window": WINDOW}),
}
_PIECES = ["Okay, so", "let me check", "3 + 4 = 7.", "Wait,", "但是", "f(x) = x_1", "naïve", "\n\n", "\n", "  ", "🙂"]


@pytest.fixture(scope="module")
def taggers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tagger]]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # models so small only lose by more
    folder = tmp_path_factory.mktemp("taggers")
    made = {
        name: Tagger.load(str(classifiers.make(folder / str(number), shape=shape, says=says)))
        for number, (name, (shape, says)) in enumerate(KINDS.items())
    }
    yield made
    for tagger in made.values():
        asyncio.run(tagger.close())
    torch.set_num_threads(before)


def text_of(random: Random, pieces: int) -> str:
    return "".join(random.choice(_PIECES) + random.choice([" ", " ", ""]) for _ in range(pieces))


def read(session: Session, text: str, random: Random | None = None) -> list[Verdict]:
    """The verdicts on a text, in one piece or cut at random."""
    if random is None:
        return whole(session.feed(text) + session.finish())
    verdicts, at = [], 0
    while at < len(text):
        cut = at + random.choice([1, 2, 7, 30])
        verdicts += session.feed(text[at:cut])
        at = cut
    return whole(verdicts + session.finish())


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=12, deadline=None)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_contract(taggers: dict[str, Tagger], name: str, trace: list, random: Random) -> None:
    check_contract(taggers[name], trace, random)


@pytest.mark.parametrize("name", KINDS)
def test_verdicts_do_not_depend_on_cutting_across_windows(taggers: dict[str, Tagger], name: str) -> None:
    tagger, random = taggers[name], Random(name)
    text = text_of(random, 150)
    expected = read(tagger.session(Author.STUDENT), text)
    assert len({verdict.style for verdict in expected}) == 2
    assert read(tagger.session(Author.STUDENT), text, random) == expected


@pytest.mark.parametrize("name", KINDS)
def test_verdicts_across_windows_do_not_depend_on_what_was_rolled_back(taggers: dict[str, Tagger], name: str) -> None:
    tagger, random = taggers[name], Random(name)
    text = text_of(random, 150)
    expected = read(tagger.session(Author.STUDENT), text)
    session, verdicts, at = tagger.session(Author.STUDENT), [], 0
    while at < len(text):
        verdicts += session.feed(text[at : at + random.randint(1, 80)])
        at = random.randint(max(0, session.position - 60), session.position)
        session.rollback(at)
        verdicts = [verdict for verdict in verdicts if verdict.end <= at]
        verdicts += session.feed(text[at : at + 30])
        at = session.position
    assert whole(verdicts + session.finish()) == expected


@pytest.mark.parametrize("name", KINDS)
def test_every_label_has_a_quarter_of_a_window_before_it(taggers: dict[str, Tagger], name: str) -> None:
    tagger = taggers[name]
    text, start = text_of(Random(name), 400), tagger.layout.start
    queries = tagger.session(Author.STUDENT).ask(text, finish=True)
    assert len(queries) > 8
    assert sum(len(query.places) for query in queries) == len(words(text))
    for number, query in enumerate(queries):
        extra = (start is not None) + max(0, tagger.lookahead)
        assert len(query.ids) <= WINDOW + extra
        assert list(query.places) == sorted(query.places)
        assert query.places[-1] < len(query.ids)
        assert number == 0 or query.places[0] >= WINDOW // 4 - 32
        assert start is None or query.ids[0] == start


def by_hand(folder: Path, text: str, lookahead: int, start: int | None, end: int) -> list[float]:
    """What transformers itself says of each word of a text shorter than a window, in one pass."""
    vocabulary = read_tokens(folder)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    ids = [] if start is None else [start]
    before, after, done = [], [], 0
    for first, last in words(text):
        gap, word = text[done:first], text[first:last]
        if gap.endswith(" "):
            gap, word = gap[:-1], f" {word}"
        ids += vocabulary.encode(gap)
        before.append(len(ids) - 1)
        ids += vocabulary.encode(word)
        after.append(len(ids) - 1)
        done = last
    after += [len(ids) + number for number in range(max(0, lookahead))]
    ids += [end] * max(0, lookahead)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0]
    said = (logits[:, 1] - logits[:, 0]).tolist()
    places = before if lookahead < 0 else after[lookahead:]
    return [said[place] for place in places]


@pytest.mark.parametrize("name", KINDS)
def test_verdicts_are_what_transformers_says_at_these_tokens(taggers: dict[str, Tagger], name: str) -> None:
    tagger, text = taggers[name], text_of(Random(1), 14)
    says = KINDS[name][1]
    assert tagger.lookahead == says.get("lookahead", -says.get("label_offset", 0))
    layout = tagger.layout
    expected = by_hand(tagger.checkpoint.folder, text, tagger.lookahead, layout.start, 2)
    found = read(tagger.session(Author.TEACHER), text)
    assert [(v.start, v.end) for v in found] == words(text)
    for verdict, value in zip(found, expected, strict=True):
        style = 1 / (1 + math.exp(-value))
        assert abs(verdict.confidence - (style if verdict.style else 1 - style)) < 0.5 / GRID


def test_the_noise_of_company_tips_no_verdict(taggers: dict[str, Tagger], monkeypatch: pytest.MonkeyPatch) -> None:
    tagger, random = taggers["behind the word"], Random(11)
    alone = tagger.classifier._forward

    def noisy(segments: Any, ids: Any, positions: Any) -> list[float]:
        noise = 0.0 if len(segments) == 1 and segments[0].at == 0 else 1e-4
        return [value + random.uniform(-noise, noise) for value in alone(segments, ids, positions)]

    text = text_of(random, 700)
    monkeypatch.setattr(tagger.classifier, "_forward", noisy)
    steps = [Step(tagger.session(Author.STUDENT), text, True) for _ in range(2)]
    first, second = asyncio.run(tagger.advance(steps))
    assert first == second == read(tagger.session(Author.STUDENT), text, random)


def test_concurrent_traces_are_answered_together_and_as_if_alone(taggers: dict[str, Tagger]) -> None:
    tagger, random = taggers["one word later"], Random(3)
    texts = [text_of(random, random.randint(5, 60)) for _ in range(12)]
    alone = [read(tagger.session(Author.STUDENT), text) for text in texts]

    async def trace(text: str) -> list[Verdict]:
        session, verdicts = tagger.session(Author.STUDENT), []
        own = Random(text)
        while text:
            cut = own.randint(1, 40)
            (found,) = await tagger.advance([Step(session, text[:cut], finish=not text[cut:])])
            verdicts += found
            text = text[cut:]
        return verdicts

    async def together() -> list[list[Verdict]]:
        return await asyncio.gather(*map(trace, texts))

    assert asyncio.run(together()) == alone


def test_steps_of_one_session_are_carried_out_in_order(taggers: dict[str, Tagger]) -> None:
    tagger = taggers["two words later"]
    one, other = tagger.session(Author.STUDENT), tagger.session(Author.STUDENT)
    steps = [Step(one, "Okay, so "), Step(other, "x", finish=True), Step(one, "let me", finish=True)]
    first, second, third = asyncio.run(tagger.advance(steps))
    assert first + third == read(tagger.session(Author.STUDENT), "Okay, so let me")
    assert [(v.start, v.end) for v in second] == [(0, 1)]


def test_a_turn_costs_its_new_words(taggers: dict[str, Tagger]) -> None:
    tagger = taggers["one word later"]
    session = tagger.session(Author.STUDENT)
    session.feed("Okay, so let me check the sum of 3 and 4 and then ")
    before = tagger.forwarded
    session.feed("go on ")
    spent = tagger.forwarded - before
    session.rollback(session.position - 3)
    session.context("on ")
    before = tagger.forwarded
    session.feed("go on ")
    assert spent < 8
    assert tagger.forwarded - before < 12


def test_the_cost_of_a_turn_does_not_grow(taggers: dict[str, Tagger]) -> None:
    tagger, random = taggers["one word later"], Random(5)
    session = tagger.session(Author.STUDENT)
    costs: list[int] = []  # tokens per turn of ten words, each half taken back and written again
    for _ in range(800):
        turn = "".join(f"{random.choice(('so', 'we', 'add', '3', 'to', 'x'))} " for _ in range(10))
        before = tagger.forwarded
        session.feed(turn)
        session.rollback(session.position - len(turn) // 2)
        session.context(turn[-(len(turn) // 2) :])
        costs.append(tagger.forwarded - before)
    early, late = sum(costs[10:110]) / 100, sum(costs[-100:]) / 100
    print(f"tokens a turn: {early:.1f} from word 100 on, {late:.1f} up to word 8,000")
    assert late < 1.2 * early
    assert len(session._words) < WINDOW + 30


def test_little_memory_is_shared_by_forgetting(taggers: dict[str, Tagger]) -> None:
    tagger = taggers["one word later"]
    small = Tagger.load(str(tagger.checkpoint.folder), memory=1)
    texts = [text_of(Random(seed), 20) for seed in range(4)]
    sessions = [small.session(Author.STUDENT) for _ in texts]
    verdicts: list[list[Verdict]] = [[] for _ in texts]
    for at in range(0, 400, 20):
        steps = [Step(session, text[at : at + 20]) for session, text in zip(sessions, texts, strict=True)]
        for said, new in zip(verdicts, asyncio.run(small.advance(steps)), strict=True):
            said += new
    for session, text, said in zip(sessions, texts, verdicts, strict=True):
        assert said + session.finish() == read(tagger.session(Author.STUDENT), text)
    asyncio.run(small.close())


def test_what_a_session_held_goes_with_it(taggers: dict[str, Tagger]) -> None:
    classifier = taggers["one word later"].classifier
    gc.collect()
    before = len(classifier._held)
    session = taggers["one word later"].session(Author.STUDENT)
    session.feed("Okay, so let me ")
    assert len(classifier._held) == before + 1
    del session
    gc.collect()
    assert len(classifier._held) == before


def test_the_threshold_decides(taggers: dict[str, Tagger]) -> None:
    plain = taggers["behind the word"]
    folder, text = plain.checkpoint.folder, text_of(Random(2), 30)
    usual = read(plain.session(Author.STUDENT), text)
    shares = []
    for threshold in (0.01, 0.3, 0.7, 0.99):
        tagger = Tagger.from_spec(f"{folder}?threshold={threshold}")
        verdicts = read(tagger.session(Author.STUDENT), text)
        shares.append(sum(v.style for v in verdicts))
        for one, other in zip(usual, verdicts, strict=True):
            style = one.confidence if one.style else 1 - one.confidence
            assert other.style == (style > threshold)
        assert tagger.id == f"{plain.id}:threshold={threshold:g}"
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1]


def test_equal_ids_mean_equal_checkpoints(tmp_path: Path) -> None:
    def id_of(**made: object) -> str:
        return Tagger.load(str(classifiers.make(tmp_path / "same", **made))).id  # type: ignore[arg-type]

    ids = [id_of(), id_of(), id_of(seed=1), id_of(says={"label_offset": 1}), id_of(labels={0: "style", 1: "cap"})]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_broken_weights_are_told(tmp_path: Path) -> None:
    folder = classifiers.make(tmp_path / "broken")
    tagger = Tagger.load(str(folder))
    with torch.no_grad():
        tagger.classifier._model.score.weight.fill_(math.nan)
    with pytest.raises(PredictorError, match="broken gives no numbers here"):
        tagger.session(Author.STUDENT).feed("Okay, so ")


def test_long_words_are_shown_in_part(taggers: dict[str, Tagger]) -> None:
    tagger = taggers["one word later"]
    text = f"so {'x1' * 5000} {chr(10) * 500}check {'好' * 300} "
    before = tagger.forwarded
    verdicts = read(tagger.session(Author.STUDENT), text)
    assert [(v.start, v.end) for v in verdicts] == words(text)
    assert tagger.forwarded - before < 6 * 400
    assert read(tagger.session(Author.STUDENT), text, Random(1)) == verdicts


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", ["qwen3", "r1-distill-qwen", "gpt-oss"])
def test_word_by_word_equals_the_full_pass_on_500_texts(shared: Path, tmp_path: Path, vocabulary: str) -> None:
    says = {"lookahead": 2, "end": 2, "window": WINDOW}
    folder = classifiers.make(tmp_path / "tagger", says=says, tokenizer=shared / "tokenizers" / vocabulary)
    tagger = Tagger.load(str(folder))
    lines = (shared / "style_spans.jsonl").read_text("utf-8").splitlines()[:500]
    texts = [json.loads(line)["text"] for line in lines]

    async def bulk() -> list[list[Verdict]]:
        return await tagger.advance([Step(tagger.session(Author.STUDENT), text, True) for text in texts])

    async def online() -> list[list[Verdict]]:
        sessions = [tagger.session(Author.STUDENT) for _ in texts]
        verdicts: list[list[Verdict]] = [[] for _ in texts]
        ends = [[0, *(end for _, end in words(text)), len(text)] for text in texts]
        for number in range(max(map(len, ends))):
            steps = [
                Step(session, text[cuts[number] : cuts[number + 1]])
                for session, text, cuts in zip(sessions, texts, ends, strict=True)
                if number + 1 < len(cuts)
            ]
            found = iter(await tagger.advance(steps))
            for said, cuts in zip(verdicts, ends, strict=True):
                said += next(found) if number + 1 < len(cuts) else []
        for said, session in zip(verdicts, sessions, strict=True):
            said += (await tagger.advance([Step(session, "", True)]))[0]
        return verdicts

    assert asyncio.run(online()) == asyncio.run(bulk())
