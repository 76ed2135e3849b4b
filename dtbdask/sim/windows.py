"""A run goes in windows: between them its host looks, writes and may be interrupted."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from dtbdask import config, progress
from dtbdask.errors import whole_number
from dtbdask.sim.moments import beside
from dtbdask.sim.trailing import Trailing

if TYPE_CHECKING:
    from dtbdask.sim.moments import Moments
    from dtbdask.sim.record import Recorder
    from dtbdask.sim.recording import Recording
    from dtbdask.sim.session import Session

MOST_COUNTS = 64 << 20
"""Bytes of the counts of a window that grows."""


def in_windows(
    session: Session, n_steps: int, recorder: Recorder | None, moments: Moments | None
) -> Recording | None:
    """Advance in windows, and write down what is seen and when it is time for a checkpoint.

    A window that is over sooner than `dtbdask.session.window-seconds` is followed by one twice as
    long: what a window costs beside its steps is the same for any length.

    Parameters
    ----------
    session : Session
    n_steps : int
    recorder : Recorder, optional
    moments : Moments, optional
        Of checkpoints; only with a recorder.

    Returns
    -------
    Recording or None
    """
    length = whole_number("dtbdask.session.window-steps", config.get("session.window-steps"), 1)
    counted = 4 * session.members * session.network.populations.size.size
    longest = max(length, MOST_COUNTS // counted)
    sight: dict[str, Any] = {"summed": True}
    if recorder is not None:
        sight = {"spikes": "spikes" in recorder.request.record, "watch": recorder.watch}
    trailing = nullcontext() if recorder is None else Trailing(recorder)
    with progress.track("Simulating", n_steps, "steps") as done, trailing as behind:
        while n_steps:
            steps = length if recorder is None else recorder.request.window_steps(length)
            steps = min(steps, n_steps)
            if moments is not None:
                steps = moments.cut(steps)
            begun = time.monotonic()
            window = session.advance(steps, **sight)
            if time.monotonic() - begun < float(config.get("session.window-seconds")):
                length = min(2 * length, longest)
            n_steps -= steps
            if behind is not None:
                behind.take(window)
                if moments is not None and moments.due(steps) and n_steps:
                    behind.wait()
                    session.keep(beside(behind.recorder.path), moments.run, behind.recorder)
            done(steps)
    return recorder.finish() if recorder is not None else None
