"""Random authors: what they say next is a function of the text alone, so cutting and asking again changes nothing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.dialect import Dialect, text_of
from antiphon.engine.scripted import Control, Script, Situation, Token
from antiphon.engine.vocabulary import Vocabulary

STYLE_LETTERS = "OWSBh好等哈Éж"
"""A word is style where it begins with one of these."""

STYLE = (
    " Okay",
    " Wait",
    ",",
    " So",
    " But",
    " hm",
    "m",
    "好",
    "等",
    "哈",
    " Éa",
    " жо",
    "Okay",
    "So",
    "\nBut",
    "好的",
)
CAPABILITY = (
    " two",
    " x",
    "=",
    "1",
    " 9",
    "算",
    "y",
    "y2",
    " (",
    ")",
    "\u0301",
    "\u202ea",
    "\u2028",
    "\x00",
    "数算",
    "😀",
)
BETWEEN = (
    " ",
    "  ",
    "\n\n",
    ".\n\n",
    ".",
    "，",
    '" "',
    "\t",
    "\n ",
    " \n",
    "好算",
    "算好",
    "\u3000",
    "\u00a0",
    '"',
    " <",
    "</",
    "\r\n",
    "\n```\n",
    "```",
)


def is_style(word: str) -> bool:
    return word[0] in STYLE_LETTERS


def sureness(word: str) -> float:
    return 0.5 + (ord(word[0]) % 5) / 10


@dataclass(frozen=True)
class Temper:
    """How an author talks: seed, how much of it is style, how often it ends or closes."""

    seed: int
    style: float
    end: float = 0.02
    close: float = 0.02


def author(temper: Temper, dialect: Dialect, vocabulary: Vocabulary | None = None) -> Script:
    """A script for an engine with this vocabulary (None: the scripted one, where characters also come in halves)."""
    close: Token = Control(dialect.close_token) if dialect.close_token is not None else str(dialect.close_text)
    end = Control(dialect.ends[0])
    closed = text_of(dialect.closing("\n"))
    style, capability, between = (
        [token for token in tokens if vocabulary is None or _is_one(vocabulary, token)]
        for tokens in (STYLE, CAPABILITY, BETWEEN)
    )

    def next_token(text: str) -> Token:
        digest = hashlib.blake2b(f"{temper}{text[-24:]!r}{len(text)}".encode(), digest_size=8).digest()
        rng = random.Random(digest)
        if closed in text:
            return rng.choice([*style, *capability, end])
        draw = rng.random()
        if draw < temper.close:
            return close
        if draw < temper.close + temper.end:
            return end
        if draw < 0.3:
            return rng.choice(between)
        return rng.choice(style if rng.random() < temper.style else capability)

    def script(here: Situation) -> Iterator[Token]:
        text = here.text
        while True:
            token = next_token(text)
            if token == "😀" and vocabulary is None:
                yield from (b"\xf0", b"\x9f\x98")
                token = b"\x80"
                text += "😀"
            else:
                text += token.text if isinstance(token, Control) else str(token)
            yield token

    return script


def _is_one(vocabulary: Vocabulary, token: str) -> bool:
    """A script must come out the same when it is asked again after any token, so its tokens are the vocabulary's own;
    a character of several tokens is asked for whole."""
    return len(vocabulary.encode(token)) == 1 or len(token) == 1
