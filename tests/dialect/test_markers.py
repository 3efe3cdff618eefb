"""What opens and closes thinking and answer, in the prompt and in the stored response."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from antiphon.dialect import Part, shipped_families, text_of
from antiphon.dialect.family import family, read_page
from tests.dialect.models import CHATML, CHATML_CONTROLS, THINK_CONTROLS, loaded, text_only, user

FAMILIES = [name for name in shipped_families() if read_page(name).prompt is not None]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("thinking", ["", "so\n", "so", "so\n\n", "如此"])
def test_each_marker_stands_once_in_the_response(name: str, thinking: str) -> None:
    dialect = family(read_page(name), name)
    parts = (*dialect.think_open, Part(thinking), *dialect.closing(thinking), Part("four"))
    response = text_of(parts)
    for marker in (dialect.think_open, dialect.think_close, dialect.answer_open):
        assert response.count(text_of(marker).strip() or "four") == 1
    assert response.startswith(text_of(dialect.think_open))
    close = dialect.close_token or dialect.close_text
    assert close is not None
    assert sum(part.text == close for part in parts) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_exactly_one_way_to_close(name: str) -> None:
    dialect = family(read_page(name), name)
    assert (dialect.close_token is None) != (dialect.close_text is None)


@pytest.mark.parametrize("tail", ["done.\n", "\n", "done.\n\n"])
def test_a_line_break_that_is_there_is_not_written_again(tail: str) -> None:
    dialect = family(read_page("qwen3"), "qwen3")
    assert dialect.closing(tail) == (Part("</think>", True), Part("\n\n"))
    assert dialect.closing("done.") == (Part("\n"), Part("</think>", True), Part("\n\n"))


def test_only_a_line_break_is_left_out() -> None:
    dialect = family(read_page("gpt-oss"), "gpt-oss")
    assert text_of(dialect.closing("done.\n")) == "<|end|><|start|>assistant<|channel|>final<|message|>"


def test_markers_of_ours_become_tokens_where_the_model_has_them() -> None:
    without = loaded("chatml", CHATML, CHATML_CONTROLS)
    assert (without.close_token, without.close_text) == (None, "</think>")
    assert without.prompt(user("?"))[-2:] == (Part("<think>"), Part("\n"))
    having = loaded("chatml", CHATML, THINK_CONTROLS)
    assert (having.close_token, having.close_text) == ("</think>", None)
    assert having.prompt(user("?"))[-2:] == (Part("<think>", True), Part("\n"))
    assert having.closing("") == (Part("\n"), Part("</think>", True), Part("\n\n"))
    assert having.fingerprint == without.fingerprint
    assert having.bound(THINK_CONTROLS.__contains__) == having


def test_a_model_that_can_only_open_keeps_the_text_that_closes() -> None:
    dialect = loaded("chatml", CHATML, CHATML_CONTROLS | {"<think>"})
    assert (dialect.close_token, dialect.close_text) == (None, "</think>")
    assert not dialect.think_open[0].control


def test_harmony_thinks_in_a_channel() -> None:
    dialect = family(read_page("gpt-oss"), "gpt-oss")
    assert dialect.think_open == (Part("<|channel|>", True), Part("analysis"), Part("<|message|>", True))
    assert dialect.close_token == "<|end|>"
    assert {"<|return|>", "<|call|>"} <= set(dialect.ends)
    assert dialect.closes == ("<|end|>", "<|channel|>", "<|start|>")


def test_a_token_that_also_closes_is_one_of_the_model() -> None:
    def also_close(controls: Iterable[str]) -> tuple[str, ...]:
        return loaded("gpt-oss", None, controls).also_close

    own = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>"]
    assert also_close(own) == ("<|channel|>", "<|start|>")
    assert text_only("gpt-oss").also_close == ("<|channel|>", "<|start|>")


def test_a_page_may_name_a_closing_token_that_the_model_lacks(tmp_path: Path) -> None:
    page = tmp_path / "mine.toml"
    page.write_text('extends = "chatml"\n[thinking]\nalso_close = ["<|tool|>"]\n')
    assert loaded(str(page), None, CHATML_CONTROLS).closes == ("</think>",)
    assert loaded(str(page), None, {*CHATML_CONTROLS, "<|tool|>"}).closes == ("</think>", "<|tool|>")
