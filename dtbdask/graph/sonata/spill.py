"""Sorting more than memory holds: records are put into buckets on disk and taken back in turn.

A bucket is a stretch of keys with few enough records to be sorted in memory. Records come back in
the order they were put in, so that a stable sort of each bucket is a stable sort of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Ints = NDArray[np.int64]


def stretches(count: Ints, limit: int) -> Ints:
    """Cut a range of keys into stretches of at most `limit` records, or of a single key.

    Parameters
    ----------
    count : (key,) int64
        Records of each key.
    limit : int

    Returns
    -------
    (stretch_edge,) int64
        From 0 to the number of keys.
    """
    total = np.cumsum(count, dtype=np.int64)
    edges = [0]
    while edges[-1] < total.size:
        start = edges[-1]
        before = int(total[start - 1]) if start else 0
        stop = int(np.searchsorted(total, before + limit, side="right"))
        edges.append(max(stop, start + 1))
    return np.array(edges, dtype=np.int64)


@dataclass(frozen=True)
class Spill:
    """Records of a few integers in buckets by their key, which is the first integer.

    Attributes
    ----------
    folder : Path
        An empty one; whoever made it removes it.
    edges : (stretch_edge,) int64
        Stretches of keys, as `stretches` cuts them.
    width : int
        Integers in a record.
    dtype : numpy.dtype
    """

    folder: Path
    edges: Ints
    width: int
    dtype: np.dtype[Any]

    def put(self, records: NDArray[Any]) -> None:
        """Add records: (record, width), in any order of keys."""
        bucket = np.searchsorted(self.edges, records[:, 0], side="right") - 1
        order = np.argsort(bucket, kind="stable")
        records, bucket = records[order].astype(self.dtype, copy=False), bucket[order]
        cuts = np.flatnonzero(np.diff(bucket)) + 1
        for start, stop in zip([0, *cuts], [*cuts, bucket.size], strict=True):
            if stop > start:
                with (self.folder / str(bucket[start])).open("ab") as file:
                    records[start:stop].tofile(file)

    def buckets(self) -> Iterator[NDArray[Any]]:
        """Take the records of each bucket in turn, sorted by their key: (record, width)."""
        for index in range(self.edges.size - 1):
            path = self.folder / str(index)
            if path.exists():
                records = np.fromfile(path, self.dtype).reshape(-1, self.width)
                path.unlink()
                yield records[np.argsort(records[:, 0], kind="stable")]
