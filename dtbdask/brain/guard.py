"""Distrust of files: look at sizes before unpacking, and tell damage in one way.

A decoder that stumbles on damage raises anything at all, and a file of a few kilobytes may claim or
unpack to terabytes. Whoever reads a file does so through these.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dtbdask.errors import DTBDaskError, InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SIZE_LIMIT = 8 * 2**30
"""Bytes that a file may unpack to."""

RATIO_LIMIT = 200
"""Times its packed size that a file may unpack to, above `SMALL`."""

SMALL = 16 * 2**20
"""Bytes that are harmless whatever they were packed into: a sparse small matrix packs very well."""

LAZY_LIMIT = 256 * 2**30
"""Bytes that a matrix read a few rows at a time may unpack to: 185,000 voxels of float64."""

CHUNK_LIMIT = 256 * 2**20
"""Bytes that a file may pack into one chunk, which is unpacked whole to read any part of it."""


def digest(*paths: Path) -> str:
    """SHA-256, in hex, of the bytes of files in a row; a directory stands for its files."""
    total = hashlib.sha256()
    for path in paths:
        files = (
            sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            with file.open("rb") as stream:
                while chunk := stream.read(SMALL):
                    total.update(chunk)
    return total.hexdigest()


def head(path: Path, count: int) -> bytes:
    """First bytes of a file that can be read and is not empty, else `InputFileError`."""
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise InputFileError(f"{path}: the file is empty (0 bytes); copy or export it again")
    return start


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Tell any failure of a decoder as a damaged file; on damage decoders raise anything at all."""
    try:
        yield
    except DTBDaskError:
        raise
    except Exception as error:
        raise InputFileError(
            f"{path}: damaged, or not {what} ({type(error).__name__}: {error}); "
            "copy or export it again"
        ) from error


def refuse_bomb(path: Path, unpacked: int, packed: int | None) -> None:
    """Refuse what would unpack to too much, before anything is unpacked."""
    if unpacked > SIZE_LIMIT:
        raise InputFileError(
            f"{path}: would unpack to {unpacked:,} bytes; at most {SIZE_LIMIT:,} are read"
        )
    if packed is not None and unpacked > max(SMALL, RATIO_LIMIT * packed):
        raise InputFileError(
            f"{path}: {packed:,} bytes would unpack to {unpacked:,}, more than {RATIO_LIMIT} times "
            "as many; if that is right, save it uncompressed (numpy.savez)"
        )


def refuse_endless(path: Path, name: str, unpacked: int, chunk: int) -> None:
    """Refuse a matrix that, though read a few rows at a time, is too much in all or in a chunk."""
    if unpacked > LAZY_LIMIT:
        raise InputFileError(
            f"{path}: {name[:80]!r} would unpack to {unpacked:,} bytes; "
            f"at most {LAZY_LIMIT:,} are read, a few rows at a time"
        )
    if chunk > CHUNK_LIMIT:
        raise InputFileError(
            f"{path}: {name[:80]!r} is packed in chunks of {chunk:,} bytes, each unpacked whole; "
            f"at most {CHUNK_LIMIT:,} are; write it again in smaller chunks"
        )


def listed(names: Iterable[str]) -> str:
    """Names for a message: quoted, cut, and not too many of them."""
    names = list(names)
    shown = [repr(name[:80]) for name in names[:20]]
    return ", ".join(shown) + (" and more" if len(names) > 20 else "") if shown else "nothing"
