"""What an answer declares, told from what only stands in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.verify import declared


def first_said(text: str) -> str | None:
    return next(declared.said(text), None)


texts = st.lists(
    st.sampled_from(
        ["\\boxed{", "{", "}", "\\{", "\\", "7", "$", "**", "answer is ", "#### 3", "\n", "\n\n", " and ", "x"]
    )
    | st.text(max_size=5)
).map("".join)


@given(texts)
def test_any_text_can_be_looked_at(text: str) -> None:
    for look in (declared.boxed, declared.hashed, first_said, declared.emphasised, declared.last_number):
        found = look(text)
        assert found is None or found.strip()
    declared.first_number(text)
    declared.bare(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        *(
            (marked, "a")
            for marked in ("**a**", "__a__", "$$a$$", "$a$", "`a`", '"a"', "*a*", "\\(a\\)", "\\[a\\]", "“a”")
        ),
        *((marked, "a") for marked in ("a.", "a。", " a ", "**a**.", "**a.**", "** `a` **", "a..")),
        *((mark, mark) for mark in ('""', "``", "$", "*", "a*", "*a", "(a)", "")),
        ("“a", "“a"),
    ],
)
def test_what_stands_around_a_result_is_taken_off(text: str, result: str) -> None:
    assert declared.bare(text) == result


@given(texts, st.sampled_from(["7", "{1}", "\\frac{1}{2}", "a_{b_{c}}", "\\{1\\}"]))
def test_a_last_box_is_found_behind_anything(before: str, content: str) -> None:
    assert declared.boxes(f"{before}\n\\boxed{{{content}}}")[-1][2] == content


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (r"\boxed{7}", "7"),
        (r"\boxed {7}", "7"),
        (r"\fbox{7}", "7"),
        (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} and $\boxed{2}$", "1, 2"),
        (r"\boxed{1}, \boxed{2} or \boxed{3}", "1, 2, 3"),
        (r"$\boxed{5}$" + "\n\n" + r"$\boxed{5}$", "5"),
        (r"\boxed{1}" + "\n\n" + r"\boxed{2}", "2"),
        (r"\boxed{\boxed{3}}", r"\boxed{3}"),
        (r"\boxed{4} \boxed{", "4"),
        (r"\boxed{4} \boxed{}", "4"),
        (r"\boxed{\text{if } x \in \{1, 2\}}", r"\text{if } x \in \{1, 2\}"),
        (r"\boxed", None),
        ("7", None),
    ],
)
def test_boxes(text: str, result: str | None) -> None:
    assert declared.boxed(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("so\n#### 72", "72"),
        ("#### 1\n#### $1,200.50", "$1,200.50"),
        ("#### -5%  ", "-5%"),
        ("#### Step 3\nWe add.", None),
        ("#### 1. Setup", None),
        ("##### 72", None),
    ],
)
def test_the_line_of_gsm8k(text: str, result: str | None) -> None:
    assert declared.hashed(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("The answer is 42.", "42"),
        ("The final answer is: $42$. I hope it is correct.", "42"),
        ("**Answer:** 42 clips", "42 clips"),
        ("**Answer**: **42**", "42"),
        ("Answer: \\(x^2\\) or \\(y^2\\)", "x^2, y^2"),
        ("### Final Answer\n\n\\[ 42 \\]\n", "42"),
        ("**Final Answer**\n42", "42"),
        ("The answer is therefore 3.5. Then we stop.", "3.5"),
        ("The answer to the question is 7!", "7"),
        ("The answer is $18 a day", "$18 a day"),
        ("The answer is $18 for him and he keeps $5", "$18 for him and he keeps $5"),
        ("The answer is $20$ percent", "20%"),
        ("Answer: 1\nNo, the answer is 2.", "2"),
        ("答案是：42。", "42"),
        ("Answer: 42\n\nThis answer is consistent with the table.", "42"),
        ("The answer is not 5.", None),
        ("I will answer.", None),
    ],
)
def test_what_is_said_to_be_the_answer(text: str, result: str | None) -> None:
    assert first_said(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("There are $3$.\n\nThus $x = 4$, and\n**5** remain for $y$.", "5"),
        ("There are $3$.\n\nThus $x = 4$.", "x = 4"),
        ("$3$\n\nThat is all.", None),
        ("**Note:** see $2$", "2"),
        ("He has $3 and she has $4 left.", None),
    ],
)
def test_what_the_last_paragraph_emphasises(text: str, result: str | None) -> None:
    assert declared.emphasised(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 + 3 = 5", "5"),
        ("so 1,234.50 dollars", "1,234.50"),
        ("x2 and y3", None),
        ("1/2 of it", "1/2"),
        ("-7", "-7"),
        ("7\nDone.", None),
    ],
)
def test_the_last_number_of_the_last_line(text: str, result: str | None) -> None:
    assert declared.last_number(text) == result
