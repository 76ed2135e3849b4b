"""Scripted spikes: the steps at which neurons of an import fire whatever happens to them.

A store keeps them as a table of steps and neurons. A block keeps those of its own neurons, in the
order of the steps, so that a step finds its own by two binary searches. Steps count from the
beginning of a session, over all its runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.graph.network import Network

Ints = NDArray[np.int64]

STRETCH = 1 << 20
"""Spikes that are read at once."""


@dataclass(frozen=True)
class Script:
    """Scripted spikes of some neurons.

    Attributes
    ----------
    step : (spike,) int64
        Ascending.
    neuron : (spike,) uint32
        Local index, ascending within a step.
    anywhere : bool
        Whether any neuron of the network has one.
    """

    step: Ints
    neuron: NDArray[np.uint32]
    anywhere: bool

    def at(self, step: int) -> NDArray[np.uint32]:
        """Local indices of the neurons that fire in a step, ascending: (spike,) uint32."""
        if not self.step.size:
            return self.neuron
        low, high = np.searchsorted(self.step, (step, step + 1))
        return self.neuron[low:high]


def read_script(network: Network, ranges: Ints) -> Script:
    """Scripted spikes of the neurons of some ranges.

    Parameters
    ----------
    network : Network
        Scripted spikes are in its store; a network held in memory has none.
    ranges : (range, 2) int64
        Of global indices, ascending; local indices follow their order.

    Returns
    -------
    Script
    """
    steps, neurons, anywhere = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], False
    before = np.cumsum(ranges[:, 1] - ranges[:, 0]) - (ranges[:, 1] - ranges[:, 0])
    for step, neuron in _stretches(network):
        anywhere = True
        at = np.maximum(np.searchsorted(ranges[:, 0], neuron, side="right") - 1, 0)
        own = (neuron >= ranges[at, 0]) & (neuron < ranges[at, 1])
        steps.append(step[own])
        neurons.append((before[at] + neuron - ranges[at, 0])[own])
    step, neuron = np.concatenate(steps), np.concatenate(neurons)
    order = np.lexsort((neuron, step))
    return Script(step[order], neuron[order].astype(np.uint32), anywhere)


def _stretches(network: Network) -> Iterator[tuple[Ints, Ints]]:
    """Steps and neurons of the table of a store, a stretch at a time."""
    if not network.path:
        return
    group = zarr.open_group(network.path, mode="r")
    if "spike_source" not in group:
        return
    n = schema.array(group, "spike_source/step").shape[0]
    for start in range(0, n, STRETCH):
        part = start, min(start + STRETCH, n)
        yield (
            schema.read(group, "spike_source/step", *part),
            schema.read(group, "spike_source/neuron", *part),
        )
