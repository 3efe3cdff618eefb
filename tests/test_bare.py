"""Without any extra the core works, and what needs one says in a line what to install; so it is with the built wheel.

The commands run in an interpreter that has nothing but the standard library and what a `pip install antiphon` brings:
links to the distributions that its metadata require, and theirs.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Iterable, Iterator, Mapping
from email import message_from_bytes
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest
import typer
from packaging.requirements import Requirement

import antiphon
from antiphon.cli.app import app
from antiphon.lab import settings
from antiphon.lab.results import EXPERIMENT, save
from tests.cli.conftest import asked, write_lines
from tests.scale.plan.pilots import World

ROOT = Path(__file__).parents[1]

PAIR = "--student {student} --teacher {teacher}"
LAB = "--student lab:student --teacher lab:teacher"

WORKS = {
    "--version": f"antiphon {antiphon.__version__}",
    f"doctor {PAIR} --concurrency 2": "A run would work",
    f"synth problems.jsonl --run one {PAIR}": "6 complete",
    f"synth --run one --variant by-rules --boundary general --limit 1 {PAIR}": "1 complete",
    f"duet 'What is 347 times 6?' {PAIR}": "complete",
    "status one": "6 complete",
    "trace one 347x6/tessy/0": "[Okay, let me see] {units 7x6=42",
    "view one --html one.html": "one.html: 7 traces of 6 problems",
    "evaluate exact.jsonl --model {student} --to judged": "pass@1",
    "verify judged": "right",
    "compare one": "tokens received",
    "export one --variant tessy --format messages --to rows.jsonl": "6 rows, each compared with the record",
    "export one --variant tessy --format tokens --to tokens.jsonl": "6 rows, each compared with the record",
    "export one --variant tessy --format parquet --to folder": "6 rows, each compared with the record",
    "import rows.jsonl --run told": "6 traces added",
    "merge one told --to both": "13 complete",
    "plan few many --problems 1000": "1,000 traces",
    "lab compare experiment": "the claim: worse at first",
    "boundary evaluate --data marked.jsonl --boundary default": "words/s",
    "boundary show marked.jsonl --boundary general": "347 times 6 is 2082.",
    "boundary agree marked.jsonl marked.jsonl": "2 texts in common",
    "boundary annotate one --to marks --model none --words 5-20": "marks",
}
"""Commands of the core, and what is in their output."""

WORKS_FOR_SECONDS = {f"bench problems.jsonl --samples 100 --seconds 5 {PAIR}": "tokens kept a second"}

LACKS = {
    "demo": ("torch", "local"),
    f"synth problems.jsonl --run lab {LAB}": ("torch", "local"),
    f"bench problems.jsonl {LAB}": ("torch", "local"),
    f"duet 'What is 347 times 6?' {LAB}": ("torch", "local"),
    "evaluate exact.jsonl --model lab:student --to lab": ("torch", "local"),
    "compare one --under lab:student": ("torch", "local"),
    "boundary train --data marked.jsonl --to predictor": ("torch", "local"),
    "train --data tokens.jsonl --student lab:student --to trained": ("torch", "train"),
    "lab run --to miniature --quick": ("torch", "train"),
    "verify one": ("math-verify", "verify"),
    "view one": ("uvicorn", "view"),
    "plan few many --problems 1000 --plot plan.svg": ("matplotlib", "plot"),
    "export one --variant tessy --format messages --to s3://bucket/rows.jsonl": ("s3fs", "remote"),
    f"synth s3://bucket/problems.jsonl --run two {PAIR}": ("s3fs", "remote"),
    f"synth problems.jsonl --run two --metrics 9 {PAIR}": ("prometheus-client", "watch"),
    f"synth problems.jsonl --run two --ray auto {PAIR}": ("ray", "ray"),
}
"""Commands that need an extra: the first library of it that they miss."""


class Outcome(NamedTuple):
    """See `tests.bare`."""

    code: int
    out: str
    err: str
    fault: str | None


def needed(requirements: Iterable[str]) -> set[str]:
    """The distributions that these requirements bring here, and what they require in their turn."""
    found: set[tuple[str, str]] = set()
    open_ = [(Requirement(line), "") for line in requirements]
    while open_:
        requirement, extra = open_.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in requirement.extras or {""}:
            if (requirement.name, wanted) not in found:
                found.add((requirement.name, wanted))
                open_ += [(Requirement(line), wanted) for line in metadata.requires(requirement.name) or ()]
    return {name for name, _ in found}


def bare(folder: Path, requirements: Iterable[str]) -> Path:
    """The interpreter of a virtual environment that has those distributions and nothing else."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    found = (metadata.distribution(name) for name in needed(requirements))
    tops = {one.locate_file(file.parts[0]) for one in found for file in one.files or ()}
    for top in map(Path, map(str, tops)):
        if top.name not in ("..", "__pycache__"):
            (packages / top.name).symlink_to(top)
    return folder / "bin" / "python"


def walked(python: Path, lines: Iterable[str], folder: Path, path: str) -> dict[str, Outcome]:
    """What comes of each command, carried out one after the other in a folder that holds what they name."""
    records = [asked(number, by) for number, by in ((347, 6), (123, 4), (588, 2), (964, 7), (215, 3), (731, 5))]
    write_lines(folder / "problems.jsonl", records)
    write_lines(folder / "exact.jsonl", [asked(347, 6, verifier="exact")])
    write_lines(
        folder / "marked.jsonl",
        [
            {"id": "a", "problem_key": "a", "marked": "⟦Okay, let me see.⟧ 347 times 6 is 2082."},
            {"id": "b", "problem_key": "b", "marked": "⟦Wait,⟧ is it 508? ⟦Then⟧ the total is 2032."},
        ],
    )
    for name, places in (("few", 4), ("many", 24)):
        World().play(range(64), places).write(folder / name)
    begun = {"name": "miniature", "config": settings.load().model_dump(mode="json")}
    save(folder / "experiment" / EXPERIMENT, begun)
    lines = list(lines)
    words = json.dumps([shlex.split(line) for line in lines])
    programs = os.pathsep.join((str(python.parent), os.defpath))  # and no server of models
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": path, "COLUMNS": "100"}
    done = subprocess.run(
        [python, "-m", "tests.bare"], input=words, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(lines, (Outcome(*told) for told in json.loads(done.stdout)), strict=True))


def wrong(outcomes: Mapping[str, Outcome], works: Mapping[str, str]) -> str:
    """The commands whose outcome is not what the tables say."""
    return "\n".join(
        f"{line}: {outcome}"
        for line, outcome in outcomes.items()
        if outcome.fault is not None
        or not (_works(outcome, works[line]) if line in works else _lacks(outcome, *LACKS[line]))
    )


def _works(outcome: Outcome, said: str) -> bool:
    return outcome.code == 0 and said in " ".join((outcome.out + outcome.err).split())


def _lacks(outcome: Outcome, library: str, extra: str) -> bool:
    last = outcome.err.splitlines()[-1]
    said = f" needs {library}; install it with: pip install 'antiphon[{extra}]'"
    return outcome.code == 2 and not outcome.out and last.startswith("error: ") and last.endswith(said)


def test_every_command_is_walked() -> None:
    def names(command: Any, *before: str) -> Iterable[str]:
        if not hasattr(command, "commands"):
            yield " ".join(before)
        else:
            for name, under in command.commands.items():
                yield from names(under, *before, name)

    lines = [*WORKS, *LACKS]
    missing = [name for name in names(typer.main.get_command(app)) if not any(line.startswith(name) for line in lines)]
    assert not missing


def test_without_an_extra(tmp_path: Path) -> None:
    core = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    python = bare(tmp_path / "venv", core)
    outcomes = walked(python, [*WORKS, *LACKS], tmp_path, os.pathsep.join((str(ROOT), str(ROOT / "src"))))
    assert wrong(outcomes, WORKS) == ""


@pytest.mark.slow
def test_as_it_is_built(tmp_path: Path) -> None:
    source, wheel = built(tmp_path / "dist")
    with tarfile.open(source) as archive:
        parts = {Path(name).parts[1] for name in archive.getnames()}
        assert {"src", "tests", "bench", "docs", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= parts
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        about = message_from_bytes(archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))))
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == {str(path.relative_to(ROOT / "src")) for path in here(ROOT / "src" / "antiphon")}
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    core = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
    python = bare(tmp_path / "venv", core)
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel], check=True)
    works = WORKS | WORKS_FOR_SECONDS
    assert wrong(walked(python, [*works, *LACKS], tmp_path, str(ROOT)), works) == ""


def built(folder: Path) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is made of it."""
    tool = folder / "tool"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", tool, "hatchling<2"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tool)}

    def build(target: str, root: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
        subprocess.run(command, cwd=root, env=environment, check=True)

    build("sdist", ROOT)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder / "source", filter="data")
    build("wheel", next((folder / "source").iterdir()))
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def here(folder: Path) -> Iterator[Path]:
    """The files in it that are not made by running them."""
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
