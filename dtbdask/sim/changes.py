"""A change of one parameter while a session runs: of whom, how, and what a block makes of it.

A parameter is `base * multiplier`. The base is a value for each population, of all members or of
each, or for each neuron, of all members; the multiplier belongs to populations and members.

======== ==========================================================================================
assign   gives a new base, and the multiplier one to the populations that it covers wholly
multiply sets the multiplier: always relative to the base, so zero can be taken back
gamma    gives each neuron the base of its population times a factor from Gamma(shape, rate = shape)
======== ==========================================================================================
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Held = tuple[Parameters, Mapping[str, Floats]]
"""Bases and multipliers of a block."""


@dataclass(frozen=True)
class Change:
    """What is changed; travels to every block, which takes of it what concerns its members.

    Attributes
    ----------
    parameter : str
    how : {"assign", "multiply", "gamma"}
    value : (row, chosen) float64
        For populations; of neurons one row, and of "gamma" the shape, (1, 1).
    population : (chosen,) int64, optional
        By default all.
    member : (row,) int64, optional
        Global indices of the members that the rows are for; by default one row is for all.
    neuron : (chosen,) int64 or slice, optional
        Single neurons instead of populations.
    seed : int
        Of the gamma factors.
    """

    parameter: str
    how: str
    value: Floats
    population: Ints | None = None
    member: Ints | None = None
    neuron: Ints | slice | None = None
    seed: int = 0

    def applied(self, held: Held, populations: Populations, members: range) -> Held:
        """Bases and multipliers after the change.

        Parameters
        ----------
        held : Parameters and mapping of str to (member, population) float64
            As they are.
        populations : Populations
        members : range
            Global indices of the members of the block.
        """
        parameters, multiplier = held
        if self.how == "gamma":
            return self._spread(parameters, populations), multiplier
        if self.neuron is not None:
            return self._neurons(parameters, multiplier, populations)
        ones = np.ones((1, populations.size.size))
        now = multiplier.get(self.parameter, ones)
        if self.how == "multiply":
            made = self._placed(now, self.value, members)
            return parameters, _with(multiplier, self.parameter, made)
        base = self._placed(parameters.population[self.parameter], self.value, members)
        made = self._placed(now, np.ones_like(self.value), members)
        return self._based(parameters, base, populations), _with(multiplier, self.parameter, made)

    def _placed(self, table: Floats, value: Floats, members: range) -> Floats:
        """A table, by population or by member and population, with the value put into it."""
        at = slice(None) if self.population is None else self.population
        made = np.array(table)
        if self.member is None:
            if self.population is None:
                return np.array(np.broadcast_to(value[0], made.shape[-1:]))
            made[..., at] = value[0]
            return made
        made = np.array(np.broadcast_to(np.atleast_2d(made), (len(members), made.shape[-1])))
        for row, member in zip(value, self.member.tolist(), strict=True):
            if member in members:
                made[member - members.start, at] = row
        return made

    def _based(self, parameters: Parameters, base: Floats, populations: Populations) -> Parameters:
        """With a new base of populations; neurons of others keep values of their own."""
        name, own = self.parameter, dict(parameters.neuron)
        if self.population is None:
            own.pop(name, None)
        elif name in own:
            chosen = np.zeros(base.shape[-1], bool)
            chosen[self.population] = True
            theirs = np.repeat(chosen, populations.size)
            one = base if base.ndim == 1 else base[0]
            own[name] = np.where(theirs, np.repeat(one, populations.size), own[name])
        made = Parameters({**parameters.population, name: base}, own)
        if own and name in ("v_reset", "v_th"):
            n = populations.n_neurons
            return made.with_neuron({}, n, populations.population_of(0, n))
        return made

    def _neurons(
        self, parameters: Parameters, multiplier: Mapping[str, Floats], populations: Populations
    ) -> Held:
        name, n = self.parameter, populations.n_neurons
        population = populations.population_of(0, n)
        made = _of_neurons(parameters, name, population)
        made[self.neuron] = self.value[0]
        ones = whole(self.neuron, populations)
        now = multiplier.get(name)
        if now is not None:
            multiplier = _with(multiplier, name, np.where(ones, 1.0, now))
        return parameters.with_neuron({name: made}, n, population), multiplier

    def _spread(self, parameters: Parameters, populations: Populations) -> Parameters:
        """With factors of the chosen neurons."""
        name, n = self.parameter, populations.n_neurons
        population = populations.population_of(0, n)
        made = _of_neurons(parameters, name, population)
        of: Ints | slice | NDArray[np.bool_] = slice(None)
        if self.neuron is not None:
            of = self.neuron
        elif self.population is not None:
            of = np.isin(population, self.population)
        table = np.atleast_2d(parameters.population[name])[0]
        base = table[population[of]]
        if (made[of] != base).any():
            raise InputError(
                f"{name}: some of the chosen neurons have values of their own; assign their "
                "populations a value, around which gamma then spreads them"
            )
        # of the name, so that a new parameter of the model leaves the factors of others alone
        factors = gamma_factors(self.seed, zlib.crc32(name.encode()), n, float(self.value[0, 0]))
        made[of] = base * factors[of]
        return parameters.with_neuron({name: made}, n, population)

    def meets_neurons(self, own: bool, members: int) -> bool:
        """Whether values by neuron come of it, if there are such values `own` now."""
        if self.how == "multiply":
            return False
        some = self.population is not None
        some |= self.member is not None and self.member.size < members
        return self.how == "gamma" or self.neuron is not None or (own and some)

    def check_shared(self, base: Floats, multiplier: Floats, populations: Populations) -> None:
        """Refuse values by neuron, which members share, where the members differ.

        Parameters
        ----------
        base, multiplier : (member, population) float64
            Of all members, as they are.
        populations : Populations
        """
        name = self.parameter
        covered = self.how == "assign" and isinstance(self.neuron, slice)
        if self.member is not None or (not covered and (base != base[0]).any()):
            raise InputError(
                f"{name}: members share the values of single neurons, so it cannot differ between "
                "members too; multiply it for members instead"
            )
        if self.how == "gamma" or self.neuron is None:
            return
        some = touched(self.neuron, populations) & ~whole(self.neuron, populations)
        wrong = np.flatnonzero(some & (multiplier != 1).any(axis=0))
        if wrong.size:
            raise InputError(
                f"{name} of population {wrong[0]} is multiplied, and neuron chooses only some of "
                "its neurons: multiply it by 1 first, or choose all of them"
            )


def whole(neuron: Ints | slice | None, populations: Populations) -> NDArray[np.bool_]:
    """Populations of which all neurons are chosen: (population,) bool."""
    full: NDArray[np.bool_] = _chosen(neuron, populations) == populations.size
    return full


def touched(neuron: Ints | slice | None, populations: Populations) -> NDArray[np.bool_]:
    """Populations of which some neuron is chosen: (population,) bool."""
    return _chosen(neuron, populations) > 0


def _chosen(neuron: Ints | slice | None, populations: Populations) -> Ints:
    if not isinstance(neuron, np.ndarray):
        return populations.size
    of = populations.of(neuron)
    return np.bincount(of, minlength=populations.size.size)


def _of_neurons(parameters: Parameters, name: str, population: Ints) -> Floats:
    if name in parameters.neuron:
        return np.array(parameters.neuron[name])
    made: Floats = np.atleast_2d(parameters.population[name])[0][population]
    return made


def _with(multiplier: Mapping[str, Floats], name: str, value: Floats) -> dict[str, Floats]:
    """The multipliers with that of a parameter; ones are left out."""
    others = {k: v for k, v in multiplier.items() if k != name}
    return others if (value == 1).all() else {**others, name: np.atleast_2d(value)}
