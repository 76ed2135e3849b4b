"""The Balloon-Windkessel model in Numba; equations and constants stand in `dtbdask.sim.bold`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
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
    constants : (5,) float64
        eps, tau_s, tau_f, tau_0, E0. The exponent alpha is 1/5.
    """
    eps, tau_s, tau_f, tau_0, e_0 = constants
    drain = np.log(1 - e_0)
    frame = 0
    for step in range(activity.shape[0]):
        for m in range(state.shape[1]):
            for i in range(state.shape[2]):
                s, f, v, q = state[0, m, i], state[1, m, i], state[2, m, i], state[3, m, i]
                extracted = (1 - np.exp(drain / f)) / e_0 if f > 0 else 1 / e_0
                square = v * v
                inner = square * square  # v^(1/alpha - 1)
                ds = eps * activity[step, m, i] - s / tau_s - (f - 1) / tau_f
                dv = (f - inner * v) / tau_0
                dq = (f * extracted - q * inner) / tau_0
                state[0, m, i] = s + dt * ds
                state[1, m, i] = max(f + dt * s, 0.0)
                state[2, m, i] = v + dt * dv
                state[3, m, i] = q + dt * dq
        if (first_step + step + 1) % frame_steps == 0:
            frames[frame] = state[2:]
            frame += 1
