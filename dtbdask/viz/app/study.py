"""The stores that are looked at: opened by what they are, and read again while they grow."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from dtbdask import schema
from dtbdask.assim.opening import open_posterior
from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import DTBDaskError, InputError, StoreError
from dtbdask.graph.network import Network, open_network
from dtbdask.sim.recording import Recording
from dtbdask.viz.app.course import Course
from dtbdask.viz.source import SpikeSource

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

REFRESH_S = 1.0
"""Time between two looks at a store that grows."""
MOST_RUNS = 2
"""Recordings that can be compared."""


@dataclass
class Run:
    """A recording, finished or still being written.

    Attributes
    ----------
    path : pathlib.Path
    course : Course
        Rates, up to date at every look.
    data : xarray.Dataset
        What was there at the last refresh, lazy.
    spikes : SpikeSource or None
    version : int
        Grows when `data` does.
    """

    path: Path
    course: Course = field(init=False)
    data: xr.Dataset = field(init=False)
    spikes: SpikeSource | None = field(init=False, default=None)
    version: int = field(init=False, default=0)
    _stale: bool = field(init=False, default=False, repr=False)

    def __post_init__(self) -> None:
        self.course = Course(self.path)
        self._read()

    @property
    def finished(self) -> bool:
        """Whether it is complete."""
        return self.course.finished

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time that the whole recording will have."""
        return self.course.start_s, self.course.stop_s

    @property
    def there_s(self) -> float:
        """Last time of which `data` has the rates."""
        width = int(self.data.attrs.get("bin_steps", 1))
        steps = max(self.data.sizes.get("step", 0), self.data.sizes.get("bin", 0) * width)
        return self.course.start_s + steps * self.course.dt_s

    def look(self) -> None:
        """Take up new rates, and remember whether there is more to refresh."""
        self._stale = self.course.grow() or self._stale

    def refresh(self) -> None:
        """Take up everything that was written since."""
        if self._stale:
            self._read()
            self.version += 1

    def _read(self) -> None:
        self._stale = False
        self.data = Recording(self.path, live=not self.finished).to_xarray()
        if self.spikes is not None:
            self.spikes.refresh()
        elif "spike_neuron" in self.data:
            self.spikes = SpikeSource.open(self.path)


@dataclass
class Fit:
    """A posterior, finished or still being assimilated.

    Attributes
    ----------
    path : pathlib.Path
    data : xarray.Dataset
    version : int
    finished : bool
    n_frames : int
        That it will have.
    """

    path: Path
    data: xr.Dataset = field(init=False)
    version: int = field(init=False, default=-1)
    finished: bool = field(init=False, default=False)
    n_frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.refresh()

    @property
    def span_s(self) -> tuple[float, float]:
        """Start, and last time that the whole fit will have."""
        return 0.0, self.n_frames * float(self.data.attrs["tr_s"])

    def look(self) -> None:
        """Nothing: a fit has no part that is cheaper than all of it."""

    def refresh(self) -> None:
        """Take up what was written since."""
        if self.finished:
            return
        self.finished = schema.read_root(self.path).get("status") == "complete"
        data = open_posterior(self.path, live=True)
        self.n_frames = int(data.attrs["n_frames"])
        self.data, self.version = data, data.sizes["frame"] + self.finished


class Study:
    """All stores of a view.

    Parameters
    ----------
    stores : sequence of path
        Networks, recordings (two at most) and posteriors. Without a network, the one that the first
        of the others names is taken, if it is there.
    connectome : str, optional
        What `read_connectome` reads: where regions lie, and their connections.

    Attributes
    ----------
    network : Network or None
    runs : list of Run
    fits : list of Fit
    brain : xarray.Dataset or None

    Raises
    ------
    InputError
        A store of another kind, too many, or stores of brains that differ.
    StoreError
        A store is missing or damaged.
    """

    def __init__(self, stores: Sequence[str | Path], connectome: str | None = None) -> None:
        if not stores:
            raise InputError("stores is empty; give a network, a recording or a posterior")
        self.network: Network | None = None
        self.runs: list[Run] = []
        self.fits: list[Fit] = []
        for store in stores:
            self._add(Path(store))
        if len(self.runs) > MOST_RUNS:
            raise InputError(f"{len(self.runs)} recordings given; at most {MOST_RUNS} are compared")
        self._find_network()
        self.brain = None if connectome is None else read_connectome(connectome)
        self._check_labels()

    @property
    def labels(self) -> list[str]:
        """Names of the regions."""
        if self.network is not None:
            return list(self.network.labels)
        data = (self.runs or self.fits)[0].data
        return [str(name) for name in data["voxel_label"].values]

    @property
    def stores(self) -> list[Run | Fit]:
        """Recordings, then fits."""
        return [*self.runs, *self.fits]

    @property
    def live(self) -> bool:
        """Whether a store may still grow."""
        behind = any(run.course.behind for run in self.runs)
        return behind or any(not store.finished for store in self.stores)

    def look(self) -> None:
        """Take up the rates that were written since the last look."""
        self._tolerant("look")

    def refresh(self) -> None:
        """Take up everything that was written since the last refresh."""
        self._tolerant("refresh")

    def _tolerant(self, what: str) -> None:
        for store in self.stores:
            try:
                getattr(store, what)()
            except StoreError as error:  # it is being written this very moment
                logger.info("not yet: %s", error)

    def _add(self, path: Path) -> None:
        match kind := schema.read_root(path)["kind"]:
            case "network":
                self.network = open_network(path)
            case "recording":
                self.runs.append(Run(path))
            case "posterior":
                self.fits.append(Fit(path))
            case _:
                raise InputError(
                    f"{path} is a {kind} store; give a network, a recording or a posterior"
                )

    def _find_network(self) -> None:
        named = [store.data.attrs.get("network") for store in self.stores]
        if self.network is None and named and named[0]:
            try:
                self.network = open_network(str(named[0]))
            except DTBDaskError as error:
                logger.info("no network: %s", error)

    def _check_labels(self) -> None:
        labels = self.labels
        for store in self.stores:
            found = [str(name) for name in store.data["voxel_label"].values]
            if found != labels:
                raise InputError(f"{store.path} has other regions than the other stores")
        if self.brain is not None and self.brain.sizes["voxel"] != len(labels):
            raise InputError(
                f"connectome has {self.brain.sizes['voxel']} regions, the stores {len(labels)}"
            )
