"""Axonal delays of a block: for each source voxel, runs of target neurons with one delay.

A synapse of the block takes no memory for its delay. Runs are as many as the tracts that end in the
block, or fewer where neighbouring voxels hear a source after equally many steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.delays import longest_delay, tracts
from dtbdask.graph.network import Network
from dtbdask.graph.population import Populations
from dtbdask.kernels.cpu_delays import least_delay
from dtbdask.sim.edges import Edges

Ints = NDArray[np.int64]


class Delays(NamedTuple):
    """Delays of the edges of a block, as `cpu_delays.deliver_delayed` takes them.

    Attributes
    ----------
    of : (row,) int32
        List of runs of the source of each row of the edges.
    first : (list_edge,) int64
        First run of each list.
    stop : (run,) uint32
        Last neuron of the block + 1 of each run.
    delay : (run,) uint16, steps
    """

    of: NDArray[np.int32]
    first: Ints
    stop: NDArray[np.uint32]
    delay: NDArray[np.uint16]

    @classmethod
    def make(cls, populations: Populations, own: Ints, heard: Ints) -> Delays:
        """Delays of what the populations `own` of the neurons of a block hear.

        Parameters
        ----------
        populations : Populations
        own : (neuron,) int64
            Population of each neuron of the block.
        heard : (foreign,) int64
            Population of each foreign neuron, in the order of their rows.
        """
        voxel = populations.voxel[own]
        stop = np.append(np.flatnonzero(np.diff(voxel)) + 1, voxel.size)
        listener = voxel[stop - 1]
        known = tracts(populations, np.unique(listener))
        low = np.searchsorted(known.target, listener)
        count = np.searchsorted(known.target, listener, side="right") - low
        stretch = np.repeat(np.arange(stop.size), count)
        entry = np.arange(stretch.size) - np.repeat(np.cumsum(count) - count - low, count)
        number = np.full(int(populations.voxel.max()) + 1, -1, np.int32)  # list of a source voxel
        number[listener] = number[populations.voxel[np.unique(heard)]] = 0
        number[number == 0] = np.arange((number == 0).sum())
        spoken = number[known.source[entry]] >= 0
        entry, stretch = entry[spoken], stretch[spoken]
        of_population = number[populations.voxel]
        begin = np.concatenate([[0], stop[:-1]])
        return cls(
            np.concatenate([of_population[own], of_population[heard]]),
            *_runs(number[known.source[entry]].astype(np.int64), begin[stretch], stop[stretch],
                   known.delay[entry], int(number.max()) + 1, voxel.size),
        )  # fmt: skip

    def least(self, edges: Edges) -> Ints:
        """Shortest delay of the edges of each foreign neuron: (foreign,) int64, steps."""
        start = edges.inhibitory.size - edges.heard.size
        least = np.full(edges.heard.size, np.iinfo(np.int64).max)
        for indptr in edges.indptr:
            least_delay(least, start, indptr, edges.target, edges.weight is None, *self)
        return least


def _runs(
    lists: Ints, begin: Ints, stop: Ints, delay: NDArray[np.uint16], n_lists: int, n: int
) -> tuple[Ints, NDArray[np.uint32], NDArray[np.uint16]]:
    """Lists of runs that cover `n` neurons; what lies between those given is one step away."""
    order = np.lexsort((begin, lists))
    lists, begin, stop, delay = lists[order], begin[order], stop[order], delay[order]
    of = np.concatenate([np.repeat(lists, 2), np.arange(n_lists)])
    end = np.concatenate([np.stack([begin, stop], axis=1).ravel(), np.full(n_lists, n)])
    step = np.ones(of.size, np.uint16)
    step[1 : 2 * lists.size : 2] = delay
    order = np.argsort(of, kind="stable")
    of, end, step = of[order], end[order], step[order]
    before = np.where(np.diff(of, prepend=-1) == 0, np.roll(end, 1), 0)
    of, end, step = (column[end > before] for column in (of, end, step))
    goes_on = np.append((np.diff(of) == 0) & (step[1:] == step[:-1]), [False])[: of.size]
    of, end, step = (column[~goes_on] for column in (of, end, step))
    first = np.searchsorted(of, np.arange(n_lists + 1))
    return first.astype(np.int64), end.astype(np.uint32), step


def check_delays(network: Network, dt_ms: float) -> None:
    """Refuse delays that are counted in other steps than those of a session.

    Parameters
    ----------
    network : Network
    dt_ms : float
        Exchange step of the session, ms.

    Raises
    ------
    InputError
        Tells both steps.
    """
    longest_delay(network.populations)
    told = float(network.attributes.get("delay_dt_ms", dt_ms))
    if network.populations.mixture.far_delay.size and not np.isclose(told, dt_ms, rtol=1e-9):
        raise InputError(
            f"dt_ms is {dt_ms:g}, but the axonal delays of the network are in steps of its "
            f"delay_dt_ms, {told:g} ms: use dt_ms={told:g}, or build it with dt_ms={dt_ms:g}"
        )
