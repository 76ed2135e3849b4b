"""BOLD from firing rates: the Balloon-Windkessel model, per voxel.

    ds/dt = eps u - s / tau_s - (f - 1) / tau_f          vasodilatory signal
    df/dt = s                                             blood inflow
    dv/dt = (f - v^(1/alpha)) / tau_0                     blood volume
    dq/dt = (f (1 - (1 - E0)^(1/f)) / E0 - q v^(1/alpha - 1)) / tau_0     deoxyhaemoglobin
    BOLD  = V0 [7 E0 (1 - q) + 2 (1 - q / v) + (2 E0 - 0.2) (1 - v)]

with u the spikes per neuron and millisecond, floored at 1e-5 (Friston, Harrison, Penny 2003,
NeuroImage; constants as in DTB: Lu et al. 2024). Explicit Euler on the old state. The state starts
at rest without input, s = 0 and f = v = q = 1, so there is no transient from an impossible q = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.population import Populations
from dtbdask.kernels import cpu

Floats = NDArray[np.float64]


class Constants(NamedTuple):
    """Constants of the model; times in seconds."""

    eps: float = 200.0
    tau_s: float = 0.8
    tau_f: float = 0.4
    tau_0: float = 1.0
    e_0: float = 0.8
    v_0: float = 0.02
    alpha: float = 0.2


CONSTANTS = Constants()
FLOOR = 1e-5
"""Smallest activity, spikes per neuron and ms; also the smallest f, v and q after an update."""
PIECE = 2**15
"""Values of activity that are made at once: they stay in the cache."""


def of_kernels() -> Floats:
    """The constants as kernels take them; see `dtbdask.kernels.cpu_bold`."""
    c = CONSTANTS
    return np.array([
        c.eps, 1 / c.tau_s, 1 / c.tau_f, 1 / c.tau_0, np.log(1 - c.e_0), 1 / c.e_0
    ])  # fmt: skip


@dataclass
class Balloon:
    """Haemodynamic state of voxels.

    Attributes
    ----------
    state : (4, member, voxel) float64
        s in 1/s, f, v, q.
    """

    state: Floats

    @classmethod
    def at_rest(cls, members: int, voxels: int) -> Balloon:
        """State without input: s = 0, f = v = q = 1."""
        state = np.ones((4, members, voxels))
        state[0] = 0.0
        return cls(state)

    def advance(
        self, activity: Floats, dt_ms: float, *, first_step: int = 0, frame_steps: int = 1
    ) -> Floats:
        """Take Euler steps.

        Parameters
        ----------
        activity : (step, member, voxel) float64, spikes per neuron and ms
        dt_ms : float
            Step, ms.
        first_step : int
            Index of the first of the steps.
        frame_steps : int
            Steps of a frame; frames end where the number of steps run is a multiple of it.

        Returns
        -------
        (frame, member, voxel) float64
            BOLD at the end of each frame that ends in these steps.
        """
        steps = activity.shape[0]
        n_frames = (first_step + steps) // frame_steps - first_step // frame_steps
        frames = np.empty((n_frames, 2, *self.state.shape[1:]))
        cpu.balloon(self.state, frames, np.maximum(activity, FLOOR), dt_ms / 1000, first_step,
                    frame_steps, of_kernels())  # fmt: skip
        return signal(frames[:, 0], frames[:, 1])

    def bold(self) -> Floats:
        """BOLD signal of the state: (member, voxel) float64."""
        _, _, v, q = self.state
        return signal(v, q)

    def put(self, state: Floats) -> None:
        """Replace the state, keeping f, v and q positive.

        Parameters
        ----------
        state : (4, member, voxel) float64
        """
        kept = np.array(state, dtype=np.float64)
        np.maximum(kept[1:], FLOOR, out=kept[1:])
        self.state = kept


class Haemodynamics:
    """BOLD of all voxels from the spike counts of all populations.

    Parameters
    ----------
    populations : Populations
    members : int
    dt_ms : float
        Exchange step.

    Attributes
    ----------
    balloon : Balloon
    voxel : (population,) int64
        Where each population lives.
    per : (voxel,) float64
        Neurons times ms of a step.
    dt_ms : float
    """

    def __init__(self, populations: Populations, members: int, dt_ms: float) -> None:
        self.voxel, n_voxels = populations.voxel, int(populations.voxel.max()) + 1
        neurons = np.bincount(self.voxel, weights=populations.size, minlength=n_voxels)
        self.per = np.asarray(neurons * dt_ms, dtype=np.float64)
        self.dt_ms = dt_ms
        self.balloon = Balloon.at_rest(members, n_voxels)

    def advance(self, count: NDArray[np.int32], first_step: int, frame_steps: int) -> Floats:
        """Take the spikes of some steps.

        Parameters
        ----------
        count : (step, member, population) int32
            Spikes.
        first_step : int
            Index of the first of the steps.
        frame_steps : int
            Steps of a frame; frames end where the number of steps run is a multiple of it.

        Returns
        -------
        (frame, member, voxel) float64
            BOLD at the end of each frame that ends in these steps.
        """
        _, members, n_voxels = self.balloon.state.shape
        piece = np.empty((max(1, PIECE // (members * n_voxels)), members, n_voxels))
        bold = []
        for low in range(0, len(count), len(piece)):
            activity = piece[: len(count) - low]
            cpu.activity(activity, count[low : low + len(piece)], self.voxel, self.per)
            first = first_step + low
            bold.append(self.balloon.advance(
                activity, self.dt_ms, first_step=first, frame_steps=frame_steps
            ))  # fmt: skip
        return np.concatenate(bold)


def extraction(f: Floats) -> Floats:
    """Fraction of oxygen extracted, relative to that at rest; 1/E0 as the inflow vanishes.

    Parameters
    ----------
    f : (...) float64
        Inflow.

    Returns
    -------
    (...) float64
    """
    e_0 = CONSTANTS.e_0
    safe = np.where(f > 0, f, 1.0)
    return np.where(f > 0, 1 - np.exp(np.log(1 - e_0) / safe), 1.0) / e_0


def signal(v: Floats, q: Floats) -> Floats:
    """BOLD signal.

    Parameters
    ----------
    v, q : (...) float64
        Volume and deoxyhaemoglobin.

    Returns
    -------
    (...) float64
    """
    c = CONSTANTS
    return c.v_0 * (7 * c.e_0 * (1 - q) + 2 * (1 - q / v) + (2 * c.e_0 - 0.2) * (1 - v))


def steady_state(rate_hz: Floats) -> Floats:
    """State that a constant rate leads to.

    Parameters
    ----------
    rate_hz : (...) float64, Hz

    Returns
    -------
    (4, ...) float64
        s, f, v, q.
    """
    c = CONSTANTS
    u = np.maximum(np.asarray(rate_hz, dtype=np.float64) / 1000.0, FLOOR)
    f = 1 + c.eps * c.tau_f * u
    v = f**c.alpha
    q = f * extraction(f) * v ** (1 - 1 / c.alpha)
    return np.stack([np.zeros_like(f), f, v, q])
