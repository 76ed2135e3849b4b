"""Windows are written down one behind the steps."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType

from dtbdask.sim.gang import Window
from dtbdask.sim.record import Recorder


class Trailing:
    """Has a recorder write each window on a thread while the next one is simulated.

    One window is under way at most, so that memory stays bounded. As a context it ends when all is
    written.

    Parameters
    ----------
    recorder : Recorder
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dtbdask-record")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Trailing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        with self._thread, suppress(*(() if kind is None else (Exception,))):
            self.wait()

    def take(self, window: Window) -> None:
        """Append a window, after the one before; an error of that one is raised here."""
        self.wait()
        self._under_way = self._thread.submit(self.recorder.take, window)

    def wait(self) -> None:
        """Until what was taken is appended."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()
