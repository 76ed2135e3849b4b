"""What a recording takes of a run: time with and without it in turn, and memory."""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

from dtbdask.sim.quantities import Request
from dtbdask.sim.record import Recorder
from dtbdask.sim.session import Session
from dtbdask.sim.trailing import Trailing

from .networks import build_all, opened

SIZE = 100_000
WARM_UP_S, SECONDS, WINDOW, GROUPS, WINDOWS = 0.5, 4.0, 500, 20, 4


def setup_cache() -> dict[int, str]:
    return build_all((SIZE,))


class Recording:
    """Runs in turn with and without a recording, in one session of as many threads."""

    params = (("spikes", "rate"), (1, 2))
    param_names = ("record", "threads")
    timeout = 600

    def setup(self, paths: dict[int, str], record: str, threads: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.stores = (Path(self.folder.name) / f"{k}.zarr" for k in count())
        self.session = Session(opened(paths, SIZE), seed=1, threads=threads)
        self.session.run(WARM_UP_S)

    def teardown(self, paths: dict[int, str], record: str, threads: int) -> None:
        self.session.close()
        self.folder.cleanup()

    def track_cost(self, paths: dict[int, str], record: str, threads: int) -> float:
        """Median over pairs of runs without and with: a machine that others share drifts.

        The writing of the last window, which no step covers, counts.
        """
        session = self.session
        request = Request.make(session.network, (record,), 2 * WINDOW * GROUPS * WINDOWS, 1.0)
        about = {"dt_ms": 1.0, "first_step": session.step}
        recorder = Recorder.new(next(self.stores), session.network, request, about, overwrite=False)
        ratios = []
        for _ in range(GROUPS):
            start = time.perf_counter()
            for _ in range(WINDOWS):
                session.advance(WINDOW)
            between = time.perf_counter()
            with Trailing(recorder) as trailing:
                for _ in range(WINDOWS):
                    trailing.take(session.advance(WINDOW, spikes=record == "spikes"))
            ratios.append((time.perf_counter() - between) / (between - start))
        return 100 * (median(ratios) - 1)

    track_cost.unit = "% of the time without"

    def peakmem_run(self, paths: dict[int, str], record: str, threads: int) -> None:
        self.session.run(SECONDS, record=[record], to=next(self.stores))
