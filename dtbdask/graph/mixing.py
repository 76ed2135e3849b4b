"""The mixture that a layout makes of a connectome: terms of populations, far tables of voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.layouts import Layout
from dtbdask.graph.mixture import Mixture

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Far:
    """Far tables: one for each voxel and kind of source voxel that it hears.

    Attributes
    ----------
    table : (kind, voxel) int64
        Number of the table, or -1.
    weight : (kind, voxel) float64
        Share of the kind in all that the voxel hears.
    indptr, voxel, share, delay
        Entries of the tables; the shares of a table add up to one.
    """

    table: Ints
    weight: Floats
    indptr: Ints
    voxel: Ints | NDArray[np.int32]
    share: Floats
    delay: NDArray[np.uint16]


def mix(
    shares: sp.csr_array,
    layout: Layout,
    kind: Ints,
    first: Ints,
    delay: NDArray[np.uint16] | None = None,
) -> Mixture:
    """Terms of all populations, and far tables for each voxel and kind of source voxel.

    Parameters
    ----------
    shares : (voxel, voxel_source) float64, sparse CSR
        The normalised connectome.
    layout : Layout
    kind : (voxel,) int64
        Which motif of the layout a voxel has.
    first : (voxel_edge,) int64
        First population of each voxel.
    delay : (entry,) uint16, optional
        Of the entries of `shares`, steps.

    Returns
    -------
    Mixture
    """
    far = _far(shares, kind, len(layout.motifs), delay)
    parts = [
        part
        for k in range(len(layout.motifs))
        for part in _terms(layout, k, np.flatnonzero(kind == k), first, far, alone=kind.size == 1)
    ]
    population, source, table, share = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    order = np.lexsort((source, table, population))
    n_terms = np.bincount(population, minlength=int(first[-1]))
    return Mixture(
        np.concatenate([[0], np.cumsum(n_terms)]).astype(np.int64),
        source[order].astype(np.int32),
        table[order].astype(np.int32),
        share[order],
        far.indptr,
        first.astype(np.int32)[far.voxel],
        far.share,
        far.delay,
    )


def _far(shares: sp.csr_array, kind: Ints, n_kinds: int, delay: NDArray[np.uint16] | None) -> _Far:
    """Divide the rows of the connectome by the kinds of their columns."""
    tables, weights, counts, picked = [], [], [], []
    n_tables = 0
    for k in range(n_kinds):
        value, column, count, delays = _of_kind(shares, kind, k, n_kinds, delay)
        used = count > 0
        start = np.concatenate([[0], np.cumsum(count)])[:-1]
        weight = np.zeros(kind.size)
        weight[used] = np.add.reduceat(value, start[used]) if used.any() else 0.0
        tables.append(np.where(used, n_tables + np.cumsum(used) - 1, -1))
        n_tables += int(used.sum())
        weights.append(weight)
        counts.append(count[used])
        share = value if n_kinds == 1 else value / np.repeat(weight, count)
        picked.append((column, share, delays))
    voxel, share, delays = (_joined(column) for column in zip(*picked, strict=True))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    return _Far(np.array(tables), np.array(weights), indptr, voxel, share, delays)


def _joined(parts: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """The parts one after another; a sole one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _of_kind(
    shares: sp.csr_array, kind: Ints, k: int, n_kinds: int, delay: NDArray[np.uint16] | None
) -> tuple[Floats, NDArray[np.int32], Ints, NDArray[np.uint16]]:
    """Shares and columns of the entries from voxels of a kind, how many in each row, delays."""
    delays = np.zeros(0, np.uint16) if delay is None else delay
    if n_kinds == 1:
        return shares.data, shares.indices, np.diff(shares.indptr), delays
    mine = kind[shares.indices] == k
    marked = np.concatenate([[0], np.cumsum(mine)])
    delays = delays if delay is None else delays[mine]
    return shares.data[mine], shares.indices[mine], np.diff(marked[shares.indptr]), delays


def _terms(
    layout: Layout, own: int, voxel: Ints, first: Ints, far: _Far, *, alone: bool
) -> list[tuple[Ints, Ints, Ints, Floats]]:
    """Population, source, table and share of the terms of the voxels of one kind."""
    motif = layout.motifs[own]
    local, outer = np.array(motif.local), np.array(motif.outer)
    if alone:  # a sole voxel is its own outside
        local, outer = local + np.outer(outer, motif.long_range), np.zeros_like(outer)
    here, near = first[voxel], np.full(voxel.size, -1)
    parts = [
        (here + a, here + b, near, np.full(voxel.size, local[a, b]))
        for a, b in np.argwhere(local > 0)
    ]
    for k, other in enumerate(layout.motifs):
        heard = voxel[far.table[k, voxel] >= 0]
        table, weight = far.table[k, heard], far.weight[k, heard]
        if heard.size and outer.any() and not any(other.long_range):
            raise InputError(
                f"motif: long_range of {', '.join(other.slots)} is 0, but other voxels hear such "
                "voxels; say which of its slots project, or leave those voxels out"
            )
        for a, b in np.argwhere(np.outer(outer, other.long_range) > 0):
            share = outer[a] * other.long_range[b] * weight
            parts.append((first[heard] + a, np.full(heard.size, b), table, share))
    return parts
