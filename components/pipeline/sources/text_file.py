"""Files of prices as text: plain, gzip or zip, UTF-8 or UTF-16, read whole into memory and never larger than a limit."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from components.fx import BadInput, NotFound

# A year of M1 is 20 MB and a busy month of ticks 300 MB; what unpacks to more was not made by a data vendor.
LARGEST_BYTES = 1 << 30
TEXT_SUFFIXES = (".csv", ".txt", ".tsv")
_READ_BYTES = 1 << 25


@dataclass(frozen=True)
class TextFile:
    """One file on disk as it came: its bytes, their digest, and the name under which it is known."""

    path: Path
    key: str
    raw: bytes
    sha256: str

    def members(self) -> tuple[str, ...]:
        """Names of the texts inside: the file itself, or each CSV of a zip.

        Raises
        ------
        BadInput
            If it is a zip that is damaged, holds no CSV, or holds what must not be unpacked.
        """
        suffix = self.path.suffix.lower()
        if suffix != ".zip":
            return (self.path.stem if suffix == ".gz" else self.path.name,)
        with self._damage_in_words(), zipfile.ZipFile(io.BytesIO(self.raw)) as archive:
            return tuple(info.filename for info in _members(archive, self.key))

    def text(self, member: str) -> bytes:
        """One of the `members` as UTF-8, unpacked in memory: nothing is ever written where a member's name points.

        Raises
        ------
        BadInput
            If it is damaged or encrypted, or unpacks to more than `LARGEST_BYTES`.
        """
        suffix = self.path.suffix.lower()
        with self._damage_in_words():
            if suffix == ".zip":
                with zipfile.ZipFile(io.BytesIO(self.raw)) as archive, archive.open(member) as stream:
                    return as_utf8(_bounded(stream, self.key), member)
            if suffix == ".gz":
                with gzip.open(io.BytesIO(self.raw)) as stream:
                    return as_utf8(_bounded(cast(IO[bytes], stream), self.key), self.key)
        return as_utf8(self.raw, self.key)

    @contextmanager
    def _damage_in_words(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise BadInput("path", f"{self.key} is damaged: {error}; download it again") from None


def listed_files(path: Path, suffixes: Iterable[str]) -> list[Path]:
    """The file itself, or every file below a folder whose name ends so, in order of their names.

    Raises
    ------
    NotFound
        If there is nothing at `path`.
    """
    endings = tuple(suffixes)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise NotFound(f"there is no file or folder {path}; give the path of one")
    return sorted(found for found in path.rglob("*") if found.is_file() and found.name.lower().endswith(endings))


def open_text(path: Path, folder: Path | None = None) -> TextFile:
    """Read a file as it is; its key is its name, or its path below `folder`.

    Raises
    ------
    NotFound
        If it cannot be read.
    BadInput
        If it is larger than `LARGEST_BYTES`.
    """
    key = path.relative_to(folder).as_posix() if folder is not None and path != folder else path.name
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadInput("path", f"{key} has {path.stat().st_size:,} bytes, more than {LARGEST_BYTES:,}; split it by month")
        raw = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror or error}") from None
    return TextFile(path, key, raw, hashlib.sha256(raw).hexdigest())


def as_utf8(content: bytes, name: str) -> bytes:
    """The text as UTF-8 without a byte order mark; UTF-16 is told by its mark, or by zeros where Western text has none."""
    if content.startswith(codecs.BOM_UTF8):
        return content[len(codecs.BOM_UTF8) :]
    is_marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not (is_marked or content[1:2] == b"\0" or content[:1] == b"\0"):
        return content
    encoding = "utf-16" if is_marked else "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise BadInput("path", f"{name} begins as {encoding} text and is not: {error.reason} at byte {error.start}") from None


def _members(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    """Every CSV of a zip in order of its name."""
    members = [info for info in archive.infolist() if not info.is_dir() and info.filename.lower().endswith(".csv")]
    if not members:
        inside = ", ".join(info.filename for info in archive.infolist()[:5]) or "nothing"
        raise BadInput("path", f"{name} holds no .csv; it holds {inside}")
    unpacked = sum(info.file_size for info in members)
    if unpacked > LARGEST_BYTES:
        raise BadInput("path", f"{name} says that it unpacks to {unpacked:,} bytes, more than {LARGEST_BYTES:,}; it is not read")
    for info in members:
        pure = PurePosixPath(info.filename.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or PureWindowsPath(info.filename).drive:
            raise BadInput("path", f"{name} holds a file named {info.filename!r}, which points outside; it is not read")
        if info.flag_bits & 1:
            raise BadInput("path", f"{name} is encrypted; unpack it yourself and give the CSV")
    return sorted(members, key=lambda info: info.filename)


def _bounded(stream: IO[bytes], name: str) -> bytes:
    """Everything of a packed stream, never more than the limit whatever its header says."""
    parts, size = list[bytes](), 0
    while part := stream.read(_READ_BYTES):
        parts.append(part)
        size += len(part)
        if size > LARGEST_BYTES:
            raise BadInput("path", f"{name} unpacks to more than {LARGEST_BYTES:,} bytes; it is not read")
    return parts[0] if len(parts) == 1 else b"".join(parts)
