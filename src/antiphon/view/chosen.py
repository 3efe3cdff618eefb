"""Which traces a list shows, in which order: from an address or a command line, to SQL and to addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlencode

from antiphon.boundary.words import CJK
from antiphon.errors import UsageError
from antiphon.store.columns import text_in
from antiphon.trace import Status
from antiphon.verify.result import Result

PENDING = "pending"
STATUSES = (*(status.value for status in Status), PENDING)
AUTHORS = ("teacher", "student", "unknown")
SORTS = {
    "order": "problem",
    "longest": "max(tokens) DESC, problem",
    "shortest": "min(tokens), problem",
    "most": "max({author}) DESC, problem",
    "least": "min({author}), problem",
    "newest": "max(finished) DESC, problem",
}
"""How problems may be ordered; `most` and `least` by the share of the chosen author."""

_LONG = 4  # characters: the beginnings of words that are looked for
_SINGLE = re.compile(f"([{CJK}])")
_TERM = re.compile(r'"([^"]+)"|(\S+)')


def spaced(text: str) -> str:
    """Text as it goes into the index of words, and what is looked for there: a word for each CJK character."""
    return text if text.isascii() else _SINGLE.sub(r" \1 ", text)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice of traces; what is empty or None narrows nothing down.

    Attributes:
        variant, status, verdict: one of these; `pending` is a status, a verdict is what a trace came to (`Result`).
        author: whose share `share_from` and `share_to` mean, in percent of the characters.
        tokens_from, tokens_to: lengths.
        search: words that all occur in the question, or all in the response; "in quotes" one after the other.
        page: from 1.
    """

    variant: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    author: str = "teacher"
    share_from: int | None = None
    share_to: int | None = None
    tokens_from: int | None = None
    tokens_to: int | None = None
    search: str = ""
    sort: str = "order"
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, Sequence[str]]) -> Self:
        """The choice that an address makes.

        Raises:
            UsageError: a value is none that its name can have; says which there are.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            given = [value for value in query.get(field.name, ()) if value.strip()]
            if not given:
                continue
            if field.name in ("variant", "status", "verdict"):
                values[field.name] = tuple(given)
            elif field.name in ("author", "search", "sort"):
                values[field.name] = given[-1]
            else:
                values[field.name] = _number(field.name, given[-1])
        return cls(**values)

    def __post_init__(self) -> None:
        known = {"status": STATUSES, "verdict": [result.value for result in Result]}
        for name, given in (("status", self.status), ("verdict", self.verdict)):
            for value in given:
                _one_of(name, value, known[name])
        _one_of("author", self.author, AUTHORS)
        _one_of("sort", self.sort, SORTS)

    def query(self, **changed: Any) -> str:
        """The choice as an address has it, with some of it changed."""
        other = replace(self, **changed)
        pairs: list[tuple[str, Any]] = []
        for field in fields(self):
            value = getattr(other, field.name)
            if value != field.default:
                pairs += [(field.name, one) for one in (value if isinstance(value, tuple) else [value])]
        return urlencode(pairs, errors="surrogatepass")

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return bool(replace(self, sort="order", page=1, author="teacher").query())

    def conditions(self) -> tuple[str, list[Any]]:
        """A condition on the rows of `traces` in the index, and its values. Where words are looked for, the documents
        that have them (`match`) are in a table `found`."""
        parts: list[str] = ["1"]
        values: list[Any] = []
        for column, given in (("variant", [*map(text_in, self.variant)]), ("result", self.verdict)):
            if given:
                parts.append(f"{column} IN ({', '.join('?' * len(given))})")
                values += given
        if self.status:
            parts.append(f"coalesce(status, '{PENDING}') IN ({', '.join('?' * len(self.status))})")
            values += self.status
        # Percents are whole numbers: a share that is shown as 40 % is one of 40.
        for condition, limit in (
            (f"round(100 * {self.author}) >= ?", self.share_from),
            (f"round(100 * {self.author}) <= ?", self.share_to),
            ("tokens >= ?", self.tokens_from),
            ("tokens <= ?", self.tokens_to),
        ):
            if limit is not None:
                parts.append(condition)
                values.append(limit)
        if self.search.strip():
            parts.append("(document IN found OR -problem IN found)")
        return " AND ".join(parts), values

    @property
    def order(self) -> str:
        """By what problems are ordered, as SQL has it."""
        return SORTS[self.sort].format(author=self.author)

    @property
    def match(self) -> str:
        """What is looked for, as FTS5 asks for it: each term a string, so that nothing in it is an operator. Words
        that are not short may go on."""
        terms = []
        for phrase, word in _TERM.findall(spaced(_clean(self.search))):
            term = (phrase or word).replace('"', "")
            if any(map(str.isalnum, term)):
                terms.append(f'"{term}"' + ("*" if len(word) >= _LONG else ""))
        return " ".join(terms) or '""'


def _clean(text: str) -> str:
    return re.sub("[\0\ud800-\udfff]", " ", text)


def _one_of(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise UsageError(f"there is no {name} {value!r}; there are {', '.join(known)}")


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value.strip()):
        raise UsageError(f"{name.replace('_', ' ')}: {value!r} is no whole number")
    return int(value)
