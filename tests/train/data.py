"""Rows as `antiphon export --format tokens` writes them, made by hand for the embedded student."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from antiphon.export.student import read_student
from antiphon.export.tokens import AUTHORS, KINDS
from antiphon.trace import Author, Kind

STUDENT = read_student("lab:student")
PROMPT, MARKER = KINDS.index("prompt"), KINDS.index(Kind.MARKER)

Stretch = tuple[Sequence[int], str, Author]


def encode(text: str) -> list[int]:
    return list(STUDENT.vocabulary.encode(text))


def control(token: str) -> int:
    found = STUDENT.vocabulary.control_id(token)
    assert found is not None
    return found


def row(name: str, question: str, turns: Sequence[tuple[Kind, str]], answer: str) -> dict[str, Any]:
    """A row of a trace in turns: style by the student, capability by the teacher, the answer by the student."""
    prompt = STUDENT.vocabulary.encode_parts(STUDENT.dialect.render([{"role": "user", "content": question}]))
    stretches: list[Stretch] = [([control("<think>"), *encode("\n")], Kind.MARKER, Author.NONE)]
    for kind, text in turns:
        stretches.append((encode(text), kind, Author.STUDENT if kind is Kind.STYLE else Author.TEACHER))
    stretches.append(([*encode("\n"), control("</think>"), *encode("\n\n")], Kind.MARKER, Author.NONE))
    stretches.append((encode(answer), Kind.ANSWER, Author.STUDENT))
    stretches.append(([control("<|im_end|>")], Kind.MARKER, Author.NONE))
    return tokens_row(name, prompt, stretches)


def tokens_row(name: str, prompt: Iterable[int], stretches: Sequence[Stretch]) -> dict[str, Any]:
    before = list(prompt)
    response = [id for ids, _, _ in stretches for id in ids]
    return {
        "id": name,
        "input_ids": [*before, *response],
        "attention_mask": [1] * (len(before) + len(response)),
        "labels": [-100] * len(before) + response,
        "assistant_masks": [0] * len(before) + [1] * len(response),
        "author": [0] * len(before) + [AUTHORS.index(author) for ids, _, author in stretches for _ in ids],
        "kind": [PROMPT] * len(before) + [KINDS.index(kind) for ids, kind, _ in stretches for _ in ids],
        "tokenizer": STUDENT.vocabulary.digest,
    }


def rows(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Traces of multiplications; some are longer than others."""
    random, made = Random(seed), []
    for at in range(number):
        digits, by = random.randint(11, 99), random.randint(2, 9)
        turns = [(Kind.STYLE, "Alright, here goes"), (Kind.CAPABILITY, f" units {digits % 10}x{by}={digits % 10 * by}")]
        for _ in range(random.randint(0, 2)):
            turns += [(Kind.STYLE, " okay, so"), (Kind.CAPABILITY, f" tens {digits // 10}x{by}")]
        made.append(row(f"{at}:tessy:0", f"What is {digits} times {by}?", turns, f"So it is {digits * by}."))
    return made


def write(path: Path, made: Iterable[object]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in made), "utf-8")
    return path
