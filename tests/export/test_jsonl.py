"""A row is one line for every reader, whatever it holds."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.export.jsonl import decoded, encoded

texts = st.text(st.characters() | st.sampled_from('\0\x7f\x85\u2028\u2029\ud800\udfff😀\r\n"\\'))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def in_json(value: object) -> object:
    """The value as JSON has it, where two surrogates side by side are one character."""
    return json.loads(json.dumps(value))


@given(st.dictionaries(texts, values, max_size=4))
@example({"above 64 bits": 2**70, "half": "\ud800"})
@example({"pair": "\ud83d\ude00", "line ends": "\x85\u2028\u2029"})
def test_any_row_is_one_line_and_comes_back(row: dict[str, object]) -> None:
    line, has_surrogate = encoded(row)
    text = line.decode()
    assert text.splitlines(keepends=True) == [text]
    assert text.endswith("\n")
    assert json.loads(text) == in_json(row)
    assert has_surrogate == any("\ud800" <= character <= "\udfff" for character in json.dumps(row, ensure_ascii=False))


@given(texts)
def test_texts_are_read_back_as_by_anybody(text: str) -> None:
    assert decoded(encoded({"text": text})[0]) == in_json({"text": text})
