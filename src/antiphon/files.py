"""Files that are written whole or not at all, and are there after a power cut."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from antiphon.errors import AntiphonError, UsageError


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` in one step when the context ends well.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """The same of a file that the user named.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        with atomic(path) as file:
            yield file
    except AntiphonError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; name another place") from None


def synchronise(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk, where the system lets it be opened and synchronised.

    Raises:
        OSError: the disk failed.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # some systems do not open folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # nor synchronise them
            raise
    finally:
        os.close(handle)
