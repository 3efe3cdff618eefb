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
_BLOCK = 8 << 20  # bytes asked for at once
_PART = 32 << 20  # bytes of one piece of an upload in pieces, which begins at two of them
_TRIES = 6
_LONGEST, _SLOWEST = 900.0, 100_000
"""Seconds after which a call is given up that neither ends nor fails, and the bytes a second that an upload has to make
beside them. It is more than all tries together take: libraries may wait for a free connection without an end."""
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
                return str(self._call("info")["type"])
            except FileNotFoundError:
                return ""

    def matches(self) -> list[Remote]:
        """The objects that match it as a pattern (`*`, `**`, `?`, `[a-z]`), sorted."""
        with self._told("cannot be listed"):
            found = self._call("glob", detail=True)
        return [self._beside(path) for path, info in sorted(found.items()) if info["type"] == "file"]

    def sizes(self) -> dict[str, int]:
        """The bytes of all objects below it, by their path from here."""
        with self._told("cannot be listed"):
            try:
                found: Mapping[str, Mapping[str, Any]] = self._call("find", detail=True)
            except FileNotFoundError:
                return {}
        root = self._path.rstrip("/") + "/"
        return {path.removeprefix(root): info["size"] for path, info in found.items() if path.startswith(root)}

    def open(self) -> BinaryIO:
        """Its bytes as a stream in which one can seek; only what is read is fetched.

        Reading raises StorageError where the store fails.
        """
        with self._told("cannot be read"):
            size = int(self._call("info")["size"])
        return io.BufferedReader(_Reading(self, size), _BLOCK)

    def read(self, start: int, end: int) -> bytes:
        """Some of its bytes."""
        if start >= end:
            return b""
        with self._told("cannot be read further"):
            data = cast(bytes, self._call("cat_file", start=start, end=end))
            if len(data) != end - start:
                raise EOFError(f"{len(data)} of {end - start} bytes came")
        return data

    def digest(self) -> str:
        """The SHA-256 of its bytes, which are read for it; "" where there is nothing."""
        if self.kind() != "file":
            return ""
        digest = hashlib.sha256()
        with self.open() as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def put(self, file: Path) -> None:
        """Sends a file there; it replaces what has this name, in one step where the store can."""
        with self._told("cannot be written"):
            longest = _LONGEST + file.stat().st_size / _SLOWEST
            self._call("put_file", str(file), self._path, longest=longest, **self._in_pieces)

    def remove(self) -> None:
        """Removes it, if it is there."""
        with self._told("cannot be removed"):
            try:
                self._call("rm_file")
            except FileNotFoundError:
                return

    def __truediv__(self, name: str) -> Remote:
        return self._beside(f"{self._path.rstrip('/')}/{name}")

    def _beside(self, path: str) -> Remote:
        other = object.__new__(Remote)
        other.name = str(self._files.unstrip_protocol(path))
        other._files, other._path, other._in_pieces = self._files, path, self._in_pieces
        return other

    def _call(self, name: str, *arguments: Any, longest: float | None = None, **more: Any) -> Any:
        """What the library's function of that name gives, which must end in time."""
        if self._files.async_impl:  # these take it beside their own arguments
            more["timeout"] = longest or _LONGEST
        return getattr(self._files, name)(*(arguments or (self._path,)), **more)

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
    """An object as a stream: each read is a call."""

    def __init__(self, remote: Remote, size: int):
        self._remote, self._size, self._at = remote, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._remote.read(self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def _line(error: Exception) -> str:
    """A library's words in one line, without a name and password that a URL in them may hold."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return re.sub(r"://[^\s/@]*@", "://", text)
