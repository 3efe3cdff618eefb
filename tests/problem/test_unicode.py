"""Any Unicode may come in, and nothing of it is lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.problem import Problem, load
from antiphon.problem.record import CONVERSATIONS, IDS, REFERENCE, TEXTS

AWKWARD = "\x00\x0b\x0c\x1c\x1d\x1e\x7f\x85\u2028\u2029\ufeff\u200f\u0301\ud800\udfff😀"

# JSON has no way to spell a high surrogate followed by a low one as two characters.
text = st.text(st.one_of(st.characters(), st.sampled_from(AWKWARD))).map(
    lambda t: t.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
)
said = text.filter(lambda t: bool(t.strip()))
value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
TAKEN = {*CONVERSATIONS, *TEXTS, *IDS, REFERENCE, "tools", "functions", "input"}
metadata = st.dictionaries(text.filter(lambda name: name not in TAKEN), value, max_size=4)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    messages: list[Any] = [{"role": "system", "content": draw(text)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        messages += [{"role": "user", "content": draw(said)}, {"role": "assistant", "content": draw(text)}]
    messages.append({"role": "user", "content": draw(said)})
    own_id = draw(text.filter(lambda t: t not in ("", "NaN")))
    return Problem(own_id, tuple(messages), draw(metadata))


def record(problem: Problem) -> dict[str, Any]:
    return {"id": problem.id, "messages": list(problem.messages), **problem.metadata}


def read_back(name: str, data: bytes) -> list[Problem]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        loaded = load(path)
    loaded.require_good()
    return loaded.problems


def spelled(value: Any, ascii_only: bool) -> bytes:
    """JSON as writers differ: all escaped, or as little as can be (lone surrogates have to be)."""
    if ascii_only:
        return json.dumps(value).encode()
    escaped = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return "".join(
        f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in escaped.decode("utf-16-le", "surrogatepass")
    ).encode()


@given(st.lists(problems(), min_size=1, max_size=4, unique_by=lambda p: p.id), st.booleans(), st.booleans())
def test_any_record_round_trips_through_a_file(given: list[Problem], ascii_only: bool, packed: bool) -> None:
    rows = [spelled(record(problem), ascii_only) for problem in given]
    for name, data in {"p.jsonl": b"\n".join(rows), "p.json": b"[" + b",\r\n".join(rows) + b"]"}.items():
        read = read_back(name, gzip.compress(data) if packed else data)
        assert [(p.id, p.messages, p.metadata) for p in read] == [(p.id, p.messages, p.metadata) for p in given]


@given(st.lists(st.tuples(said, text), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
def test_any_text_that_utf_8_can_spell_round_trips_through_csv(pairs: list[tuple[str, str]]) -> None:
    pairs = [(a, b) for a, b in pairs if not any("\ud800" <= c <= "\udfff" for c in a + b)]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerows([("problem", "answer"), *pairs])
    if pairs:
        read = read_back("p.csv", stream.getvalue().encode())
        assert [(p.messages[0]["content"], p.metadata["answer"]) for p in read] == pairs


@pytest.mark.parametrize("character", AWKWARD)
def test_no_character_splits_a_line_or_is_lost(character: str) -> None:
    problem = f"before{character}after"
    (read,) = read_back("p.jsonl", spelled({"problem": problem}, ascii_only=False) + b"\n")
    assert read.messages[0]["content"] == problem
