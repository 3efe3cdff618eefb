"""The folder of a training: what is in it, and how that is put there so that nothing half-written has a name.

training.json    the recipe, the data and the student, by which another call knows the same training
curve.json       loss and rate by step; curve.png the same as a picture
checkpoints/N    the model after step N, as Hugging Face folders
model            the model at the end
adapter          what LoRA has trained, apart
states/N         while it is not finished: what it goes on from, the last two
rows.arrow       while it is not finished: the rows as they are trained on
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from antiphon.errors import SettingsError, StoreFull, UsageError
from antiphon.files import synchronise

STATES_KEPT = 2


class Folder:
    """Names in a training's folder, and writing there."""

    def __init__(self, path: Path):
        self.path = path
        self.about = path / "training.json"
        self.rows = path / "rows.arrow"
        self.model = path / "model"
        self.adapter = path / "adapter"
        self.curve = path / "curve.json"
        self.picture = path / "curve.png"
        self.states = path / "states"
        self.checkpoints = path / "checkpoints"

    @property
    def holds_work(self) -> bool:
        """Whether steps that were paid for are here."""
        return self.model.is_dir() or bool(self.states_by_step())

    def read_about(self) -> dict[str, Any] | None:
        """What training was begun here, None if none was.

        Raises:
            UsageError: something else is here.
        """
        try:
            about = json.loads(self.about.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            if self.path.exists() and not (self.path.is_dir() and set(self._names()) <= {self.rows.name}):
                raise UsageError(f"{self.path}: something else is there already; name another folder") from None
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.about}: cannot be read ({error}); name another folder") from None
        if not isinstance(about, dict):
            raise UsageError(f"{self.about}: not what a training writes; name another folder")
        return about

    def _names(self) -> list[str]:
        return [path.name for path in self.path.iterdir() if not path.name.endswith(".part")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder made, and nobody else's while the context lasts.

        Raises:
            UsageError: another process trains here, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be made ({error.strerror}); name another") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise UsageError(
                f"{self.path}: another training is writing there; wait until it ends, or name another folder"
            ) from None
        finally:
            os.close(handle)

    def last_state(self) -> Path | None:
        """What to go on from. What a killed process left half-written is removed."""
        for left in [*self.path.glob("*.part"), *self.states.glob("*.part"), *self.checkpoints.glob("*.part")]:
            removed(left)
        found = self.states_by_step()
        return found[max(found)] if found else None

    def states_by_step(self) -> dict[int, Path]:
        return _by_step(self.states)

    def checkpoints_by_step(self) -> dict[int, Path]:
        """The models that were kept."""
        return _by_step(self.checkpoints)

    def drop_old_states(self, kept: int = STATES_KEPT) -> None:
        found = self.states_by_step()
        for step in sorted(found)[: len(found) - kept]:
            removed(found[step])
        if not kept:
            removed(self.states)

    def write(self, target: Path, content: str) -> None:
        """A small file, whole or not at all."""
        with self.writing(target) as part:
            part.write_text(content, "utf-8")

    @contextmanager
    def writing(self, target: Path) -> Iterator[Path]:
        """A path beside a file or folder; what the context makes there takes the target's name when it is left without
        an error, once it is on the disk.

        Raises:
            StoreFull: it could not be written; what was there is untouched.
        """
        part = target.with_name(f"{target.name}.part")
        removed(part)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield part
            _sync_tree(part)
            if target.is_dir():
                removed(target)
            part.replace(target)
            synchronise(target.parent)
        except BaseException as error:
            removed(part)
            if is_failed_write(error):
                reason = getattr(error, "strerror", None) or " ".join(str(error).split())
                raise StoreFull(
                    f"{target}: cannot be written ({reason}); what was written before is whole, and the same command"
                    " goes on from there"
                ) from None
            raise


def is_failed_write(error: BaseException) -> bool:
    """Whether a library says that a disk is full or may not be written to: each has an error of its own for it."""
    if isinstance(error, OSError):
        return True
    if type(error).__name__ == "SafetensorError":
        return "error" in str(error).lower()
    return isinstance(error, RuntimeError) and ("iostream" in str(error) or "PytorchStreamWriter" in str(error))


def refuse_other(folder: Path, begun: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Returns where both are the same training.

    Raises:
        SettingsError: they are not; says in what.
    """
    differing = [f"{name} {_shown(before)}, now {_shown(now)}" for name, before, now in _differences(begun, asked)]
    if differing:
        raise SettingsError(f"{folder}: a training was begun there with {'; '.join(differing)}; name another folder")


def _differences(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*begun, *asked)):
        before, now = begun.get(name), asked.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from ((f"{name}.{inner}", *values) for inner, *values in _differences(before, now))
        elif before != now:
            yield name, before, now


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else f"{text[:20]}..."


def _by_step(folder: Path) -> dict[int, Path]:
    found = {int(path.name): path for path in folder.glob("*") if path.name.isdigit()}
    return {step: found[step] for step in sorted(found)}


def removed(path: Path) -> None:
    """Removes a file or a folder, if it is there. A folder that would look whole while it goes is renamed first."""
    if path.is_dir() and not path.is_symlink():
        if not path.name.endswith(".part"):
            path = path.rename(path.with_name(f"{path.name}.gone.part"))
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _sync_tree(inner)
    synchronise(path)
