"""The structural connectome by rows that sum to one, sparse, made from any chunks.

A matrix of 22,703 voxels is 2 GB as dense float32; it is only ever held as its entries that are not
zero, and looked at a stretch of rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

STRETCH = 64 * 2**20
"""Bytes of a dense array that are looked at together."""


def stretches(matrix: NDArray[Any] | da.Array) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row and dense values of stretches of rows, in order.

    Parameters
    ----------
    matrix : (voxel, voxel_source)
        A Dask array is computed chunk by chunk of its rows.
    """
    if isinstance(matrix, np.ndarray):
        rows = max(1, STRETCH // max(1, matrix[:1].nbytes))
        for start in range(0, len(matrix), rows):
            yield start, matrix[start : start + rows]
        return
    bounds = np.cumsum([0, *matrix.chunks[0]]).tolist()
    for start, stop in pairwise(bounds):
        yield start, np.asarray(matrix[start:stop].compute())


def normalise(connection: NDArray[Any] | da.Array) -> sp.csr_array:
    """Rows that sum to one, without self-connection; isolated voxels keep an empty row.

    Parameters
    ----------
    connection : (voxel, voxel_source) float, fibres
        NumPy, or Dask chunked by rows.

    Returns
    -------
    (voxel, voxel_source) float64, sparse CSR
        A single voxel is its own outside: [[1]].
    """
    n = connection.shape[0]
    if n == 1:
        return sp.csr_array(np.ones((1, 1)))
    parts = [_shares(start, np.array(rows, np.float64)) for start, rows in stretches(connection)]
    per_row = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64)
    data, indices = np.empty(indptr[-1]), np.empty(indptr[-1], np.int32)
    at = 0
    while parts:  # each is let go once it is copied
        part = parts.pop(0)
        data[at : at + part.nnz], indices[at : at + part.nnz] = part.data, part.indices
        at += part.nnz
    shares: Any = sp.csr_array((n, n), dtype=np.float64)
    shares.data, shares.indices, shares.indptr = data, indices, indptr
    made: sp.csr_array = shares
    return made


def entries(matrix: NDArray[Any] | da.Array, at: sp.csr_array) -> NDArray[np.float64]:
    """Values of a dense matrix where a sparse one has its entries, in their order.

    Parameters
    ----------
    matrix : (voxel, voxel_source) float
        NumPy, or Dask chunked by rows.
    at : (voxel, voxel_source) sparse CSR

    Returns
    -------
    (entry,) float64
    """
    found = []
    for start, rows in stretches(matrix):
        row = np.repeat(np.arange(len(rows)), np.diff(at.indptr[start : start + len(rows) + 1]))
        columns = at.indices[at.indptr[start] : at.indptr[start + len(rows)]]
        found.append(np.asarray(rows[row, columns], np.float64))
    return np.concatenate(found)


def _shares(start: int, rows: NDArray[np.float64]) -> sp.csr_array:
    k = np.arange(len(rows))
    rows[k, start + k] = 0.0
    total = rows.sum(axis=1, keepdims=True)
    np.divide(rows, total, out=rows, where=total > 0)
    return sp.csr_array(rows)
