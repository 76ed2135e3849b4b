"""Matrices too large to hold, a few rows at a time.

A matrix of voxels by voxels outgrows memory long before a list of voxels does: 22,703 voxels make
4.1 GB of float64. Such a matrix is a Dask array in chunks of whole rows, and whoever looks at all
of it takes one chunk after the other. A small one is a NumPy array; what is here takes both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import dask
import numpy as np
from dask.base import is_dask_collection

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dask.array as da
    from numpy.typing import DTypeLike, NDArray

    Matrix: TypeAlias = NDArray[Any] | da.Array

LAZY_ABOVE = 256 * 2**20
"""Bytes, as float64, above which a matrix is not read whole: 5,792 voxels by as many."""

CHUNK = 32 * 2**20
"""Bytes of a chunk of rows, about."""


class Source(Protocol):
    """Where rows come from; it pickles."""

    def __call__(self, start: int, stop: int, /) -> NDArray[Any]:
        """Rows from the first to before the last."""


def is_lazy(values: Matrix) -> bool:
    """Whether a matrix is a Dask array."""
    return bool(is_dask_collection(values))


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is a matrix that is not read whole."""
    return len(shape) == 2 and 8 * math.prod(shape) > LAZY_ABOVE


def lazy(source: Source, shape: tuple[int, int], dtype: DTypeLike, align: int = 1) -> da.Array:
    """Make a Dask array of what a source gives, in chunks of whole rows.

    Parameters
    ----------
    source : Source
        Gives rows `start` to `stop` as an array (row, column) of this dtype.
    shape : tuple of int
        Rows and columns.
    dtype : dtype
        Of the elements.
    align : int
        Rows that the source unpacks at once; chunks hold a multiple where that is not too much.

    Returns
    -------
    dask.array.Array
        Of this shape and dtype.
    """
    import dask.array as da

    rows = _rows_in_chunk(shape[1] * np.dtype(dtype).itemsize, align)
    read: Any = dask.delayed(source, pure=True)
    parts = []
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        parts.append(
            da.from_delayed(read(start, stop, pure=True), (stop - start, shape[1]), dtype=dtype)
        )
    whole: da.Array = da.concatenate(parts)
    return whole


def _rows_in_chunk(row_bytes: int, align: int) -> int:
    """Rows of a chunk; a source that unpacks far more at once does so again for each chunk."""
    rows = max(1, CHUNK // max(1, row_bytes))
    aligned = max(1, rows // align) * align
    return aligned if aligned <= 2 * rows else 2 * rows


def compact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Float32 where it holds every value of a dtype, else float64."""
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32) else np.float64)


def blocks(values: Matrix) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield a matrix in blocks of rows, each with its first row; one is in memory at a time.

    Parameters
    ----------
    values : (row, ...) array
        Blocks of a Dask array are its chunks of rows.
    """
    if isinstance(values, np.ndarray):
        rows = max(1, CHUNK // max(1, values[:1].nbytes))
        for start in range(0, len(values), rows):
            yield start, values[start : start + rows]
        return
    start = 0
    for i, length in enumerate(values.chunks[0]):
        yield start, np.asarray(values.blocks[i].compute())  # no name here keeps it alive
        start += length


def regions(values: Matrix, rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield a matrix in blocks of so many rows, the last maybe fewer, each with its first row.

    Parameters
    ----------
    values : (row, ...) array
        Each chunk of a Dask array is computed once, however it lies to the blocks.
    rows : int
        Rows of a block, at least 1.
    """
    region = np.empty((min(rows, values.shape[0]), *values.shape[1:]), values.dtype)
    start = filled = 0
    for _, block in blocks(values):
        taken = 0
        while taken < len(block):
            step = min(len(region) - filled, len(block) - taken)
            region[filled : filled + step] = block[taken : taken + step]
            taken, filled = taken + step, filled + step
            if filled == len(region):
                yield start, region
                start, filled = start + filled, 0
                region = np.empty_like(region)
        del block
    if filled:
        yield start, region[:filled]
