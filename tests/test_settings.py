"""One configuration from file, environment and flags; whatever is wrong with it is said with its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.errors import SettingsError
from antiphon.settings import Settings, load


def config(folder: Path, text: str) -> Path:
    path = folder / "antiphon.toml"
    path.write_text(text, "utf-8")
    return path


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    path = config(tmp_path, "samples = 2\nlimit = 2\nconcurrency = 2\n[budget]\nthinking = 2\nanswer = 2\n")
    environment = {"ANTIPHON_LIMIT": "3", "ANTIPHON_CONCURRENCY": "3", "ANTIPHON_BUDGET__ANSWER": "3", "HOME": "/"}
    loaded = load(path, {"concurrency": 4, "samples": None}, environment)
    assert (loaded.samples, loaded.limit, loaded.concurrency) == (2, 3, 4)
    assert (loaded.budget.thinking, loaded.budget.answer) == (2, 3)
    assert loaded.outage == Settings().outage


@pytest.mark.parametrize(
    ("value", "read"),
    [("plain words", "plain words"), ("models/one", "models/one"), ("'quoted'", "quoted"), ("1e", "1e")],
)
def test_a_text_in_the_environment_needs_no_quotes(value: str, read: str) -> None:
    assert load(environment={"ANTIPHON_STUDENT__MODEL": value}).student.model == read


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xef\xbb\xbfsamples = 2\r\n")
    assert load(path, environment={}).samples == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sampels = 2", "there is no setting 'sampels'"),
        ("[budget]\nthinkin = 2", "there is no setting 'budget.thinkin'"),
        ("samples = 0", "samples: .*greater than or equal to 1 .given: 0"),
        ("run_ahead = 'slowly'", "run_ahead: Input should be 'auto', 'adaptive' or 'streamed'"),
        ("[student.sampling]\ntemperature = -1", "student.sampling.temperature: .*given: -1"),
        ("samples = ", "not valid TOML"),
        ("student = 3", "student: "),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path: Path, text: str, says: str) -> None:
    path = config(tmp_path, text)
    with pytest.raises(SettingsError, match=says) as caught:
        load(path, environment={})
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_wrong_elsewhere_is_said_with_its_name() -> None:
    with pytest.raises(SettingsError, match=r"^ANTIPHON_SAMPLES: samples: "):
        load(environment={"ANTIPHON_SAMPLES": "none"})
    with pytest.raises(SettingsError, match=r"^--budget-thinking: budget\.thinking: "):
        load(flags={"budget.thinking": 0}, environment={})


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(config(tmp_path, "samples = 0\nlimit = 0"), environment={"ANTIPHON_OUTAGE": "0"})
    assert len(str(caught.value).splitlines()) == 3


def test_how_many_traces_is_said_in_one_way(tmp_path: Path) -> None:
    loaded = load(config(tmp_path, "samples = 1\nuntil_right = 2"), environment={})
    assert (loaded.until_right, loaded.max_samples) == (2, 8)
    with pytest.raises(SettingsError, match=r"^--samples: samples and until_right exclude each other; leave one out$"):
        load(tmp_path / "antiphon.toml", {"samples": 4}, environment={})
    with pytest.raises(SettingsError, match=r"^ANTIPHON_UNTIL_RIGHT: until_right: 9 right ones of at most 8 traces"):
        load(environment={"ANTIPHON_UNTIL_RIGHT": "9"})
    assert load(environment={"ANTIPHON_UNTIL_RIGHT": "9", "ANTIPHON_MAX_SAMPLES": "9"}).max_samples == 9


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml: there is no such configuration file"):
        load(tmp_path / "gone.toml", environment={})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, environment={})


def test_what_shapes_the_text_is_told_from_what_does_not() -> None:
    shaping = load(flags={"seed": 3, "concurrency": 9, "teacher.device": "cpu"}, environment={}).shaping()
    assert shaping["seed"] == 3
    assert shaping["student"]["sampling"]["temperature"] == 0.7
    assert "concurrency" not in shaping
    assert "device" not in shaping["teacher"]
