"""What a user asks of a running session, read and checked, and how its log tells of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import beyond, check, known
from dtbdask.graph.selection import choose, choose_populations, tell
from dtbdask.sim.changes import Change
from dtbdask.sim.currents import INITIAL
from dtbdask.sim.stimuli import Stimulus

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALL = "all"
"""Every neuron, in a choice of neurons."""


def entry(step: int, **given: Any) -> dict[str, Any]:
    """What the log says of a change at a step: what was given, arrays of many numbers by digest."""
    return {"step": step, **{name: tell(v) for name, v in given.items() if v is not None}}


def told_stimulus(step: int, stimulus: Stimulus) -> dict[str, Any]:
    """What the log says of a stimulus."""
    return entry(step, stimulus=type(stimulus).__name__, **stimulus.given())


def read_change(
    network: Network, members: int, seed: int, parameter: str, value: ArrayLike, *,
    population: str | ArrayLike | None, neuron: str | ArrayLike | None,
    member: int | ArrayLike | None, how: str,
) -> Change:  # fmt: skip
    """A change as a user gives it, checked.

    Parameters
    ----------
    network : Network
    members : int
        Of the session.
    seed : int
        Of the session.
    parameter : str
    value : float, (chosen,) or (member, chosen) float
    population : names, (index,) int or (population,) bool, or None
    neuron : "all", (index,) int or (neuron,) bool, or None
    member : int, (index,) int or (member,) bool, or None
    how : str
        All as in `dtbdask.sim.session.Session.set`.
    """
    if parameter == "excluded":
        raise InputError("excluded belongs to the network; change it by dtbdask.modify")
    if parameter in INITIAL:
        raise InputError(
            f"{parameter} acts at the start of a session only; change it by dtbdask.modify"
        )
    known(parameter)
    if how not in ("assign", "multiply", "gamma"):
        raise InputError(f"how is {how!r}; use 'assign', 'multiply' or 'gamma'")
    if population is not None and neuron is not None:
        raise InputError("population and neuron are both given; choose by one of them")
    at = None if population is None else choose_populations(network, population)
    of = None if neuron is None else _neurons_chosen(neuron, network.n_neurons)
    rows = None if member is None else choose("member", member, members)
    if how == "gamma":
        return Change(parameter, how, _shape(parameter, value), at, rows, of, seed)
    if of is not None:
        return _of_single(network, parameter, value, of, rows, how)
    n = network.populations.size.size if at is None else at.size
    spread = _rows(parameter, value, members if rows is None else rows.size, n)
    _check_values(parameter, spread, how, "population" if at is None else "chosen population")
    if rows is None and spread.shape[0] > 1:
        rows = np.arange(members)
    if rows is not None:
        spread = np.array(np.broadcast_to(spread, (rows.size, n)))
    return Change(parameter, how, spread, at, rows)


def _of_single(
    network: Network, parameter: str, value: ArrayLike, of: Ints | slice, rows: Any, how: str
) -> Change:
    if how == "multiply":
        raise InputError(
            f"{parameter}: single neurons have values and no multipliers; assign values, or "
            "multiply their populations"
        )
    n = network.n_neurons if isinstance(of, slice) else of.size
    values = check(parameter, value, n, "chosen neuron" if isinstance(of, np.ndarray) else "neuron")
    return Change(parameter, how, values[None, :], member=rows, neuron=of)


def _neurons_chosen(neuron: str | ArrayLike, n: int) -> Ints | slice:
    if isinstance(neuron, str):
        if neuron != ALL:
            raise InputError(f"neuron is {neuron!r}; give indices, a mask or 'all'")
        return slice(None)
    return choose("neuron", neuron, n)


def _shape(parameter: str, value: ArrayLike) -> Floats:
    """The shape of gamma factors."""
    try:
        shape = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{parameter}: {value!r} is not the shape of gamma factors") from error
    if shape.shape != () or not 0 < shape < np.inf:
        raise InputError(
            f"{parameter}: the shape of its gamma factors is {value!r}; expected one number above 0"
        )
    return shape.reshape(1, 1)


def _rows(parameter: str, value: ArrayLike, members: int, n: int) -> Floats:
    """Values as (1 or member, chosen population)."""
    try:
        values = np.atleast_2d(np.asarray(value, dtype=np.float64))
        spread = np.array(np.broadcast_to(values, (values.shape[0], n)))
        np.broadcast_to(spread, (members, n))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{parameter}: shape {np.shape(value)} does not spread to numbers for "
            f"(member, population), here {(members, n)}"
        ) from error
    return spread


def _check_values(parameter: str, spread: Floats, how: str, dimension: str) -> None:
    if how == "assign":
        for row in spread[beyond(parameter, spread).any(axis=1)]:
            check(parameter, row, row.size, dimension)
        return
    zero = known(parameter).low <= 0
    if not (np.isfinite(spread) & ((spread > 0) | ((spread == 0) & zero))).all():
        least = "0" if zero else "above 0"
        raise InputError(f"{parameter}: multipliers must be finite and {least} or more")
