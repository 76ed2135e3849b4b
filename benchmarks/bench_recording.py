"""What a recording takes of a run: time beside the same run without one, and memory."""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

from dtbdask.sim.session import Session

from .networks import build_all, opened

SIZE = 100_000
WARM_UP_S, SECONDS, PAIRS = 0.5, 4.0, 7


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
        self.run(record)

    def teardown(self, paths: dict[int, str], record: str, threads: int) -> None:
        self.session.close()
        self.folder.cleanup()

    def run(self, *record: str) -> float:
        """Time of a run, s."""
        to = next(self.stores) if record else None
        start = time.perf_counter()
        self.session.run(SECONDS, record=record, to=to)
        return time.perf_counter() - start

    def track_cost(self, paths: dict[int, str], record: str, threads: int) -> float:
        ratios = []
        for k in range(PAIRS):
            if k % 2:
                recorded, alone = self.run(record), self.run()
            else:
                alone, recorded = self.run(), self.run(record)
            ratios.append(recorded / alone)
        return 100 * (median(ratios) - 1)

    track_cost.unit = "% of the time without"

    def peakmem_run(self, paths: dict[int, str], record: str, threads: int) -> None:
        self.run(record)
