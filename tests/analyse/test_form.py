"""What is counted in a text."""

from __future__ import annotations

import pytest
from hypothesis import given

from antiphon.analyse.form import HABITS, LENGTHS, form_of
from antiphon.analyse.text import Stretch, Text
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, texts

THOUGHT = """Okay, so I need to add 3 and 4. Wait — is it 7? Let me check:

```python
print(3+4)
```

- **yes**, `7` it is; but I need to double-check. 好的。So: $3+4=7$!
"""


def measured(thinking: str, answer: str = "") -> dict[str, tuple[float, float]]:
    parts = (Stretch(STUDENT, THINKING, thinking), Stretch(STUDENT, ANSWER, answer))
    return dict(form_of(Text("k", "p", (), parts)).measures)


def test_what_is_said_and_how_it_is_set() -> None:
    found = measured(THOUGHT, "# Result\n\n1. It is **7**.\n")
    count = found["words of thinking"][0]
    assert found["says “i need to”"] == (2, count)
    assert found["says “wait”"] == (1, count)
    assert found["says “let me”"] == (1, count)
    assert found["says “so”"] == (2, count)
    assert found["code fences"] == (2, count)
    assert found["inline code"] == (1, count)
    assert found["bold"] == (1, count)
    assert found["bullets"] == (1, count)
    assert found["formulas"] == (1, count)
    assert found["question marks"] == (1, count)
    assert found["dashes"] == (1, count)
    assert found["semicolons"] == (1, count)
    assert found["headings in the answer"][0] == found["numbered lines in the answer"][0] == 1
    assert found["words of the answer"] == (6, 1)
    begun = (
        found["sentence begins with “okay”"],
        found["sentence begins with “wait”"],
        found["sentence begins with “let”"],
    )
    assert {over for over, _ in begun} == {1}
    assert found["words in a paragraph"] == (count, 3)


def test_spans_and_style_words_are_of_the_thinking() -> None:
    parts = (
        Stretch(STUDENT, STYLE, "Okay, so "),
        Stretch(TEACHER, CAPABILITY, "3+4 is 7. "),
        Stretch(STUDENT, STYLE, "Okay. "),
        Stretch(STUDENT, ANSWER, "Okay, 7"),
    )
    form = form_of(Text("k", "p", (), parts))
    assert form.style == {"okay": 2, "so": 1}
    assert form.measures["spans in a trace"] == (3, 1)
    assert form.measures["style among the words"] == (3, 6)
    assert form.measures["words in a style span"] == (3, 2)
    assert form.words["okay"] == 2


@given(texts())
def test_any_text_has_a_form_of_known_measures(text: Text) -> None:
    form = form_of(text)
    assert set(form.measures) <= {measure.name for measure in (*LENGTHS, *HABITS)}
    assert all(over >= 0 and under > 0 for name, (over, under) in form.measures.items() if "style among" not in name)
    assert form.style.total() <= form.words.total() + sum(len(one.text) for one in text.stretches)


def test_measures_have_names_of_their_own() -> None:
    names = [measure.name for measure in (*LENGTHS, *HABITS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("blank", ["", " \n\t"])
def test_nothing_has_nothing_to_measure(blank: str) -> None:
    assert measured(blank, blank) == {}
