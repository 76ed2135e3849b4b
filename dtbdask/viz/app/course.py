"""Rates of a run that is still going, kept in memory and added to: cheap enough for every second.

A look costs a few file times where nothing was written, and one chunk where one was; of what was
there before, it takes up so much that nobody waits for it.
"""

from __future__ import annotations

import time
from pathlib import Path

import holoviews as hv
import numpy as np
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.viz import style
from dtbdask.viz.rates import RATE
from dtbdask.viz.source import _rows

BINS = 300
"""Most bins of the curves."""
READ = 1 << 23
"""Counts read at a look, about."""


class Course:
    """Spikes of all excitatory and of all inhibitory neurons, step by step or bin by bin.

    Parameters
    ----------
    path : path
        Of a recording.

    Attributes
    ----------
    finished : bool
        Whether the recording is.
    behind : bool
        Whether there is more than was taken up.
    speed : float
        Seconds on the clock for a second of biological time, between the last two looks at which
        something was new; NaN before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        group = schema.open_store(path, "recording", status="any")
        root = schema.root_of(group)
        excitatory = schema.read(group, "population/excitatory")
        size = schema.read(group, "population/size")
        self._kinds = np.stack([excitatory, ~excitatory]).astype(np.int64)
        self._neurons = self._kinds @ size
        counted = ("spike_count", "bin_spike_count")
        self._name = next((name for name in counted if name in group), None)
        width = int(root["bin_steps"]) if self._name == "bin_spike_count" else 1
        self.dt_s = float(root["dt_ms"]) / 1e3
        self._row_s = width * self.dt_s
        self.start_s = int(root["first_step"]) * self.dt_s
        self.stop_s = self.start_s + int(root["n_steps"]) * self.dt_s
        self._count: list[NDArray[np.int64]] = []
        self.n_rows, self.finished, self.behind, self.speed = 0, False, False, float("nan")
        self._signature: tuple[int, ...] = ()
        self._last: tuple[float, float] | None = None
        self.grow()

    @property
    def there_s(self) -> float:
        """Last time that is there."""
        return self.start_s + self.n_rows * self._row_s

    @property
    def n_spikes(self) -> int:
        """Spikes so far."""
        return int(sum(count.sum() for count in self._count))

    @property
    def rate_hz(self) -> float:
        """Mean rate of all neurons so far; NaN before the first chunk."""
        seconds = self.there_s - self.start_s
        return self.n_spikes / self._neurons.sum() / seconds if seconds else float("nan")

    def grow(self) -> bool:
        """Take up what was written since; whether anything was."""
        signature = self._times()
        if signature == self._signature and not self.behind:
            return False
        group = schema.open_store(self._path, "recording", status="any")
        self.finished = schema.root_of(group).get("status") == "complete"
        self._signature = signature
        if self._name is None:
            return True
        rows = _rows(group, self._name)
        chunk = int(schema.array(group, self._name).chunks[0])
        most = max(1, READ // self._kinds.shape[1] // chunk) * chunk
        stop, waited = min(rows, self.n_rows + most), self.behind
        self.behind = stop < rows
        if stop > self.n_rows:
            count = schema.read(group, self._name, self.n_rows, stop)
            self._count.append(self._kinds @ count.T.astype(np.int64))
            self.n_rows = stop
            self._measure(caught_up=not (waited or self.behind))
        return True

    def curves(self) -> hv.Overlay:
        """Mean rate of all excitatory and of all inhibitory neurons over time."""
        count = np.concatenate([np.zeros((2, 0), np.int64), *self._count], axis=1)
        n = max(1, -(-count.shape[1] // BINS))
        start = np.arange(0, count.shape[1], n)
        width = np.diff(np.append(start, count.shape[1]))
        binned = np.add.reduceat(count, start, axis=1) if start.size else count
        middle = self.start_s + (start + width / 2) * self._row_s
        layers = [
            style.curve(
                middle, values / (width * self._row_s * max(int(neurons), 1)), style.TIME, RATE,
                label, look,
            )
            for label, look, values, neurons in (
                ("Excitatory", style.EXCITATORY, binned[0], self._neurons[0]),
                ("Inhibitory", style.INHIBITORY, binned[1], self._neurons[1]),
            )
        ]  # fmt: skip
        title = f"Mean firing rate of the brain, bins of {n * self._row_s * 1e3:g} ms"
        for layer in layers:
            layer.opts(backend="bokeh", framewise=True)
        picture = style.panel(hv.Overlay(layers), title, xlim=(self.start_s, self.stop_s))
        return picture.opts(backend="bokeh", framewise=True)

    def _times(self) -> tuple[int, ...]:
        """When the recording was last written to."""
        name = self._name or "bold"
        places = (
            self._path / "zarr.json",
            self._path / name / "c",
            self._path / name / "zarr.json",
        )
        return tuple(place.stat().st_mtime_ns if place.exists() else 0 for place in places)

    def _measure(self, *, caught_up: bool) -> None:
        now = (time.monotonic(), self.there_s)
        if self._last is not None and not self.finished and caught_up:
            self.speed = (now[0] - self._last[0]) / (now[1] - self._last[1])
        self._last = now
