"""What the gangs of a session saw of the same steps, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.bold import Haemodynamics
from dtbdask.sim.gang import Window
from dtbdask.sim.raster import merged


def joined(
    windows: Sequence[Window], haemodynamics: Haemodynamics | None, frame_steps: int, *,
    summed: bool,
) -> Window:  # fmt: skip
    """The window of a whole network and all its members.

    Parameters
    ----------
    windows : sequence of Window
        Of the gangs, in the order of their members or blocks.
    haemodynamics : Haemodynamics or None
        Of the session, where the gangs have blocks of one network and not members; it goes on.
    frame_steps : int
        Steps of a BOLD frame.
    summed : bool
        The counts of all steps together; those of blocks come step by step.
    """
    if len(windows) == 1:
        return windows[0]
    first, seen = windows[0].first_step, [one for window in windows for one in window.seen]
    counts: NDArray[Any]
    if haemodynamics is None:
        counts = np.concatenate([window.spike_count for window in windows], axis=1)
        bold = np.concatenate([window.bold for window in windows], axis=1)
        return Window(first, counts, bold, *windows[0].spikes, seen)
    counts = np.stack([window.spike_count for window in windows]).sum(axis=0, dtype=np.int32)
    bold = haemodynamics.advance(counts, first, frame_steps)
    if summed:
        counts = counts.sum(axis=0, keepdims=True, dtype=np.int64)
    return Window(first, counts, bold, *merged([window.spikes for window in windows]), seen)
