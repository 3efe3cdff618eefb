"""How well a boundary predictor finds style: precision, recall and F1 by word, F1 of boundaries, by domain; and speed.

    python bench/boundary.py                          the shipped page of each domain
    python bench/boundary.py --boundary general       one predictor for all domains
    python bench/boundary.py --lookahead 1 2          pages without the phrases that need more

The data is a JSON-lines file of slices with marked style spans (`text`, `style` as [start, end) pairs, `domain`,
`problem_key`), split in two halves by problem: phrases were chosen on `dev` only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

from antiphon.boundary import load
from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.rules import RulesPredictor
from antiphon.boundary.words import words
from antiphon.trace import Author

DATA = Path(__file__).parents[2] / "shared" / "data" / "style_spans.jsonl"
PAGES = {"math": "math", "logic": "general", "argument": "general", "code": "code", "sql": "sql", "support": "support"}


@dataclass
class Counts:
    """Words (right, given, true: of class style) and boundaries (found exactly and within one word, given, true)."""

    right: int = 0
    given: int = 0
    true: int = 0
    exact: int = 0
    near: int = 0
    cuts_given: int = 0
    cuts_true: int = 0

    def add(self, other: Counts) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self) -> str:
        precision, recall = self.right / max(1, self.given), self.right / max(1, self.true)
        f1 = 2 * self.right / max(1, self.given + self.true)
        cuts = max(1, self.cuts_given + self.cuts_true)
        return f"{precision:.3f} | {recall:.3f} | {f1:.3f} | {2 * self.exact / cuts:.3f} | {2 * self.near / cuts:.3f}"


def half(problem_key: str) -> str:
    """Which half a problem belongs to."""
    return "dev" if hashlib.sha256(problem_key.encode()).digest()[0] % 2 else "test"


def truth(text: str, style: Iterable[tuple[int, int]]) -> list[bool]:
    """The marked class of each word: style if its first character lies in a span."""
    spans = [tuple(span) for span in style]
    return [any(start <= first < end for start, end in spans) for first, _ in words(text)]


def cuts(classes: list[bool]) -> list[tuple[int, bool]]:
    """The boundaries: each word, by number, whose class differs from that of the word before it, and its class."""
    return [(n, c) for n, c in enumerate(classes) if n and c != classes[n - 1]]


def matched(given: list[tuple[int, bool]], true: list[tuple[int, bool]], within: int) -> int:
    """How many boundaries of the same direction can be paired, at most `within` words apart, each once."""
    pairs = 0
    for direction in (True, False):
        left = [n for n, c in true if c is direction]
        for n in (n for n, c in given if c is direction):
            near = next((m for m in left if abs(m - n) <= within), None)
            if near is not None:
                left.remove(near)
                pairs += 1
    return pairs


def compare(given: list[bool], true: list[bool]) -> Counts:
    cuts_given, cuts_true = cuts(given), cuts(true)
    return Counts(
        right=sum(g and t for g, t in zip(given, true, strict=True)),
        given=sum(given),
        true=sum(true),
        exact=matched(cuts_given, cuts_true, 0),
        near=matched(cuts_given, cuts_true, 1),
        cuts_given=len(cuts_given),
        cuts_true=len(cuts_true),
    )


def judge(predictor: BoundaryPredictor, text: str, online: bool) -> list[bool]:
    """The classes of a text's words; online those of the words that have their look-ahead within the text."""
    session = predictor.session(Author.STUDENT)
    if not online:
        return [v.style for v in session.feed(text) + session.finish()]
    ends = [0, *(end for _, end in words(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(ends)]
    return [v.style for piece in pieces for v in session.feed(piece)]


def speed(predictor: BoundaryPredictor, text: str) -> tuple[float, float]:
    """Words per second in bulk, microseconds a word where each is fed alone."""
    spans = words(text)
    session, start = predictor.session(Author.STUDENT), time.process_time()
    session.feed(text)
    bulk = len(spans) / (time.process_time() - start)
    spans = spans[:50_000]
    pieces = [text[a:b] for a, b in zip([0, *(end for _, end in spans)], [end for _, end in spans], strict=False)]
    session, start = predictor.session(Author.STUDENT), time.process_time()
    for piece in pieces:
        session.feed(piece)
    return bulk, (time.process_time() - start) / len(pieces) * 1e6


def predictors(spec: str | None, lookahead: int | None) -> dict[str, BoundaryPredictor]:
    """The predictor of each domain."""
    chosen = {}
    for domain, page in PAGES.items():
        predictor = load(spec or page)
        if lookahead is not None:
            if not isinstance(predictor, RulesPredictor):
                raise SystemExit("--lookahead needs a rule page")
            predictor = RulesPredictor(predictor.page.shortened(lookahead))
        chosen[domain] = predictor
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", help="one predictor for all domains (default: the domain's page)")
    parser.add_argument("--lookahead", type=int, nargs="*", default=[None])
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    slices = [json.loads(line) for line in arguments.data.read_text(encoding="utf-8").splitlines()]
    for lookahead in arguments.lookahead:
        by_domain = predictors(arguments.boundary, lookahead)
        print(f"\nlook-ahead {max(p.lookahead for p in by_domain.values())}\n")
        print("| half | domain | feed | slices | precision | recall | style F1 | boundary F1 | within one word |")
        print("|---|---|---|---|---|---|---|---|---|")
        for part in ("dev", "test"):
            counts: dict[tuple[str, str], Counts] = defaultdict(Counts)
            number: dict[str, int] = defaultdict(int)
            for row in (row for row in slices if half(row["problem_key"]) == part):
                true = truth(row["text"], row["style"])
                for feed in ("whole", "online"):
                    given = judge(by_domain[row["domain"]], row["text"], feed == "online")
                    for domain in (row["domain"], "all"):
                        counts[domain, feed].add(compare(given, true[: len(given)]))
                for domain in (row["domain"], "all"):
                    number[domain] += 1
            for domain in (*PAGES, "all"):
                for feed in ("whole", "online") if domain == "all" else ("online",):
                    print(f"| {part} | {domain} | {feed} | {number[domain]} | {counts[domain, feed].row()} |")
    text = "\n\n".join(row["text"] for row in slices) * 4
    for page in dict.fromkeys(PAGES.values()):
        bulk, single = speed(load(arguments.boundary or page), text)
        print(f"\n{arguments.boundary or page}: {bulk:,.0f} words/s in bulk, {single:.1f} µs a word one by one")


if __name__ == "__main__":
    main()
