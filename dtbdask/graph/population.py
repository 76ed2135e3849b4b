"""From voxels to populations: sizes, in-degrees and who hears whom.

A layout says which populations a voxel holds and how the in-edges of each are shared among the
local populations and the outside. The structural connectome, normalised by rows, shares the outer
part among the voxels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError, whole_number
from dtbdask.graph.layouts import Layout, Motif, layout_of
from dtbdask.graph.mixing import mix
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.shares import entries, normalise

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_NEURONS = 2**32 - 1
"""A source is stored as 32 bits."""
LONGEST_DELAY = 1000
"""Steps: a ring of kicks as long is held for every neuron."""


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
        In-degree of each of its neurons; of an imported network the largest.
    mixture : Mixture
        Shares of the in-edges of each; empty in an imported network.
    """

    voxel: Ints
    slot: Ints
    excitatory: NDArray[np.bool_]
    size: Ints
    degree: NDArray[np.int32]
    mixture: Mixture

    @classmethod
    def bare(
        cls, voxel: Ints, slot: Ints, excitatory: NDArray[np.bool_], size: Ints, degree: ArrayLike
    ) -> Populations:
        """Populations whose synapses follow no recipe."""
        none = Mixture.direct(sp.csr_array((len(size), len(size)), dtype=np.float64))
        return cls(voxel, slot, excitatory, size, np.asarray(degree, np.int32), none)

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
        return self.mixture.matrix()

    def pull(self, weight: Floats) -> Floats:
        """Product of weights (..., population) with the matrix, which is not made."""
        return self.mixture.pull(weight)

    def population_of(self, start: int, stop: int) -> Ints:
        """Population of each neuron of a range: (neuron,) int64."""
        return self.of(np.arange(start, stop))

    def of(self, neuron: NDArray[np.integer]) -> Ints:
        """Population of each of some neurons, by their global indices: (...) int64."""
        return np.searchsorted(self.first, neuron, side="right") - 1


def populate(
    brain: xr.Dataset,
    neurons: float,
    degree: float,
    layout: str | Layout | Motif = "voxel",
    *,
    min_size: int = 0,
    speed: float | None = None,
    dt_ms: float = 1.0,
) -> Populations:
    """Populations of a brain.

        P[(v, a), (u, b)] = delta_vu local[a, b] + C[v, u] outer[a] long_range[b]
        size = max(int(g_v s_a N), min_size),   degree = max(int(d scale_a), 1)

    with C the normalised connectome, g the grey matter normalised to one, s the size shares and
    scale the relative in-degrees of the layout.

    Parameters
    ----------
    brain : xarray.Dataset
        From `read_connectome`; its `connection` may be a Dask array.
    neurons : int
        Wanted number of neurons N; truncation makes it slightly less, `min_size` more.
    degree : int
        Mean in-degree d of a voxel's neurons.
    layout : str, Layout or Motif
        Populations of a voxel: a name in `dtbdask.graph.layouts.LAYOUTS`, or one's own.
    min_size : int
        Smallest population.
    speed : float, optional
        Conduction speed of long-range axons, mm/ms (= m/s): then `tract_length` of the brain gives
        delays of max(1, round(length / speed / dt)) steps. By default all delays are one step.
    dt_ms : float
        Step of the delays, ms.

    Raises
    ------
    InputError
        Unknown layout, bad numbers, or populations too small for the in-degree.
    """
    plan = layout_of(layout)
    neurons = whole_number("neurons", neurons, 1, MOST_NEURONS)
    degree = whole_number("degree", degree, 1, 2**16 - 1)
    min_size = whole_number("min_size", min_size, 0, MOST_NEURONS)
    kind = _kinds(brain, plan)
    grey = np.asarray(brain["grey_matter"].values, float)
    share = grey / grey.sum()
    counts = np.array([len(motif.slots) for motif in plan.motifs])[kind]
    first = np.concatenate([[0], np.cumsum(counts)])
    voxel = np.repeat(np.arange(kind.size), counts)
    place = np.arange(voxel.size) - first[voxel]
    tables = [_table(plan, motif) for motif in plan.motifs]

    shares = normalise(brain["connection"].data)
    delay = None if speed is None else _delays(brain, shares, speed, dt_ms)

    def of(name: str) -> Any:
        widest = max(table[name].size for table in tables)
        columns = np.zeros((len(tables), widest), tables[0][name].dtype)
        for row, table in enumerate(tables):
            columns[row, : table[name].size] = table[name]
        return columns[kind[voxel], place]

    wanted = np.floor(share[voxel] * of("size_share").astype(float) * neurons).astype(np.int64)
    populations = Populations(
        voxel=voxel,
        slot=of("slot").astype(np.int64),
        excitatory=of("excitatory").astype(bool),
        size=np.maximum(wanted, min_size),
        degree=np.maximum(degree * of("degree_scale").astype(float), 1).astype(np.int32),
        mixture=mix(shares, plan, kind, first, delay),
    )
    check_feasible(populations, _names(brain, populations, plan), neurons, degree)
    return populations


def _kinds(brain: xr.Dataset, layout: Layout) -> Ints:
    """Which motif each voxel has: (voxel,) int64."""
    n = brain["grey_matter"].size
    if layout.subcortex is None:
        return np.zeros(n, np.int64)
    if "is_cortex" not in brain:
        raise InputError(
            "layout: cortex and subcortex differ in it, but the brain has no is_cortex (voxel) bool"
        )
    return np.where(np.asarray(brain["is_cortex"].values, bool), 0, 1).astype(np.int64)


def _table(layout: Layout, motif: Motif) -> dict[str, NDArray[Any]]:
    return {
        "slot": np.array([layout.slots.index(slot) for slot in motif.slots]),
        "excitatory": np.array(motif.excitatory),
        "size_share": np.array(motif.size_share),
        "degree_scale": np.array(motif.degree_scale),
    }


def _names(brain: xr.Dataset, populations: Populations, layout: Layout) -> list[str]:
    labels = brain["label"].values
    where = zip(populations.voxel, populations.slot, strict=True)
    return [f"{labels[v]} {layout.slots[s]}" for v, s in where]


def _delays(
    brain: xr.Dataset, shares: sp.csr_array, speed: float, dt_ms: float
) -> NDArray[np.uint16]:
    if "tract_length" not in brain:
        raise InputError("speed: the brain has no tract_length, which delays need; leave speed out")
    if not (np.isfinite(speed) and speed > 0 and np.isfinite(dt_ms) and dt_ms > 0):
        raise InputError(f"speed is {speed} mm/ms and dt_ms {dt_ms} ms; both must be above 0")
    steps = np.rint(entries(brain["tract_length"].data, shares) / speed / dt_ms)
    if steps.size and steps.max() > LONGEST_DELAY:
        raise InputError(
            f"speed is {speed:g} mm/ms: the longest tract takes {steps.max():,.0f} steps of "
            f"{dt_ms:g} ms; at most {LONGEST_DELAY:,} are kept: give a higher speed"
        )
    return np.maximum(steps, 1).astype(np.uint16)


def check_feasible(populations: Populations, labels: list[str], neurons: int, degree: int) -> None:
    """Refuse populations that cannot have their in-degree without double edges.

    Parameters
    ----------
    populations : Populations
    labels : list of str
        Names for the messages.
    neurons, degree : int
        Wanted numbers, for the advice.
    """
    mixture, size = populations.mixture, populations.size
    small = np.flatnonzero(size < 2)
    if small.size:
        p = int(small[np.argmin(size[small])])
        raise InputError(
            f"neurons={neurons:,} leaves population {p} ({labels[p]}) with {size[p]} of them; "
            f"every population needs 2 at least: raise neurons, or set min_size"
        )
    if populations.n_neurons > MOST_NEURONS:
        raise InputError(
            f"neurons={neurons:,} with this min_size makes {populations.n_neurons:,} neurons; "
            f"at most {MOST_NEURONS:,} can be numbered"
        )
    own = (mixture.table < 0) & (mixture.source == mixture.population)
    heard = mixture.push(size.astype(float), support=True)
    reach = np.rint(heard).astype(np.int64) - np.bincount(mixture.population[own],
                                                          minlength=size.size)  # fmt: skip
    short = np.flatnonzero(reach < populations.degree)
    if short.size:
        room = reach / populations.degree
        p = int(np.argmin(room))
        raise InputError(
            f"degree={degree}: population {p} ({labels[p]}) wants {populations.degree[p]:,} "
            f"sources and can hear only {reach[p]:,} neurons; use degree <= "
            f"{int(degree * room[p]):,} or more neurons"
        )
    crowded = np.flatnonzero(mixture.crowding(size) * populations.degree > 1)
    if crowded.size:
        logger.warning(
            "%d of %d populations want more sources than some source population has (%s first); "
            "the excess goes to their other sources, so the mix of sources is distorted there",
            crowded.size, size.size, labels[crowded[0]],
        )  # fmt: skip
