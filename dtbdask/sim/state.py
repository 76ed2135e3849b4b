"""State of a block, how it looks at rest, and what a block did in some steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Field(NamedTuple):
    """One quantity of the state at rest.

    Attributes
    ----------
    live : (..., member, neuron)
        Where it is.
    unit, meaning : str
    at : (late,) int64 or ellipsis
        Which entries of the first dimension it is, in which order.
    """

    live: Any
    unit: str
    meaning: str
    at: Any = ...

    def get(self) -> NDArray[Any]:
        """Its values: (..., member, neuron)."""
        values: NDArray[Any] = self.live[self.at]
        return values

    def put(self, values: NDArray[Any]) -> None:
        """Have the next step begin with other values."""
        self.live[self.at] = values.astype(self.live.dtype, casting="same_kind", copy=False)


@dataclass
class State:
    """State of the neurons of a block; one field a quantity, the neuron last.

    Attributes
    ----------
    v : (member, neuron) float, mV
    ou : (member, neuron) float, mV/ms
        Background current.
    j : four (member, neuron) float
        Traces of the receptors; empty where a receptor is off.
    refractory : (member, neuron) uint16, sub-steps
    kick : (slot, 2, member, neuron) unsigned
        Integer kicks not yet added to the traces, of excitatory and inhibitory sources: those that
        act at the beginning of step s in slot s modulo the slots, as many as the longest delay has
        steps.
    h_t, ca : (member, neuron) float
        Recovery of the T-type calcium current, and [Ca]; empty while they have not begun.
    """

    v: NDArray[np.floating]
    ou: NDArray[np.floating]
    j: tuple[NDArray[np.floating], ...]
    refractory: NDArray[np.uint16]
    kick: NDArray[np.unsignedinteger]
    h_t: NDArray[np.floating]
    ca: NDArray[np.floating]


class Stride(NamedTuple):
    """What a block did in some steps.

    Attributes
    ----------
    spike_count : (step, member, population) int32
        Spikes of each population.
    logs : list of (spike,) uint32
        For each part, local indices of the neurons of member 0 that spiked, step by step.
    n_log : (part, step) int64
        How many there are of each step.
    """

    spike_count: NDArray[np.int32]
    logs: list[NDArray[np.uint32]]
    n_log: Ints
