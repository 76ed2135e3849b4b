"""Looking at the state of blocks while they run: means of populations, and single neurons.

A step is looked at when it has been taken: V shows V_th where a neuron spiked by itself, the traces
have decayed, and the kicks of the spikes of this step are not yet in them. Looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.network import Network
from dtbdask.kernels import cpu_observe
from dtbdask.kernels.cpu_observe import SPOILT
from dtbdask.sim.block import Block
from dtbdask.sim.quantities import MEANS, SAMPLE, Request, Watch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Seen:
    """What was seen of a block in some steps.

    Attributes
    ----------
    population : (own,) int64
        Populations with neurons in the block.
    total : (bin, row, own) int64
        Sums over their neurons and the steps of a bin, as integers; see `Watch`.
    place : (own_sample,) int64
        Places in the sample of the neurons that the block has.
    value : (look, 3, own_sample) float64
        V, synaptic current and background current of these.
    struck : (look, own_sample) uint16
        Their spikes since the look before.
    """

    population: Ints
    total: Ints
    place: Ints
    value: Floats
    struck: NDArray[np.uint16]


class Observer:
    """Looks at member 0 of a block.

    Parameters
    ----------
    block : Block
    watch : Watch
    n_steps : int
        That will be looked at: whole bins and looks.
    """

    def __init__(self, block: Block, watch: Watch, n_steps: int) -> None:
        self._block, self._watch = block, watch
        n_populations = block.spec.network.populations.size.size
        self._stop = np.unique(np.concatenate([block.run_stop, block.bounds[1:]]))
        run = np.searchsorted(block.run_stop, self._stop)
        self._population = block.run_population[run]
        self._cut = np.searchsorted(self._stop, block.bounds, side="right")
        self._total = np.zeros((watch.n_rows, self._stop.size), np.int64)
        kept = np.flatnonzero(self._population < n_populations)
        order = np.argsort(self._population[kept], kind="stable")
        self._kept = kept[order]
        own, self._begin = np.unique(self._population[self._kept], return_index=True)
        self._place, self._neuron = _own_samples(block, watch.sample)
        self._of_sample = block.population[self._neuron]
        n_bins, n_looks = n_steps // watch.bin_steps, n_steps // watch.every
        self.seen = Seen(
            own,
            np.zeros((n_bins, watch.n_rows, own.size), np.int64),
            self._place,
            np.zeros((n_looks, 3, self._place.size)),
            np.zeros((n_looks, self._place.size), np.uint16),
        )

    def look(self, k: int) -> None:
        """Look at the `k`-th step, which has just been taken."""
        watch = self._watch
        if watch.n_rows:
            self._block.on_parts(self._add)
            if (k + 1) % watch.bin_steps == 0:
                self.seen.total[k // watch.bin_steps] = self._fold()
                self._total[:] = 0
        if self._place.size:
            self._strike(k // watch.every)
            if (k + 1) % watch.every == 0:
                self._sample(k // watch.every)

    def finish(self) -> None:
        """Have all that was seen in `seen`."""

    def _add(self, part: int) -> None:
        c, state = self._block.coefficients, self._block.state
        cpu_observe.totals(c.features)(
            self._total, self._watch.row, 2.0**self._watch.bits, self._stop, self._population,
            self._cut[part], self._cut[part + 1], state.v, state.j, c.value, c.factor,
        )  # fmt: skip

    def _fold(self) -> Ints:
        """Sums of runs to sums of populations: (row, own) int64."""
        if not self._begin.size:
            return np.zeros((self._watch.n_rows, 0), np.int64)
        runs = self._total[:, self._kept]
        spoilt = np.logical_or.reduceat(runs == SPOILT, self._begin, axis=1)
        totals: Ints = np.add.reduceat(np.where(runs == SPOILT, 0, runs), self._begin, axis=1)
        return np.where(spoilt, SPOILT, totals)

    def _strike(self, look: int) -> None:
        block = self._block
        cpu_observe.strike(
            self.seen.struck[look], self._neuron, block.fired, block.n_fired, block.bounds
        )

    def _sample(self, look: int) -> None:
        c, state = self._block.coefficients, self._block.state
        cpu_observe.single(c.features)(
            self.seen.value[look], self._neuron, self._of_sample, state.v, state.ou, state.j,
            c.value, c.factor,
        )  # fmt: skip


def assemble(
    request: Request, watch: Watch, counted: Ints, seen: Sequence[Seen]
) -> dict[str, NDArray[np.generic]]:
    """Means and samples of the whole network from what was seen of its blocks.

    Parameters
    ----------
    request : Request
    watch : Watch
    counted : (population,) int64
        Neurons of each population that are not excluded.
    seen : sequence of Seen
        Of all blocks, in any order.

    Returns
    -------
    dict of str to array
        By the name of the array in the recording, the first dimension that of the bins or looks.
    """
    n_bins = seen[0].total.shape[0]
    total = np.zeros((n_bins, watch.n_rows, counted.size), np.int64)
    spoilt = np.zeros(total.shape, bool)
    for one in seen:
        bad = one.total == SPOILT
        total[:, :, one.population] += np.where(bad, 0, one.total)
        spoilt[:, :, one.population] |= bad
    with np.errstate(invalid="ignore"):
        mean = total * 2.0**-watch.bits / (counted * watch.bin_steps)
    mean[spoilt] = np.nan
    v, current, *of_receptor = (int(row) for row in watch.row)
    rows = {"v_mean": v, "current_mean": current}
    arrays: dict[str, NDArray[np.generic]] = {
        name: mean[:, row] for name, row in rows.items() if row >= 0
    }
    if MEANS[2] in request.record:
        arrays[MEANS[2]] = mean[:, [row for row in of_receptor if row >= 0]]
    if watch.sample.size:
        value = np.zeros((seen[0].value.shape[0], 3, watch.sample.size))
        struck = np.zeros((value.shape[0], watch.sample.size), np.uint16)
        for one in seen:
            value[:, :, one.place], struck[:, one.place] = one.value, one.struck
        arrays.update(zip(SAMPLE, [*np.moveaxis(value, 1, 0), struck], strict=True))
    return arrays


def counted_neurons(network: Network) -> Ints:
    """Neurons of each population that are not excluded: (population,) int64."""
    size, parameters = network.populations.size, network.parameters
    own = parameters.neuron.get("excluded")
    if own is None:
        return np.where(parameters.population["excluded"] > 0, 0, size)
    of = network.populations.population_of(0, network.n_neurons)
    return np.bincount(of[own == 0], minlength=size.size)


def _own_samples(block: Block, sample: Ints) -> tuple[Ints, Ints]:
    """Places in the sample of the neurons of a block, and their local indices."""
    ranges = block.spec.ranges
    at = np.searchsorted(ranges[:, 0], sample, side="right") - 1
    mine = (at >= 0) & (sample < ranges[np.maximum(at, 0), 1])
    place = np.flatnonzero(mine)
    length = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(length) - length
    return place, sample[place] - ranges[at[place], 0] + before[at[place]]
