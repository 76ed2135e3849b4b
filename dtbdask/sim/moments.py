"""When a run writes checkpoints, where, and what it must say of itself to be resumed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dtbdask.errors import InputError, StoreError
from dtbdask.graph.alone import alone
from dtbdask.graph.network import Network


class Moments:
    """The moments of a run at which it writes checkpoints.

    Parameters
    ----------
    every_s : float, optional
        Biological time between two, s.
    wall_s : float, optional
        Time on the clock after which one is due, s.
    every_steps : int, optional
        `every_s` in exchange steps.
    run : str
        Id of the run; it ties its checkpoints to its recording.
    gone : int
        Steps since the last moment of biological time.
    """

    def __init__(
        self, every_s: float | None, wall_s: float | None, every_steps: int | None, run: str,
        gone: int = 0,
    ) -> None:  # fmt: skip
        self.every_s, self.wall_s, self.run = every_s, wall_s, run
        self._every, self._gone, self._last = every_steps, gone, time.monotonic()

    @classmethod
    def of(
        cls, every_s: float | None, wall_s: float | None, dt_ms: float, *, run: str = "",
        gone: int = 0,
    ) -> Moments | None:  # fmt: skip
        """Moments, or None where neither time is given.

        Parameters
        ----------
        every_s, wall_s : float, optional
        dt_ms : float
            Exchange step.
        run : str
            Id of a run that goes on; otherwise it gets one.
        gone : int
            Steps of that run.

        Raises
        ------
        InputError
            A time that is not positive, or not a multiple of the step.
        """
        if every_s is None and wall_s is None:
            return None
        if wall_s is not None and not 0 < wall_s < np.inf:
            raise InputError(f"checkpoint_wall is {wall_s:g}; expected more than 0 s")
        every = None if every_s is None else steps_of("checkpoint_every", every_s, dt_ms)
        return cls(every_s, wall_s, every, run or uuid.uuid4().hex, gone % every if every else 0)

    def cut(self, steps: int) -> int:
        """Steps of the next window, which ends at a moment of biological time if one comes."""
        return steps if self._every is None else min(steps, self._every - self._gone)

    def due(self, steps: int) -> bool:
        """Whether there is to be a checkpoint now that so many steps more were made."""
        self._gone += steps
        now = time.monotonic()
        due = self._gone == self._every
        if due:
            self._gone = 0
        if self.wall_s is not None and now - self._last >= self.wall_s:
            due = True
        if due:
            self._last = now
        return due

    def check_whole(self, steps: int, dt_ms: float) -> None:
        """Refuse moments amid a bin, or between two looks, of so many steps."""
        if self._every is not None and self._every % steps:
            raise InputError(
                f"checkpoint_every is {self.every_s:g} s; expected a multiple of the "
                f"{steps * dt_ms:g} ms after which bins and looks at samples end together"
            )

    def protocol(self, to: str | Path, seconds: float, network: Network) -> Mapping[str, Any]:
        """Entries of the recording's root from which the run can be resumed.

        Parameters
        ----------
        to : path
            The recording.
        seconds : float
            Of the run.
        network : Network
        """
        return {
            "again": f"resume it with: dtbdask resume {to}",
            "protocol": {
                "run": self.run,
                "seconds": float(seconds),
                "checkpoint_every": _number(self.every_s),
                "checkpoint_wall": _number(self.wall_s),
                "network": str(Path(network.path).absolute()) if network.path else "",
            },
        }


def beside(recording: str | Path) -> Path:
    """Folder of the checkpoints of a recorded run."""
    path = Path(recording)
    return path.with_name(f"{path.name}.checkpoint")


@contextmanager
def writing(recording: str | Path, *, begin: bool = False) -> Iterator[None]:
    """Be the only one that writes a recorded run, until the end of the block or of the process.

    Parameters
    ----------
    recording : path
    begin : bool
        Make the folder of its checkpoints, which is what is held. Without one there is no run.

    Raises
    ------
    StoreError
        The run is being written, or there can be no folder beside it.
    """
    folder = beside(recording)
    if begin:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot keep checkpoints at {folder}: {error}") from error
    elif not folder.is_dir():
        raise StoreError(f"{folder}: no complete checkpoint: nothing is there")
    with alone(folder, f"{recording}: somebody else is writing it; wait until that has ended"):
        yield


def steps_of(name: str, seconds: float, dt_ms: float) -> int:
    """Exchange steps in a time, or an error that names it."""
    steps = seconds * 1000 / dt_ms
    if not (1 <= steps < 2**53 and abs(steps - round(steps)) < 1e-6):
        raise InputError(
            f"{name} is {seconds:g}; expected a positive multiple of dt = {dt_ms:g} ms"
        )
    return round(steps)


def _number(seconds: float | None) -> float | None:
    return None if seconds is None else float(seconds)
