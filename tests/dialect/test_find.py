"""Which dialect a name, or `auto`, gives for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.dialect import differences, load, shipped_families, text_of
from antiphon.dialect.check import THINKING_BEFORE
from antiphon.dialect.family import read_page
from antiphon.errors import DialectError
from tests.dialect.models import (
    CHATML,
    CHATML_CONTROLS,
    CHATML_WITH_SYSTEM,
    FAMILY_OF,
    KEEPS_THINKING,
    PHI_4_REASONING,
    PHI_CONTROLS,
    QWEN3_THINKING,
    QWQ,
    THINK_CONTROLS,
    loaded,
    model,
    talk,
    text_only,
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
        (QWEN3_THINKING, THINK_CONTROLS, "qwen3-thinking"),
        (QWEN3_THINKING, CHATML_CONTROLS, "template"),
        (QWQ, THINK_CONTROLS, "qwq"),
        (PHI_4_REASONING, PHI_CONTROLS, "template"),
        (None, PHI_CONTROLS, "phi-4-reasoning"),
        (CHATML, frozenset(), "template"),
        (None, {"<eos>", "<bos>"}, "plain"),
    ],
)
def test_auto(template: str | None, controls: frozenset[str], name: str) -> None:
    assert loaded("auto", template, controls).name == name


@pytest.mark.parametrize("name", ["qwen3", "qwen3-thinking", "qwq"])
def test_kin_are_told_apart_by_their_templates(shared: Path, name: str) -> None:
    real = model(shared, "qwen3")
    templates = {"qwen3": real.template, "qwen3-thinking": QWEN3_THINKING, "qwq": QWQ}
    controls = real.vocabulary.controls
    assert loaded("auto", templates[name], controls).name == name
    for other, template in templates.items():
        assert (differences(loaded(name, template, controls), template) == []) == (other == name)


def test_kin_without_a_template_write_the_same(shared: Path) -> None:
    """So it does not matter that their control tokens are the same, and the first of them is taken."""
    controls = model(shared, "qwen3").vocabulary.controls
    for messages in (user("2+2?"), THINKING_BEFORE):
        prompts = {loaded(name, None, controls).prompt(messages) for name in ("qwen3", "qwen3-thinking", "qwq")}
        assert prompts == {loaded("auto", None, controls).prompt(messages)}


def test_phis_own_instruction_is_its_templates() -> None:
    followed = loaded("auto", PHI_4_REASONING, PHI_CONTROLS)
    assert text_of(followed.prompt(user("2+2?"))) == (
        "<|im_start|>system<|im_sep|>Think first.<|im_end|><|im_start|>user<|im_sep|>2+2?<|im_end|>"
        "<|im_start|>assistant<|im_sep|><think>\n"
    )
    assert followed.ends == ("<|im_end|>",)
    with pytest.raises(DialectError, match=r"leaves out message 1 \(system\)"):
        followed.render(talk(("system", "Be kind."), ("user", "2+2?")))
    page = loaded("phi-4-reasoning", PHI_4_REASONING, PHI_CONTROLS)
    said = text_of(page.prompt(talk(("system", "Be kind."), ("user", "2+2?"))))
    assert said.endswith(
        "<|im_end|><|im_start|>system<|im_sep|>Be kind.<|im_end|><|im_start|>user<|im_sep|>2+2?<|im_end|>"
        "<|im_start|>assistant<|im_sep|><think>\n"
    )
    assert "between <think> and </think>" in said
    assert not page.follows_template


@pytest.mark.parametrize("name", [name for name in shipped_families() if name != "template"])
def test_every_family_can_be_named_for_a_server_of_text_only(name: str) -> None:
    dialect, page = text_only(name), read_page(name)
    every = {*page.controls, *page.ends, "<think>", "</think>"}
    known = loaded(name, None, every)
    messages = talk(("system", "a"), ("user", "b <|im_end|>"), ("assistant", "c"), ("user", "d"))
    assert text_of(dialect.prompt(messages)) == text_of(known.prompt(messages))
    assert dialect.closes == known.closes
    assert dialect.ends == (known.ends if name != "plain" else ())


def test_a_server_of_text_only_that_tells_its_template(shared: Path) -> None:
    for folder, name in FAMILY_OF.items():
        real = model(shared, folder)
        assert text_only("auto", real.template, **real.special_tokens).name == name
        followed = text_only("template", real.template, **real.special_tokens)
        assert differences(followed, real.template, real.special_tokens) == []
    assert text_only("auto", QWQ).name == "qwq"
    followed = text_only("auto", CHATML_WITH_SYSTEM, eos_token="<|endoftext|>")
    assert (followed.name, followed.ends) == ("template", ("<|im_end|>", "<|endoftext|>"))
    assert followed.closes == ("</think>",)


def test_a_server_of_text_only_that_tells_nothing_gets_the_plain_wording() -> None:
    assert text_only("auto").name == "plain"
    assert text_only("auto", eos_token="</s>").ends == ("</s>",)


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
