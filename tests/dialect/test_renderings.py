"""Prompts and whole exchanges equal what the real templates and tokenizers give, text and ids (pitfalls 5 and 6)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest

from antiphon.dialect import Dialect, Part, text_of
from tests.dialect.models import FAMILY_OF, Model, model, plain_messages, renderings

ORDINARY_TEXT = {
    ("qwen3", "think_tags"),
    ("qwen3", "control_tokens"),
    ("r1-distill-qwen", "think_tags"),
    ("r1-distill-qwen", "control_tokens"),
    ("gpt-oss", "control_tokens"),
}
"""The renderings whose contents spell control tokens of the model: ours are letters there, the tokenizers' are not."""


@pytest.fixture(params=sorted(FAMILY_OF))
def real(request: pytest.FixtureRequest, shared: Path) -> Model:
    return model(shared, request.param)


def dialects(real: Model, settings: Mapping[str, object], folder: Path) -> list[Dialect]:
    """The family's and the template's own, both with the settings of a rendering."""
    given = {"reasoning_effort": "medium", **settings} if real.folder == "gpt-oss" else settings
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in given.items()
    ]
    result = []
    for base in (FAMILY_OF[real.folder], "template"):
        page = folder / f"{base}.toml"
        page.write_text("\n".join([f'extends = "{base}"', "[settings]", *lines]))
        result.append(real.dialect(str(page)))
    return result


def written(dialect: Dialect, messages: list[object]) -> tuple[Part, ...]:
    """What the template writes of a prompt."""
    parts = plain_messages(messages)  # type: ignore[arg-type]
    return dialect.prompt(parts) if dialect.prompt_opens_thinking else dialect.render(parts)


def test_prompts_equal_the_renderings(real: Model, shared: Path, tmp_path: Path) -> None:
    conversations = renderings(shared)["conversations"]
    compared = 0
    for entry in real.renderings["prompts"]:
        if entry["settings"].get("enable_thinking") is False:
            continue
        for dialect in dialects(real, entry["settings"], tmp_path):
            parts = written(dialect, conversations[entry["conversation"]])
            assert text_of(parts) == entry["text"], (dialect.name, entry["conversation"])
            ids = real.encode_parts(parts)
            excepted = (real.folder, entry["conversation"]) in ORDINARY_TEXT
            assert (ids != entry["ids"]) == excepted, (dialect.name, entry["conversation"])
            compared += 1
    assert compared == 2 * {"qwen3": 11, "r1-distill-qwen": 11, "gpt-oss": 14}[real.folder]


def test_control_tokens_in_a_content_are_letters(real: Model, shared: Path) -> None:
    conversations = renderings(shared)["conversations"]
    dialect = real.dialect("auto")
    controls = set(real.vocabulary.controls.values())

    def ours(name: str) -> list[int]:
        return real.encode_parts(written(dialect, conversations[name]))

    for name in sorted(name for folder, name in ORDINARY_TEXT if folder == real.folder):
        assert [i for i in ours(name) if i in controls] == [i for i in ours("plain") if i in controls]
        text = text_of(written(dialect, conversations[name]))
        assert real.vocabulary.decode(ours(name)) == unicodedata.normalize("NFC", text)


def test_earlier_turns_are_written_without_their_thinking(real: Model, tmp_path: Path) -> None:
    entry = real.renderings["history_then_prompt"]
    for dialect in dialects(real, entry["settings"], tmp_path):
        parts = written(dialect, entry["messages"])
        assert text_of(parts) == entry["text"]
        assert real.encode_parts(parts) == entry["ids"]


def test_a_whole_exchange_equals_the_rendering(real: Model, tmp_path: Path) -> None:
    if real.folder == "r1-distill-qwen":  # its template cuts the thinking out of every reply
        entries = [{**real.renderings["exchange_by_concatenation"], "settings": {}}]
    else:
        entries = real.renderings["exchange"]
    for entry in entries:
        dialect = dialects(real, entry["settings"], tmp_path)[0]
        question = plain_messages([{"role": "user", "content": "2+2?"}])
        end = Part(dialect.ends[0], True)
        parts = (*dialect.prompt(question), Part("T"), *dialect.closing("T"), Part("A"), end)
        after = [Part("\n")] if real.folder == "qwen3" else []
        assert text_of((*parts, *after)) == entry["text"]
        assert real.encode_parts((*parts, *after)) == entry["ids"]


def test_an_empty_thinking_is_what_the_template_writes_where_thinking_is_off(shared: Path) -> None:
    real = model(shared, "qwen3")
    (entry,) = [e for e in real.renderings["prompts"] if e["settings"].get("enable_thinking") is False]
    dialect = real.dialect("qwen3")
    messages = plain_messages(renderings(shared)["conversations"][entry["conversation"]])
    assert text_of((*dialect.prompt(messages), *dialect.closing(""))) == entry["text"]


def test_the_start_token_stands_once(shared: Path) -> None:
    real = model(shared, "r1-distill-qwen")
    for name in ("auto", "template"):
        ids = real.encode_parts(real.dialect(name).prompt(plain_messages([{"role": "user", "content": "2+2?"}])))
        assert ids.count(real.vocabulary.controls["<｜begin▁of▁sentence｜>"]) == 1
        assert ids[0] == real.vocabulary.start_id
