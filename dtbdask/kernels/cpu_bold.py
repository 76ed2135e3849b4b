"""The Balloon-Windkessel model in Numba; equations and constants stand in `dtbdask.sim.bold`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


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
    constants : (5,) float64
        eps, tau_s, tau_f, tau_0, E0. The exponent alpha is 1/5.
    """
    eps, tau_s, tau_f, tau_0, e_0 = constants
    drain = np.log(1 - e_0)
    left = np.empty(state.shape[2])  # of the oxygen: apart, so that the rest is done abreast
    frame = 0
    for step in range(activity.shape[0]):
        for m in range(state.shape[1]):
            u = activity[step, m]
            s_of, f_of, v_of, q_of = state[0, m], state[1, m], state[2, m], state[3, m]
            for i in range(left.size):
                left[i] = np.exp(drain / f_of[i]) if f_of[i] > 0 else 0.0
            for i in range(left.size):
                s, f, v, q = s_of[i], f_of[i], v_of[i], q_of[i]
                extracted = (1 - left[i]) / e_0
                square = v * v
                inner = square * square  # v^(1/alpha - 1)
                ds = eps * u[i] - s / tau_s - (f - 1) / tau_f
                dv = (f - inner * v) / tau_0
                dq = (f * extracted - q * inner) / tau_0
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
