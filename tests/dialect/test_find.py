"""Which dialect a name, or `auto`, gives for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.dialect import differences, load
from antiphon.errors import DialectError
from tests.dialect.models import (
    CHATML,
    CHATML_CONTROLS,
    CHATML_WITH_SYSTEM,
    FAMILY_OF,
    KEEPS_THINKING,
    THINK_CONTROLS,
    loaded,
    model,
    user,
)


@pytest.mark.parametrize("folder", FAMILY_OF)
def test_auto_knows_the_families(shared: Path, folder: str) -> None:
    real = model(shared, folder)
    dialect = real.dialect("auto")
    assert dialect.name == FAMILY_OF[folder]
    assert dialect.prompt_opens_thinking == (folder == "r1-distill-qwen")
    assert differences(dialect, real.template, real.special_tokens) == []


@pytest.mark.parametrize("folder", FAMILY_OF)
def test_auto_goes_by_the_control_tokens_where_there_is_no_template(shared: Path, folder: str) -> None:
    controls = model(shared, folder).vocabulary.controls
    assert loaded("auto", None, controls).name == FAMILY_OF[folder]


@pytest.mark.parametrize("folder", FAMILY_OF)
def test_an_edited_copy_of_a_template_is_followed_as_it_is(shared: Path, folder: str) -> None:
    real = model(shared, folder)
    edited = real.template + "{{ 'Well: ' }}" if folder != "r1-distill-qwen" else "{{ 'Well: ' }}" + real.template
    dialect = loaded("auto", edited, real.vocabulary.controls, **real.special_tokens)
    assert dialect.name == "template"
    assert differences(dialect, edited, real.special_tokens) == []
    assert differences(real.dialect(FAMILY_OF[folder]), edited, real.special_tokens) != []


@pytest.mark.parametrize(
    ("template", "controls", "name"),
    [
        (CHATML, CHATML_CONTROLS, "chatml"),
        (CHATML, THINK_CONTROLS, "chatml"),
        (None, CHATML_CONTROLS, "chatml"),
        (None, THINK_CONTROLS, "qwen3"),
        (CHATML_WITH_SYSTEM, CHATML_CONTROLS, "template"),
        (KEEPS_THINKING, THINK_CONTROLS, "template"),
        (CHATML, frozenset(), "template"),
        (None, {"<eos>", "<bos>"}, "plain"),
    ],
)
def test_auto(template: str | None, controls: frozenset[str], name: str) -> None:
    assert loaded("auto", template, controls).name == name


def test_controls_that_cannot_be_listed_are_looked_up() -> None:
    known = THINK_CONTROLS.__contains__
    dialect = load("template", template=KEEPS_THINKING, has_control=known, controls=None)
    listed = loaded("template", KEEPS_THINKING, THINK_CONTROLS)
    assert dialect.prompt(user("<think>")) == listed.prompt(user("<think>"))
    assert dialect.ends == listed.ends


def test_ends_are_tokens_of_the_model() -> None:
    assert loaded("plain", None, {"<eos>", "<bos>"}).ends == ("<eos>",)
    assert loaded("plain", None, {"[STOP]"}, eos_token="[STOP]").ends == ("[STOP]",)
    assert loaded("plain", None, {"[STOP]"}).ends == ()


@pytest.mark.parametrize(
    ("name", "template", "said"),
    [
        ("qwen4", CHATML, "no dialect is called 'qwen4'; there are auto, chatml, deepseek-r1, gpt-oss"),
        ("qwen3", CHATML, "M: the dialect 'qwen3' needs the control token '<think>', which the model does not have"),
        ("template", None, "M: the dialect 'template' needs a chat template, and the model has none"),
        ("template", "{{ raise_exception('no') }}", "M: the model's chat template refuses the conversation: no"),
        ("auto", "{% if %}", "M: the chat template is not valid: line 1"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name: str, template: str | None, said: str) -> None:
    with pytest.raises(DialectError) as caught:
        load(
            name,
            template=template,
            has_control=CHATML_CONTROLS.__contains__,
            controls=CHATML_CONTROLS,
            model_name="M",
        )
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprints_of_template_dialects_cover_the_template() -> None:
    one = loaded("template", CHATML, CHATML_CONTROLS)
    assert one.fingerprint == loaded("template", CHATML, THINK_CONTROLS).fingerprint
    assert one.fingerprint != loaded("template", CHATML_WITH_SYSTEM, CHATML_CONTROLS).fingerprint
    assert one.fingerprint != loaded("template", CHATML, CHATML_CONTROLS, bos_token="<s>").fingerprint


def test_a_page_sets_what_a_template_is_told(tmp_path: Path) -> None:
    page = tmp_path / "mine.toml"
    page.write_text(
        'extends = "template"\ncontrols = ["[THINK]"]\n[settings]\neffort = 3\n[thinking]\nopen = "[THINK]"\n'
    )
    template = "{{ messages[-1].content }}{{ effort }}[THINK]"
    dialect = loaded(str(page), template, ["[THINK]"])
    assert dialect.name == "mine"
    assert [part.text for part in dialect.render(user("?"))] == ["?3"]
    assert dialect.prompt_opens_thinking
