"""Haemodynamics of a network on a device: spikes are counted there, and need not leave it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtbdask.kernels import cuda
from dtbdask.sim.bold import FLOOR, Floats, Haemodynamics, of_kernels, signal

THREADS = 64


class Flow:
    """The haemodynamics of a window of steps, bit for bit those of the host, which go on after it.

    Parameters
    ----------
    haemodynamics : Haemodynamics
        Set to the end of the window when it is over.
    n_steps : int
        Of the window.
    first_step : int
        Index of the first of them.
    frame_steps : int
        Steps of a frame; frames end where the number of steps run is a multiple of it.
    """

    def __init__(
        self, haemodynamics: Haemodynamics, n_steps: int, first_step: int, frame_steps: int
    ) -> None:
        cp: Any = cuda.load_cupy()
        self._host, self._step, self._frame_steps = haemodynamics, first_step, frame_steps
        voxel, balloon = haemodynamics.voxel, haemodynamics.balloon
        n_frames = (first_step + n_steps) // frame_steps - first_step // frame_steps
        first = np.searchsorted(np.sort(voxel), np.arange(haemodynamics.per.size + 1))
        self._state = cp.asarray(balloon.state)
        self._frames = cp.empty((n_frames, 2, *balloon.state.shape[1:]))
        self._runs = (
            cp.asarray(first, np.uint32), cp.asarray(np.argsort(voxel, kind="stable"), np.int32),
            cp.asarray(haemodynamics.per),
        )  # fmt: skip
        named = zip(cuda.BALLOON.names or (), of_kernels(), strict=False)
        self._constants = cuda.filled(
            cuda.BALLOON, **dict(named), floor=FLOOR, dt=haemodynamics.dt_ms / 1000
        )
        self._made, self._kernel = 0, cuda.haemodynamics()

    def take(self, count: Any) -> None:
        """Enqueue some steps.

        Parameters
        ----------
        count : (step, member, population + 1) int32 cupy.ndarray
            Spikes; the last column is not looked at.
        """
        n_steps, n_members, n_columns = count.shape
        n_voxels, step = self._state.shape[2], self._step
        arguments = (
            self._state, self._frames[self._made :], count, *self._runs, self._constants,
            np.uint32(n_steps), np.int64(step), np.uint32(self._frame_steps),
            np.uint32(n_members), np.uint32(n_voxels), np.uint32(n_columns),
        )  # fmt: skip
        self._kernel((-(-n_members * n_voxels // THREADS),), (THREADS,), arguments)
        self._step += n_steps
        self._made += self._step // self._frame_steps - step // self._frame_steps

    def finish(self) -> Floats:
        """BOLD at the end of each frame, (frame, member, voxel) float64; the host goes on there."""
        self._host.balloon.state = self._state.get()
        frames = self._frames.get()
        return signal(frames[:, 0], frames[:, 1])
