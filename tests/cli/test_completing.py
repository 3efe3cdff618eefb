"""What the shell completes, asked as bash does: by variables of the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.boundary.pagefile import shipped_pages
from antiphon.dialect import shipped_families
from antiphon.export.formats import FORMATS
from antiphon.imports.record import FORMATS as IMPORTED
from antiphon.lab.arms import ARMS
from antiphon.settings import Settings
from antiphon.synth.methods import METHODS
from antiphon.trace import Label, Status
from antiphon.train.recipe import PRESETS
from antiphon.verify.choose import VERIFIERS
from tests.cli.conftest import Command

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(command: Command, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What there is for the last of these words."""

    def asked(*words: object) -> list[str]:
        line = ["antiphon", *map(str, words)]
        monkeypatch.setenv("_ANTIPHON_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(line))
        monkeypatch.setenv("COMP_CWORD", str(len(line) - 1))
        done = command()
        assert (done.code, done.err) == (0, "")
        return done.out.split()

    return asked


def test_commands_and_options(complete: Complete) -> None:
    assert complete("st") == ["status"]
    assert set(complete("boundary", "")) == {"annotate", "train", "evaluate", "agree", "show"}
    assert complete("synth", "--boundary-") == ["--boundary-teacher", "--boundary-student"]
    assert {"--format", "--to", "--json"} <= set(complete("export", "--"))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("synth", "--method"), METHODS),
        (("synth", "--boundary"), ["default", *shipped_pages()]),
        (("synth", "--retry"), Status),
        (("synth", "--on-budget"), ["stop", "close"]),
        (("verify", "--verifier"), VERIFIERS),
        (("import", "--format"), ["auto", *IMPORTED]),
        (("import", "--markers"), shipped_families()),
        (("export", "--format"), FORMATS),
        (("export", "--only"), Label),
        (("train", "--preset"), PRESETS),
        (("lab", "run", "--arms"), ARMS),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_values_of_closed_lists(complete: Complete, words: tuple[str, ...], names: list[str]) -> None:
    assert set(complete(*words, "''")) == set(names)
    for name in names:
        assert name in complete(*words, name[:1])


def test_the_last_of_several(complete: Complete) -> None:
    assert complete("lab", "run", "--arms", "tessy,student_o") == ["tessy,student_only"]


def test_settings_by_name(complete: Complete) -> None:
    assert complete("synth", "--set", "budget.") == [f"budget.{name}=" for name in Settings().budget.model_dump()]
    assert "warmup=" in complete("train", "--set", "w")


def test_what_a_run_directory_holds(complete: Complete, finished: Path, tmp_path: Path) -> None:
    assert complete("export", finished, "--variant", "t") == ["tessy"]
    assert complete("verify", finished, "--variant", "s") == []
    assert complete("trace", finished, "34") == ["347x6/tessy/0"]
    assert complete("export", tmp_path / "none", "--variant", "t") == []


def test_a_script_for_the_shell(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ANTIPHON_COMPLETE", "source_bash")
    script = command()
    assert script.code == 0 and "complete -o default -F _antiphon_completion antiphon" in script.out
