"""Finding a model and reading all but its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import ModelError
from tests.engine.tiny import tokenizer_json


def folder(path: Path, **files: object) -> Path:
    """A folder with the names given (`_` for the dot) and contents; None leaves one out."""
    contents: dict[str, object] = {
        "config_json": {"model_type": "qwen3", "transformers_version": "5.0"},
        "model_safetensors": "",
        "tokenizer_json": json.loads(tokenizer_json()),
        **files,
    }
    path.mkdir(exist_ok=True)
    for name, content in contents.items():
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            stem, _, ending = name.rpartition("_")
            (path / f"{stem}.{ending}").write_text(text, "utf-8")
    return path


def test_a_folder_says_what_it_is(tmp_path: Path) -> None:
    files = ModelFiles.read(str(folder(tmp_path / "Model-1B")))
    assert files.name == "Model-1B"
    assert files.chat_template is None
    assert files.vocabulary.control_id("<|end|>") is not None


@pytest.mark.parametrize(
    "place",
    [
        {"chat_template_jinja": "{{ x }}", "tokenizer_config_json": {"chat_template": "old"}},
        {"tokenizer_config_json": {"chat_template": "{{ x }}"}},
        {"chat_template_json": {"chat_template": "{{ x }}"}},
        {
            "tokenizer_config_json": {
                "chat_template": [{"name": "tool", "template": ""}, {"name": "default", "template": "{{ x }}"}]
            }
        },
    ],
)
def test_the_template_is_found_wherever_it_is_kept(tmp_path: Path, place: dict[str, object]) -> None:
    assert ModelFiles.read(str(folder(tmp_path / "m", **place))).chat_template == "{{ x }}"


def test_identity_changes_with_what_shapes_text_only(tmp_path: Path) -> None:
    plain = ModelFiles.read(str(folder(tmp_path / "a" / ".." / "m"))) if (tmp_path / "a").mkdir() is None else None
    assert plain is not None
    newer = {"model_type": "qwen3", "transformers_version": "6.0"}
    assert ModelFiles.read(str(folder(tmp_path / "m", config_json=newer))).identity == plain.identity
    wider = newer | {"hidden_size": 99}
    assert ModelFiles.read(str(folder(tmp_path / "m", config_json=wider))).identity != plain.identity


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config_json": None}, "no config.json"),
        ({"config_json": "{"}, "config.json: cannot be read"),
        ({"config_json": "[]"}, "not a JSON object"),
        ({"model_safetensors": None}, "no weights"),
        ({"tokenizer_json": None}, "no tokenizer"),
        ({"tokenizer_json": "{"}, "not JSON"),
    ],
)
def test_a_folder_that_lacks_something_is_refused_in_one_line(
    tmp_path: Path, files: dict[str, object], says: str
) -> None:
    path = folder(tmp_path / "m", **files)
    with pytest.raises(ModelError, match=says) as caught:
        ModelFiles.read(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such model"):
        ModelFiles.read(str(tmp_path / "nowhere"))
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(ModelError, match="not a model folder"):
        ModelFiles.read(str(tmp_path / "note.txt"))
