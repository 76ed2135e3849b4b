"""The Balloon-Windkessel model in Numba; equations and constants stand in `dtbdask.sim.bold`."""

from __future__ import annotations

from math import factorial

import numpy as np
from numba import njit
from numpy.typing import NDArray

EXP = tuple(1 / factorial(k) for k in range(12, -1, -1))
"""Coefficients of the exponential series, highest power first."""
HALVINGS = 7
"""Times that an exponent is halved before the series, and the power squared after it."""
LOWEST = -38.0
"""Exponent below which 1 - exp is 1."""


@njit(nogil=True, cache=True, error_model="numpy")
def exponential(x: float) -> float:
    """The exponential of what is negative, to some 1e-14, of the same bits on every machine.

    Parameters
    ----------
    x : float
        Taken for -38 where it is less: that is nothing beside 1.
    """
    x = (x if x > LOWEST else LOWEST) * 0.5**HALVINGS
    y = EXP[0]
    for c in EXP[1:]:
        y = y * x + c
    for _ in range(HALVINGS):
        y = y * y
    return y


@njit(nogil=True, cache=True, error_model="numpy")
def balloon(
    state: NDArray[np.float64], frames: NDArray[np.float64], activity: NDArray[np.float64],
    dt: float, first_step: int, frame_steps: int, constants: NDArray[np.float64],
) -> None:  # fmt: skip
    """Explicit Euler steps of all voxels, with a look at v and q at the end of each frame.

    Parameters
    ----------
    state : (4, member, voxel) float64
        s in 1/s, f, v, q; moved on.
    frames : (frame, 2, member, voxel) float64
        Written: v and q where the number of steps run is a multiple of `frame_steps`.
    activity : (step, member, voxel) float64, spikes per neuron and ms
        Already floored.
    dt : float
        Step, s.
    first_step, frame_steps : int
        Index of the first step; steps of a frame.
    constants : (6,) float64
        eps, 1/tau_s, 1/tau_f, 1/tau_0, log(1 - E0), 1/E0. The exponent alpha is 1/5.
    """
    eps, per_s, per_f, per_0, drain, per_e = constants
    left = np.empty(state.shape[2])  # of the oxygen: apart, so that both loops are done abreast
    frame = 0
    for step in range(activity.shape[0]):
        for m in range(state.shape[1]):
            u = activity[step, m]
            s_of, f_of, v_of, q_of = state[0, m], state[1, m], state[2, m], state[3, m]
            for i in range(left.size):
                left[i] = exponential(drain / f_of[i])  # without inflow, nothing
            for i in range(left.size):
                s, f, v, q = s_of[i], f_of[i], v_of[i], q_of[i]
                extracted = (1 - left[i]) * per_e
                square = v * v
                inner = square * square  # v^(1/alpha - 1)
                ds = eps * u[i] - s * per_s - (f - 1) * per_f
                dv = (f - inner * v) * per_0
                dq = (f * extracted - q * inner) * per_0
                s_of[i] = s + dt * ds
                f_of[i] = max(f + dt * s, 0.0)
                v_of[i] = v + dt * dv
                q_of[i] = q + dt * dq
        if (first_step + step + 1) % frame_steps == 0:
            frames[frame] = state[2:]
            frame += 1


@njit(nogil=True, cache=True, error_model="numpy")
def activity(
    out: NDArray[np.float64], count: NDArray[np.int32], voxel: NDArray[np.int64],
    per: NDArray[np.float64],
) -> None:  # fmt: skip
    """Spikes of each voxel per neuron and ms.

    Parameters
    ----------
    out : (step, member, voxel) float64
        Written.
    count : (step, member, population) int32
        Spikes.
    voxel : (population,) int64
        Where each population lives.
    per : (voxel,) float64
        Neurons times ms of a step.
    """
    for step in range(count.shape[0]):
        for m in range(count.shape[1]):
            u, spikes = out[step, m], count[step, m]
            u[:] = 0.0
            for p in range(voxel.size):
                u[voxel[p]] += spikes[p]
            for i in range(per.size):
                u[i] /= per[i]
