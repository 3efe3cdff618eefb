"""Where the code stands in an answer."""

from __future__ import annotations

import pytest

from antiphon.verify.code.answer import Code, code_in

PYTHON, CPP = "python", "c++"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```py\nx = 1\n```", "x = 1\n"),
        ("```Python3\nx = 1\n```\n", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("~~~python\nx = 1\n~~~", "x = 1\n"),
        ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''\n"),
        ("First\n```python\nx = 1\n```\nbetter\n```python\nx = 2\n```\nDone.", "x = 2\n"),
        ("```python\nx = 1\n```\nIt prints\n```text\n1\n```\nRun it by\n```bash\npython x.py\n```", "x = 1\n"),
        ("```python\nx = 1\n```\n```python\nx = 2", "x = 1\n"),
        ("```python\nx = 1\n\nNo, better:\n```python\nx = 2\n```", "x = 2\n"),
        ("1. Here:\n   ```python\n   def f():\n       pass\n   ```", "def f():\n    pass\n"),
        ("```python title=a.py\nx = 1\n```", "x = 1\n"),
        ("```python\r\nx = 1\r\n```\r\n", "x = 1\r\n"),
        ("```python\n```", ""),
        ("def f(x):\n    return x", "def f(x):\n    return x"),
        ("print(1)", "print(1)"),
        ("```python\nx = 1", None),
        ("Use `x = 1`.", None),
        ("The answer is 3.", None),
        ("Yes", None),
        ("42", None),
        ("", None),
        ("```text\nx = 1\n```", None),
        ("x = '\0'", None),
        ("(" * 100_000, None),
    ],
)
def test_the_last_complete_block_counts(answer: str, code: str | None) -> None:
    found = code_in(answer)
    assert (found.text if found else None) == code


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        *((tag, CPP) for tag in ("cpp", "C++", "cc", "cxx", "cpp17", "cpp20")),
        *((tag, PYTHON) for tag in ("python", "py", "python3", "py3")),
        *((tag, "javascript") for tag in ("javascript", "js", "node")),
        *(("rust", "rust"), ("rs", "rust"), ("go", "go"), ("golang", "go")),
        *(("c", "c"), ("java", "java"), ("", "java")),
    ],
)
def test_the_tag_names_the_language(tag: str, language: str) -> None:
    assert code_in(f"```{tag}\nx\n```", default="java") == Code("x\n", language)
