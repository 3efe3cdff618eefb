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
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` in one step when the context ends well.

    Raises:
        UsageError: it cannot be written.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except AntiphonError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; name another place") from None
    finally:
        part.unlink(missing_ok=True)


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
