"""A recorded run on a cluster survives its workers: it goes on from its last checkpoint.

When a worker is lost the gangs are disbanded, others are made on the workers that answer, and the
session is put where the last checkpoint was. The network is divided anew where there are fewer
workers than blocks; the spikes do not depend on it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dtbdask import schema
from dtbdask.errors import DTBDaskError, LostError, SessionError
from dtbdask.sim import checkpoint
from dtbdask.sim.losses import ANSWER_S, answering, is_loss
from dtbdask.sim.moments import Moments, beside
from dtbdask.sim.record import Recorder
from dtbdask.sim.recording import Recording
from dtbdask.sim.windows import in_windows

if TYPE_CHECKING:
    from dtbdask.sim.session import Session

logger = logging.getLogger(__name__)

RETURN_S = 8.0
"""Seconds that a run waits for workers to come back before it goes on with fewer."""
NOBODY_S = 60.0
"""Seconds that it waits where no worker answers, before it gives up."""
TRIES = 3
"""Losses in a row, none of them at a later step than the one before, at which a run gives up."""

Rest = tuple[int, Recorder, Moments]
"""Steps that are left of a run, and what writes them down."""


def endure(
    session: Session, n_steps: int, recorder: Recorder, moments: Moments | None
) -> Recording | None:
    """Advance as `in_windows` does, and after the loss of a worker go on by checkpoints.

    Parameters
    ----------
    session : Session
    n_steps : int
    recorder : Recorder
    moments : Moments, optional
        Of checkpoints; without them a loss is an error.

    Raises
    ------
    SessionError
        The scheduler was lost, no worker answers, or the run was cancelled.
    ExchangeError
        Workers were lost again and again at the same step, or there are no checkpoints.
    """
    path, furthest, tries = recorder.path, -1, 0
    why: Exception | None = None
    while True:
        try:
            if why is not None:
                n_steps, recorder, moments = _recovered(session, path, why)
            return in_windows(session, n_steps, recorder, moments)
        except Exception as error:
            session.check_uncancelled()
            _check_scheduler(session, path, error, resumable=moments is not None)
            if session.client is None or not is_loss(error):
                raise
            if moments is None:
                raise _told(error, "give checkpoint_every to have a run that survives") from error
            tries = 1 if session.step > furthest else tries + 1
            furthest = max(furthest, session.step)
            if tries >= TRIES:
                again = f"this was loss {tries} at step {furthest}; {_again(path)}"
                raise _told(error, again) from error
            why = error


def taken_up(session: Session, path: str | Path, store: Path) -> Rest:
    """What is left of a recorded run whose session is where a checkpoint was.

    Parameters
    ----------
    session : Session
    path : path
        Of the recording, which is cut back.
    store : path
        Of the checkpoint.
    """
    root = schema.read_root(path)
    protocol, gone = root["protocol"], session.step - root["first_step"]
    moments = Moments.of(
        protocol["checkpoint_every"], protocol["checkpoint_wall"], session.dt_ms,
        run=protocol["run"], gone=gone,
    )  # fmt: skip
    assert moments is not None
    recorder = Recorder.reopened(path, session.network, store)
    return root["n_steps"] - gone, recorder, moments


def _recovered(session: Session, path: Path, why: Exception) -> Rest:
    """Gangs on the workers that answer, where the last checkpoint was."""
    before = session.workers
    there = _returned(session, len(before))
    root = schema.read_root(path)
    store = checkpoint.newest(beside(path), root["protocol"]["run"])
    session.gather_anew(there)
    session.restore(store)
    rest = taken_up(session, path, store)
    told = {"step": session.step, "why": f"{type(why).__name__}: {why}"}
    schema.update_root(rest[1].group, recoveries=[*root.get("recoveries", []), told])
    lost = ", ".join(sorted(set(before) - set(there))) or "no worker, but their gang"
    logger.warning(
        "%s: lost %s (%s); goes on from step %d on %d workers",
        path, lost, why, session.step, len(session.workers),
    )  # fmt: skip
    return rest


def _returned(session: Session, n_before: int) -> list[str]:
    """Workers that answer, once they are as many as before or it has been waited for them."""
    begun = time.monotonic()
    while True:
        session.check_uncancelled()
        there = answering(session.client, ANSWER_S)
        waited = time.monotonic() - begun
        if len(there) >= n_before or (there and waited > RETURN_S):
            return there
        if not there and waited > NOBODY_S:
            raise SessionError(f"no worker of the cluster answers, for {waited:.0f} s")
        time.sleep(ANSWER_S / 10)


def _check_scheduler(session: Session, path: Path, error: Exception, *, resumable: bool) -> None:
    """Tell the loss of the scheduler, which ends a run."""
    if session.client is None or session.client.status == "running":
        return
    then = _again(path) if resumable else "give checkpoint_every to have a run that can be resumed"
    raise SessionError(
        f"{path}: the scheduler of the cluster was lost after step {session.step}; {then}"
    ) from error


def _again(path: Path) -> str:
    return f"resume it with: dtbdask resume {path}"


def _told(error: Exception, then: str) -> Any:
    """The error with what to do about it."""
    kind = type(error) if isinstance(error, DTBDaskError) else LostError
    return kind(f"{error}; {then}")
