"""Where records come from: files, folders, globs, URLs and standard input, compressed or not."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, Literal, cast

from antiphon import storage
from antiphon.errors import ProblemError

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "saved"]

EXTENSIONS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
COMPRESSED = (".gz", ".zst", ".zstd")
DAMAGE = (OSError, EOFError, zlib.error)
"""What reading a damaged file raises."""
_HEAD = 1 << 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder. `name` is what messages call it; `open` gives its bytes anew at each call, as stored."""

    name: str
    path: Path | None
    open: Callable[[], BinaryIO]

    @property
    def is_folder(self) -> bool:
        """Whether it is a saved dataset, which is read by its path and not by `open`."""
        return self.path is not None and self.path.is_dir()

    @contextmanager
    def text(self) -> Iterator[BinaryIO]:
        """Its bytes, decompressed. Reading raises one of `DAMAGE` where they are damaged."""
        with self.open() as stored, decompressed(stored) as stream:
            yield stream

    def format(self) -> Format:
        """By extension, else by content. A `.json` file may hold an array or one record a line: its content says.

        Raises:
            ProblemError: it is in an encoding or a shape that cannot be read.
        """
        if self.is_folder:
            return "saved"
        suffixes = [suffix.lower() for suffix in Path(self.name).suffixes]
        if suffixes and suffixes[-1] in COMPRESSED:
            suffixes.pop()
        known = EXTENSIONS.get(suffixes[-1]) if suffixes else None
        if known in ("parquet", "arrow"):
            return known
        try:
            with self.text() as stream:
                head = stream.read(_HEAD)
        except DAMAGE:
            return known or "jsonl"  # whose reader says what is wrong and where
        if head.startswith(_UTF16):
            raise ProblemError("is UTF-16; save it as UTF-8")
        return known or _format_of(head)


def decompressed(stream: BinaryIO) -> BinaryIO:
    """A seekable stream's content: gzip and zstd, also several members or frames, are told by their first bytes.

    Closing it may leave the stored stream open.
    """
    magic = stream.read(4)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        return cast(BinaryIO, io.BufferedReader(_Zstd(stream), 1 << 16))
    return stream


def expand(paths: Iterable[str | Path]) -> list[Source]:
    """The sources that paths name, in their order, the matches of a glob sorted.

    Args:
        paths: files, folders, globs (`**` too; a file that is called so wins), URLs of stores (globs too), or "-" for
            standard input.

    Raises:
        ProblemError: a path that names nothing, or cannot be opened.
        StorageError: a store fails.
        MissingDependency: its library is not installed.
    """
    sources: list[Source] = []
    for path in map(str, paths):
        if path == "-":
            sources.append(_held("standard input", sys.stdin.buffer.read()))
            continue
        here = storage.local(path)
        if here is None:
            sources += _remote(path)
            continue
        path = str(here)
        if Path(path).exists():
            sources.append(_source(path))
        elif has_magic(path):
            found = sorted(glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            matches = [_source(match) for match in found if _is_data(Path(match))]
            if not matches:
                raise ProblemError(f"{path}: no file matches")
            sources += matches
        else:
            raise ProblemError(f"{path}: there is no such file")
    if not sources:
        raise ProblemError("no problem file was named")
    return sources


def _remote(url: str) -> list[Source]:
    remote = storage.Remote(url)
    kind = remote.kind()
    if kind == "directory":
        raise ProblemError(f"{remote.name}: is a folder; name its files, as in '{remote.name.rstrip('/')}/*.jsonl'")
    found = [remote] if kind else remote.matches() if has_magic(url) else []
    if not found:
        raise ProblemError(f"{remote.name}: {'no file matches' if has_magic(url) else 'there is no such file'}")
    return [Source(one.name, None, one.open) for one in found]


def _source(name: str) -> Source:
    path = Path(name)
    if path.is_dir():
        return Source(name, _saved_folder(path), lambda: cast(BinaryIO, io.BytesIO()))
    try:
        if not path.is_file():  # a pipe can be read only once
            return _held(name, path.read_bytes())
        with path.open("rb"):
            return Source(name, path, lambda: path.open("rb"))
    except OSError as error:
        raise ProblemError(f"{name}: cannot be read: {error.strerror}") from None


def _held(name: str, data: bytes) -> Source:
    return Source(name, None, lambda: io.BytesIO(data))


def _is_data(path: Path) -> bool:
    return not path.is_dir() or (path / "state.json").exists()


def _saved_folder(path: Path) -> Path:
    """The folder of a saved dataset; of several splits saved together, the only one."""
    if (path / "state.json").is_file():
        return path
    try:
        splits = json.loads((path / "dataset_dict.json").read_text("utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ProblemError(
            f"{path}: is a folder, but not one that `save_to_disk` wrote; name its files, as in '{path}/*.jsonl'"
        ) from None
    if len(splits) != 1:
        raise ProblemError(f"{path}: holds the splits {', '.join(splits)}; name one, as in {path}/{splits[0]}")
    return path / str(splits[0])


def _format_of(head: bytes) -> Format:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return "json"
    first = text.partition(b"\n")[0].rstrip()
    if first == b"{":
        raise ProblemError("is a JSON object over several lines; write an array of records, or one record a line")
    if text.startswith(b"{") or not text:
        return "jsonl"
    return "csv" if b"," in first else "tsv" if b"\t" in first else "jsonl"


class _Zstd(io.RawIOBase):
    """The frames of a zstd file, one after the other; a frame cut short is an error."""

    def __init__(self, stream: BinaryIO):
        import zstandard

        self._stream = stream
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._errors = zstandard.ZstdError
        self._frame = self._decompressor.decompressobj()
        self._begun = False
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._output:
            if not self._fill():
                return 0
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def _fill(self) -> bool:
        """Decompresses the next piece; False at the end."""
        piece = b""
        if self._frame.eof:
            piece = self._frame.unused_data
            self._frame = self._decompressor.decompressobj()
            self._begun = False
        piece = piece or self._stream.read(1 << 14)
        if not piece:
            if self._begun:
                raise EOFError("the compressed data end in the middle of a frame")
            return False
        self._begun = True
        try:
            self._output = memoryview(self._frame.decompress(piece))
        except self._errors as error:
            raise OSError(f"the compressed data are damaged: {error}") from None
        return True
