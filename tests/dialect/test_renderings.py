"""Prompts and whole exchanges equal what the real templates and tokenizers give, text and ids (pitfalls 5 and 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from antiphon.dialect import Dialect, Part, text_of
from tests.dialect.models import FAMILY_OF, Model, model, plain_messages, renderings

THINK_TAGS = (
    *(3838, 653, 366, 26865, 29, 323, 690, 26865, 29, 3076, 5267, 13708, 766, 397, 87, 198, 522, 26865, 1339, 3036),
    *(264, 46666, 690, 26865, 29),
)
CONTROL_TOKENS = (
    *(8994, 82639, 318, 6213, 91, 397, 27, 91, 318, 4906, 91, 29, 8948, 198, 3391, 82639, 408, 91, 1784, 91, 2468, 91),
    *(29, 77091, 27, 91, 10119, 91, 29, 11822, 27, 91, 1994, 91, 29, 1221, 366, 130957, 408, 10417, 223, 1055, 10417),
    *(223, 51889, 130957, 1784, 130957, 1474, 130957, 29, 6023, 27, 130957, 71703, 130957, 29, 323, 82639, 8691, 723),
    *(427, 91, 14276),
)
ORDINARY_TEXT = {
    ("qwen3", "think_tags"): THINK_TAGS,
    ("qwen3", "control_tokens"): CONTROL_TOKENS,
    ("r1-distill-qwen", "think_tags"): THINK_TAGS,
    ("r1-distill-qwen", "control_tokens"): CONTROL_TOKENS,
    ("gpt-oss", "control_tokens"): (
        *(13302, 464, 91, 321, 13707, 91, 523, 27, 91, 321, 10949, 91, 29, 17360, 198, 6273, 464, 91, 419, 91, 3784),
        *(91, 5236, 91, 29, 173781, 27, 91, 21453, 91, 29, 17196, 27, 91, 3938, 91, 29, 1815, 464, 40105, 419, 6762),
        *(223, 1440, 6762, 223, 127943, 40105, 3784, 40105, 1844, 40105, 29, 3686, 27, 40105, 91655, 40105, 29, 326),
        *(464, 91, 419, 1440, 919, 91, 34397),
    ),
}
"""The renderings whose contents spell control tokens of the model: ours are letters there, the tokenizers' are not. The
ids of the content, as the tokenizer encodes it if it is told of no added tokens."""


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


@cache
def bare_tokenizer(shared: Path, folder: str) -> Tokenizer:
    """A tokenizer that is told of no added tokens."""
    specification = json.loads((shared / "tokenizers" / folder / "tokenizer.json").read_text("utf-8"))
    return Tokenizer.from_str(json.dumps({**specification, "added_tokens": [], "post_processor": None}))


@pytest.mark.parametrize(("folder", "name"), ORDINARY_TEXT)
def test_control_tokens_in_a_content_are_letters(shared: Path, folder: str, name: str, tmp_path: Path) -> None:
    """The ids are those of the plain question, with this content in its place."""
    real = model(shared, folder)
    conversations = renderings(shared)["conversations"]
    content, plain = (
        bare_tokenizer(shared, folder).encode(conversations[of][0]["content"]).ids for of in (name, "plain")
    )
    assert tuple(content) == ORDINARY_TEXT[folder, name]
    (entry,) = [e for e in real.renderings["prompts"] if e["conversation"] == name]
    (usual,) = [
        e for e in real.renderings["prompts"] if (e["conversation"], e["settings"]) == ("plain", entry["settings"])
    ]
    at = max(n for n in range(len(usual["ids"])) if usual["ids"][n : n + len(plain)] == plain)
    expected = [*usual["ids"][:at], *content, *usual["ids"][at + len(plain) :]]
    for dialect in dialects(real, entry["settings"], tmp_path):
        assert real.encode_parts(written(dialect, conversations[name])) == expected


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


def test_an_exchange_that_the_template_stores_without_its_thinking_begins_the_next_prompt(shared: Path) -> None:
    real = model(shared, "r1-distill-qwen")
    (entry,) = real.renderings["exchange"]
    messages = plain_messages([*entry["messages"], {"role": "user", "content": "3+3?"}])
    for name in ("auto", "template"):
        parts = real.dialect(name).render(messages)
        assert text_of(parts).startswith(entry["text"])
        assert real.encode_parts(parts)[: len(entry["ids"])] == entry["ids"]


def test_every_rendering_is_compared(real: Model) -> None:
    """The tests above know of all there are."""
    known = {"prompts", "exchange", "history_then_prompt"}
    assert set(real.renderings) - {"exchange_by_concatenation"} == known
    assert len(real.renderings["prompts"]) == {"qwen3": 12, "r1-distill-qwen": 11, "gpt-oss": 14}[real.folder]


def test_an_empty_thinking_is_what_the_template_writes_where_thinking_is_off(shared: Path) -> None:
    real = model(shared, "qwen3")
    (entry,) = [e for e in real.renderings["prompts"] if e["settings"].get("enable_thinking") is False]
    dialect = real.dialect("qwen3")
    messages = plain_messages(renderings(shared)["conversations"][entry["conversation"]])
    parts = (*dialect.prompt(messages), *dialect.closing(""))
    assert text_of(parts) == entry["text"]
    assert real.encode_parts(parts) == entry["ids"]


def test_the_start_token_stands_once(shared: Path) -> None:
    real = model(shared, "r1-distill-qwen")
    for name in ("auto", "template"):
        ids = real.encode_parts(real.dialect(name).prompt(plain_messages([{"role": "user", "content": "2+2?"}])))
        assert ids.count(real.vocabulary.controls["<｜begin▁of▁sentence｜>"]) == 1
        assert ids[0] == real.vocabulary.start_id
