"""Files at URLs (`s3://`, `gs://`, `memory://` and whatever else fsspec knows): read as streams, written whole.

Object stores have no folders, no locks and no renames. What they promise is used and nothing more: an object is there
whole or not at all, and once it is there it is read and listed. Keys and endpoints come from where the store's own
tools take them (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, profiles, roles of a machine).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from antiphon.errors import MissingDependency, StorageError, UsageError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BLOCK = 8 << 20  # bytes asked for at once where a file is read on and on
_PART = 32 << 20  # bytes of one piece of an upload in pieces, which begins at two of them
_TRIES = 6
_S3: dict[str, Any] = {
    "config_kwargs": {
        # botocore's own: errors of the server, of the line and "slow down", with growing, random waits.
        "retries": {"mode": "standard", "max_attempts": _TRIES},
        "connect_timeout": 20,
        "read_timeout": 60,
    },
    "max_concurrency": 4,  # pieces of an upload in memory
    "use_listings_cache": False,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": _S3,
    "s3a": _S3,
    "gs": {"use_listings_cache": False},
    "gcs": {"use_listings_cache": False},
}
"""What fsspec is told of a store, by scheme."""
_IN_PIECES = ("s3", "s3a", "gs", "gcs")
_PACKAGED = ("s3", "s3a")  # whose library the extra brings


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL of a store; `file://` is one too."""
    return _SCHEME.match(str(path)) is not None


def local(path: str | Path) -> Path | None:
    """The path on this machine, None for all that is elsewhere."""
    text = str(path)
    if text.lower().startswith("file://"):
        return Path(unquote(text[len("file://") :]))
    return None if is_url(text) else Path(path)


class Remote:
    """An object at a URL, or what stands below it.

    Every method raises StorageError where the store does not answer, refuses or breaks off, after the tries that the
    store's library makes of itself.

    Attributes:
        name: the URL for people, without a name and password in it.
    """

    def __init__(self, url: str):
        """Nothing is asked yet.

        Raises:
            MissingDependency: the library for such URLs is not installed.
            UsageError: there are no such URLs.
        """
        self.name = re.sub(r"://[^/@]*@", "://", url)
        scheme = cast(re.Match[str], _SCHEME.match(url))[1].lower()
        try:
            import fsspec
        except ImportError:
            raise MissingDependency("fsspec", "remote", self.name) from None
        try:
            self._files, self._path = fsspec.core.url_to_fs(url, **OPTIONS.get(scheme, {}))
        except ImportError as error:
            found = re.search(r"\b(s3fs|gcsfs|adlfs|paramiko|requests|smbprotocol)\b", str(error))
            library = found[1] if found else f"a library ({_line(error)})"
            raise MissingDependency(library, "remote" if scheme in _PACKAGED else None, self.name) from None
        except ValueError as error:
            raise UsageError(f"{self.name}: cannot be used: {_line(error)}") from None
        self._in_pieces: dict[str, Any] = {"chunksize": _PART} if scheme in _IN_PIECES else {}

    def kind(self) -> str:
        """`file`, `directory`, or "" where there is nothing of this name."""
        with self._told("cannot be looked at"):
            try:
                return str(self._files.info(self._path)["type"])
            except FileNotFoundError:
                return ""

    def matches(self) -> list[Remote]:
        """The objects that match it as a pattern (`*`, `**`, `?`, `[a-z]`), sorted."""
        with self._told("cannot be listed"):
            found = self._files.glob(self._path, detail=True)
        return [self._beside(path) for path, info in sorted(found.items()) if info["type"] == "file"]

    def sizes(self) -> dict[str, int]:
        """The bytes of all objects below it, by their path from here."""
        with self._told("cannot be listed"):
            try:
                found: Mapping[str, Mapping[str, Any]] = self._files.find(self._path, detail=True)
            except FileNotFoundError:
                return {}
        root = self._path.rstrip("/") + "/"
        return {path.removeprefix(root): info["size"] for path, info in found.items() if path.startswith(root)}

    def open(self) -> BinaryIO:
        """Its bytes as a stream in which one can seek; only what is read is fetched.

        Reading raises StorageError where the store fails.
        """
        with self._told("cannot be read"):
            stream = self._files.open(self._path, "rb", block_size=_BLOCK)
        return io.BufferedReader(_Reading(self, stream), 1 << 18)

    def digest(self) -> str:
        """The SHA-256 of its bytes, which are read for it; "" where there is nothing."""
        digest = hashlib.sha256()
        with self._told("cannot be read"):
            try:
                with self._files.open(self._path, "rb", block_size=_BLOCK) as stream:
                    while block := stream.read(_BLOCK):
                        digest.update(block)
            except FileNotFoundError:
                return ""
        return digest.hexdigest()

    def put(self, file: Path) -> None:
        """Sends a file there; it replaces what has this name, in one step where the store can."""
        with self._told("cannot be written"):
            self._files.put_file(str(file), self._path, **self._in_pieces)

    def remove(self) -> None:
        """Removes it, if it is there."""
        with self._told("cannot be removed"):
            try:
                self._files.rm_file(self._path)
            except FileNotFoundError:
                return

    def __truediv__(self, name: str) -> Remote:
        return self._beside(f"{self._path.rstrip('/')}/{name}")

    def _beside(self, path: str) -> Remote:
        other = object.__new__(Remote)
        other.name = str(self._files.unstrip_protocol(path))
        other._files, other._path, other._in_pieces = self._files, path, self._in_pieces
        return other

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """The library's errors as one of ours. Each store's library has its own, without a root in common."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(f"{self.name}: {what}: {_line(error)}") from None


class _Reading(io.RawIOBase):
    """The stream of a store, whose errors are StorageErrors."""

    def __init__(self, remote: Remote, stream: Any):
        self._remote, self._stream = remote, stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._remote._told("cannot be read further"):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._remote._told("cannot be read further"):
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()
        super().close()


def _line(error: Exception) -> str:
    """A library's words in one line, without a name and password that a URL in them may hold."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return re.sub(r"://[^\s/@]*@", "://", text)
