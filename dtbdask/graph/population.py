"""From voxels to populations: sizes, in-degrees and who hears whom.

A layout says which populations a voxel holds (its *motif*) and how the in-edges of each are shared
among the local populations and the outside. The structural connectome, normalised by rows, shares
the outer part among the voxels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import xarray as xr
from numpy.typing import NDArray

from dtbdask.errors import InputError, whole_number

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """The populations of a voxel.

    Attributes
    ----------
    slots : tuple of str
        Names of the populations.
    excitatory : tuple of bool
        Which of them excite.
    size_share : tuple of float
        Share of the voxel's neurons.
    local : tuple of tuple of float
        Share of the in-edges of a slot (row) that come from each slot of its voxel (column).
    outer : tuple of float
        Share that comes from other voxels.
    long_range : tuple of float
        How the outer share of a source voxel is divided among its slots.
    """

    slots: tuple[str, ...]
    excitatory: tuple[bool, ...]
    size_share: tuple[float, ...]
    local: tuple[tuple[float, ...], ...]
    outer: tuple[float, ...]
    long_range: tuple[float, ...]


LAYOUTS: Mapping[str, Layout] = {
    "voxel": Layout(
        slots=("E", "I"),
        excitatory=(True, False),
        size_share=(0.8, 0.2),
        local=((4 / 7, 1 / 7), (4 / 7, 1 / 7)),
        outer=(2 / 7, 2 / 7),
        long_range=(1.0, 0.0),
    )
}
"""Known layouts. `voxel`: 80 % excitatory neurons, long-range axons from them alone."""


@dataclass(frozen=True)
class Populations:
    """All populations of a network; neurons are numbered population by population.

    Attributes
    ----------
    voxel, slot : (population,) int64
        Where a population lives.
    excitatory : (population,) bool
    size : (population,) int64, neurons
    degree : (population,) int32, synapses
        In-degree of each of its neurons.
    connection : (population, population) float64, sparse CSR
        Share of the in-edges of a target population (row) from each source (column).
    """

    voxel: Ints
    slot: Ints
    excitatory: NDArray[np.bool_]
    size: Ints
    degree: NDArray[np.int32]
    connection: sp.csr_array

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(self.size.sum())

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.size @ self.degree.astype(np.int64))

    @property
    def first(self) -> Ints:
        """First neuron of each population: (population,) int64."""
        return np.concatenate([[0], np.cumsum(self.size)[:-1]]).astype(np.int64)

    def matrix(self) -> sp.csr_array:
        """Share of the in-edges of each population (row) that come from each (column)."""
        return self.connection

    def pull(self, weight: Floats) -> Floats:
        """Sum of the rows of the matrix: (..., population) times (population, population)."""
        pulled: Floats = np.asarray(weight @ self.connection)
        return pulled

    def population_of(self, start: int, stop: int) -> Ints:
        """Population of each neuron of a range: (neuron,) int64."""
        return np.searchsorted(self.first, np.arange(start, stop), side="right") - 1


def normalise(connection: Floats) -> Floats:
    """Rows that sum to one, without self-connection; isolated voxels keep a row of zeros.

    Parameters
    ----------
    connection : (voxel, voxel_source) float64, fibres

    Returns
    -------
    (voxel, voxel_source) float64
        A single voxel is its own outside: [[1]].
    """
    if connection.shape == (1, 1):
        return np.ones((1, 1))
    counts = np.array(connection, dtype=np.float64)
    np.fill_diagonal(counts, 0.0)
    total = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return shares


def populate(brain: xr.Dataset, neurons: float, degree: int, layout: str) -> Populations:
    """Populations of a brain.

        P[(v, a), (u, b)] = delta_vu local[a, b] + C[v, u] outer[a] long_range[b]
        size = int(g_v s_a N),   degree = max(int(d), 1)

    with C the normalised connectome, g the grey matter normalised to one and s the size shares.

    Parameters
    ----------
    brain : xarray.Dataset
        From `read_connectome`.
    neurons : int
        Wanted number of neurons N; truncation makes it slightly less.
    degree : int
        In-degree d of every neuron.
    layout : str
        Name in `LAYOUTS`.

    Raises
    ------
    InputError
        Unknown layout, bad numbers, or populations too small for the in-degree.
    """
    if layout not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}; known are {', '.join(LAYOUTS)}")
    motif = LAYOUTS[layout]
    neurons = whole_number("neurons", neurons, 1, 2**32 - 1)
    degree = whole_number("degree", degree, 1, 2**16 - 1)
    conn = sp.csr_array(normalise(brain["connection"].values))
    share = brain["grey_matter"].values / brain["grey_matter"].values.sum()
    n_voxels, n_slots = share.size, len(motif.slots)
    size = np.floor(np.outer(share, motif.size_share) * neurons).astype(np.int64).ravel()
    connection = sp.csr_array(
        sp.kron(sp.eye_array(n_voxels), np.array(motif.local))
        + sp.kron(conn, np.outer(motif.outer, motif.long_range))
    )
    connection.eliminate_zeros()
    connection.sort_indices()
    populations = Populations(
        voxel=np.repeat(np.arange(n_voxels), n_slots),
        slot=np.tile(np.arange(n_slots), n_voxels),
        excitatory=np.tile(motif.excitatory, n_voxels),
        size=size,
        degree=np.full(size.size, max(degree, 1), np.int32),
        connection=connection,
    )
    labels = [f"{label} {slot}" for label in brain["label"].values for slot in motif.slots]
    check_feasible(populations, labels, neurons)
    return populations


def check_feasible(populations: Populations, labels: list[str], neurons: int) -> None:
    """Refuse populations that cannot have their in-degree without double edges.

    Parameters
    ----------
    populations : Populations
    labels : list of str
        Names for the messages.
    neurons : int
        Wanted number, for the advice.
    """
    matrix, size = populations.connection, populations.size
    small = np.flatnonzero(size < 2)
    if small.size:
        p = int(small[np.argmin(size[small])])
        raise InputError(
            f"neurons={neurons:,} leaves population {p} ({labels[p]}) with {size[p]} of them; "
            f"every population needs 2 at least: raise neurons"
        )
    row = np.repeat(np.arange(size.size), np.diff(matrix.indptr))
    heard = size[matrix.indices] - (matrix.indices == row)
    reach = np.bincount(row, weights=heard, minlength=size.size).astype(np.int64)
    short = np.flatnonzero(reach < populations.degree)
    if short.size:
        p = int(short[np.argmin(reach[short])])
        raise InputError(
            f"degree={populations.degree[p]}: population {p} ({labels[p]}) can hear only "
            f"{reach[p]:,} neurons; use degree <= {reach.min():,} or more neurons"
        )
    wanted = matrix.data * populations.degree[row]
    crowded = np.unique(row[wanted > heard])
    if crowded.size:
        logger.warning(
            "%d of %d populations want more sources than some source population has (%s first); "
            "the excess goes to their other sources, so the mix of sources is distorted there",
            crowded.size, size.size, labels[crowded[0]],
        )  # fmt: skip
