"""Parts of one's own, named by their import path in the working folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from antiphon import own
from antiphon.errors import SettingsError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    return tmp_path


def test_no_file_there_stands_before_a_library(folder: Path) -> None:
    Path("colorsys.py").write_text("mine = True\n")
    monkeyed = sys.modules.pop("colorsys", None)
    try:
        with pytest.raises(SettingsError, match=r"there is no 'mine' in .*lib.*colorsys\.py"):
            own.named("colorsys:mine", "it", SettingsError)
    finally:
        sys.modules.pop("colorsys", None)
        if monkeyed is not None:
            sys.modules["colorsys"] = monkeyed


def test_where_it_was_looked_for_is_told(folder: Path) -> None:
    with pytest.raises(SettingsError, match="No module named 'my_nowhere' in what is installed and in") as caught:
        own.named("my_nowhere:Name", "it", SettingsError)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"), [("def (", "SyntaxError: "), ("1 / 0", "ZeroDivisionError: division by zero")]
)
def test_a_module_with_a_mistake_is_told_as_one(folder: Path, text: str, told: str) -> None:
    name = f"with_a_{told.partition(':')[0].lower()}"
    Path(f"{name}.py").write_text(text)
    with pytest.raises(SettingsError, match=f"it cannot be imported: {told}"):
        own.named(f"{name}:Name", "it", SettingsError)
