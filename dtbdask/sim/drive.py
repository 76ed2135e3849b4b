"""What stimuli do to a block: step by step, other coefficients of the populations they reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dtbdask.kernels import Coefficient
from dtbdask.sim.block import Block
from dtbdask.sim.currents import BACKGROUND
from dtbdask.sim.model import FORMULAS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Drive:
    """Stimuli in some steps; travels to every block with the steps.

    Attributes
    ----------
    group : (population,) int64
        Group of each population: those that the same stimuli reach.
    current : (step, group) float64, mV/ms
        Added to the external current.
    mean, sigma : (step, group) float64, mV/ms
        Of the background; NaN where it is left as it is.
    reached : (group,) bool
        Whether a stimulus reaches the group at all.
    """

    group: Ints
    current: Floats
    mean: Floats
    sigma: Floats
    reached: NDArray[np.bool_]

    def differs(self) -> NDArray[np.bool_]:
        """Steps whose numbers are not those of the step before: (step,) bool; first and last are.

        The step before the first, and the one after the last, have no stimuli.
        """
        calm = np.zeros((1, self.group.max() + 1))
        differs = np.zeros(self.current.shape[0] + 1, bool)
        for values, none in ((self.current, 0.0), (self.mean, np.nan), (self.sigma, np.nan)):
            rows = np.concatenate([calm + none, values, calm + none])
            before, now = rows[:-1], rows[1:]
            differs |= ((before != now) & ~(np.isnan(before) & np.isnan(now))).any(axis=1)
        return differs


def driven(blocks: Sequence[Block], drive: Drive | None) -> Callable[[int], None]:
    """A function that prepares blocks for each step of a window, and for its end.

    Parameters
    ----------
    blocks : sequence of Block
    drive : Drive or None
        None where nothing is stimulated.

    Returns
    -------
    callable
        Of the number of the step in the window; that of all steps takes the drive away.
    """
    if drive is None:
        return lambda k: None
    plans, differs = [_Driven(block, drive) for block in blocks], drive.differs().tolist()

    def put(k: int) -> None:
        if differs[k]:
            for plan in plans:
                plan.put(k)
        if k == len(differs) - 1:
            for plan in plans:
                plan.end()

    return put


class _Driven:
    """A block, its coefficients without the drive, and the drive."""

    def __init__(self, block: Block, drive: Drive) -> None:
        self._block, self._drive = block, drive
        self._before = block.coefficients
        self._at = np.flatnonzero(drive.reached[drive.group])
        self._of = drive.group[self._at]
        self._current, self._tau = (self._base(name) for name in ("i_ext", "ou_tau"))
        self._stretches = block.stretch_stop, block.stretch_population, block.neuronwise
        block.join(drive.group)
        value = np.array(self._before.value)
        self._now = replace(self._before, value=value)

    def put(self, k: int) -> None:
        """Give the block the coefficients of a step of the window, or of none after its end."""
        drive, at, of = self._drive, self._at, self._of
        if k == drive.current.shape[0]:
            return
        value, own = self._now.value, self._before.value[:, at]
        value[:, at, Coefficient.I_EXT] = self._current + drive.current[k, of]
        mean, sigma = drive.mean[k, of], drive.sigma[k, of]
        h = self._block.spec.dt_ms / self._block.spec.t_steps
        kick = FORMULAS[Coefficient.OU_KICK][0](h, sigma, self._tau)
        other = ~np.isnan(mean)
        value[:, at, Coefficient.OU_MEAN] = np.where(other, mean, own[:, :, Coefficient.OU_MEAN])
        value[:, at, Coefficient.OU_KICK] = np.where(other, kick, own[:, :, Coefficient.OU_KICK])
        if BACKGROUND not in self._block.begun and (mean[other].any() or sigma[other].any()):
            self._begin()
        self._block.coefficients = self._now

    def end(self) -> None:
        """Give the block its own coefficients back."""
        self._block.coefficients = self._before
        block = self._block
        block.stretch_stop, block.stretch_population, block.neuronwise = self._stretches

    def _begin(self) -> None:
        """Have the background go on from now, without the drive too: what is left of it decays."""
        self._block.begun |= {BACKGROUND}
        on = self._before.features._replace(background=True)
        self._before, self._now = (replace(c, features=on) for c in (self._before, self._now))

    def _base(self, name: str) -> Floats:
        """Value of a parameter without the drive: (1 or member, reached population) float64."""
        block = self._block
        values = block.parameters.population[name] * block.multiplier.get(name, 1.0)
        made: Floats = np.atleast_2d(values)[:, self._at]
        return made
