"""Currents of the membrane that have a state, and since when.

    I_T   = g_t h (E_t - V) if V >= V_h else 0     T-type calcium
    dh/dt = -h / tau_h- if V >= V_h else (1 - h) / tau_h+
    I_DA  = g_da (E_da - V)                        dopamine
    I_AHP = g_ahp [Ca] (E_K - V)                   adaptation
    d[Ca]/dt = -[Ca] / tau_ca + alpha sum over the neuron's own spikes

A current whose conductance is zero everywhere is compiled out and has no state. Its state begins,
from `h_init` or `ca_init`, when the conductance is first above zero in any member, and goes on from
then, also while the conductance is zero again: so it does not depend on which members or neurons
are advanced together.

For the same reason the background current, once its mean or deviation was not zero, goes on: what
is left of it decays and flows. Its state is always there, zero where it has not begun, so a block
may judge by its own members.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.parameters import Parameters


class Memory(NamedTuple):
    """What a current remembers: a field of the state."""

    conductance: str
    """Parameter that makes it begin."""
    initial: str
    """Parameter from which it begins."""


MEMORIES: Mapping[str, Memory] = {
    "h_t": Memory("g_t", "h_init"),
    "ca": Memory("g_ahp", "ca_init"),
}
"""By the name of the field in `dtbdask.sim.state.State`."""

INITIAL = tuple(memory.initial for memory in MEMORIES.values())
"""Parameters that act when a state begins and never later."""

BACKGROUND = "ou"
"""The background current among the fields that have begun."""


def begun(parameters: Parameters, before: frozenset[str] = frozenset()) -> frozenset[str]:
    """Fields of the state that have begun now.

    Parameters
    ----------
    parameters : Parameters
        Of the whole network.
    before : frozenset of str
        Fields that had begun before.
    """
    on = {field for field, memory in MEMORIES.items() if parameters.on(memory.conductance)}
    if parameters.on("ou_mean") or parameters.on("ou_sigma"):
        on.add(BACKGROUND)
    return before | on


def begun_in(fields: Mapping[str, NDArray[Any]]) -> frozenset[str]:
    """Fields that had begun where a state comes from.

    Parameters
    ----------
    fields : mapping of str to (..., member, neuron)
        The state, by name.
    """
    there = frozenset(MEMORIES) & frozenset(fields)
    return there | {BACKGROUND} if np.any(fields[BACKGROUND]) else there
