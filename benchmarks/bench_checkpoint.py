"""Checkpoints: seconds to write one, to put a session back, to resume from it, and its bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dtbdask.sim.session import Session

from .networks import build_all, opened

SIZES = (10_000, 100_000)
WARM_UP = 50


def setup_cache() -> dict[int, str]:
    return build_all(SIZES)


class Checkpoint:
    """Of one block, in a session that has left its start behind."""

    params = SIZES
    param_names = ("neurons",)

    def setup(self, paths: dict[int, str], neurons: int) -> None:
        self.network = opened(paths, neurons)
        self.session = Session(self.network, seed=1)
        self.session.advance(WARM_UP)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "kept"
        self.store = self.session.checkpoint(self.path)

    def teardown(self, paths: dict[int, str], neurons: int) -> None:
        self.session.close()
        self.folder.cleanup()

    def time_write(self, paths: dict[int, str], neurons: int) -> None:
        self.session.checkpoint(self.path)

    def time_restore(self, paths: dict[int, str], neurons: int) -> None:
        self.session.restore(self.path)

    def time_resume(self, paths: dict[int, str], neurons: int) -> None:
        Session.resume(self.path, self.network).close()

    def track_bytes(self, paths: dict[int, str], neurons: int) -> int:
        return sum(file.stat().st_size for file in self.store.rglob("*") if file.is_file())

    track_bytes.unit = "bytes"
