"""The figures of a plan, and how they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.planning.audience import Audience
from dtbdask.graph.planning.disk import Disk
from dtbdask.graph.planning.footprint import Footprint, Run, footprint

UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


@dataclass(frozen=True)
class Figure:
    """A number of the most loaded block, and of the mean one."""

    largest: float
    mean: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Figure:
        """Of those of all blocks."""
        return cls(float(values.max()), float(values.mean()))


@dataclass(frozen=True)
class BuildMemory:
    """Memory of the process that builds, bytes.

    Attributes
    ----------
    present
        Resident now, with kernels and codecs loaded.
    growth
        What the build adds at most.
    threads
        Of Dask, as it is set up now.
    """

    present: int
    growth: int
    threads: int

    @property
    def peak(self) -> int:
        """Most that is resident while building."""
        return self.present + self.growth


@dataclass(frozen=True)
class BlockMemory:
    """Memory of a block and its worker, bytes; see `dtbdask.graph.planning.footprint.Footprint`."""

    edges: Figure
    rows: Figure
    state: Figure
    tables: Figure
    held: Figure
    running: Figure
    loading: Figure
    need: Figure


@dataclass(frozen=True)
class Traffic:
    """Spikes between workers that hold one block each.

    Attributes
    ----------
    peers, peers_in_grid : int
        Of a worker: all others, or with two-level routing those of its row and of its column.
    workers_per_host : int
        Row of the grid.
    foreign : Figure
        Neurons of other blocks that a block hears.
    spikes : Figure
        That a worker sends in a step, each counted for every block that hears it.
    bytes_per_step, bytes_per_second : Figure
        That a worker sends; a second is one of biological time.
    """

    peers: int
    peers_in_grid: int
    workers_per_host: int
    foreign: Figure
    spikes: Figure
    bytes_per_step: Figure
    bytes_per_second: Figure


@dataclass(frozen=True)
class Plan:
    """What a network and its run will need.

    Attributes
    ----------
    source : str
        What it is a plan of.
    neurons, populations, synapses : int
        Of the network: exact for a brain.
    degree : int
        Mean in-degree that was asked for.
    layout : str
    kind : {"stored", "procedural"}
        How the synapses are to be kept.
    blocks, threads, members : int
    rate_hz : float
    disk : Disk
    build : BuildMemory
    owned : dict of str to Figure
        Neurons and synapses of a block.
    block : BlockMemory
    traffic : Traffic
    remarks : tuple of str
        Assumptions, and what stands in the way.
    """

    source: str
    neurons: int
    populations: int
    synapses: int
    degree: int
    layout: str
    kind: str
    blocks: int
    threads: int
    members: int
    rate_hz: float
    disk: Disk
    build: BuildMemory
    owned: Mapping[str, Figure]
    block: BlockMemory
    traffic: Traffic
    remarks: tuple[str, ...]
    anatomy: Anatomy = field(repr=False)
    run: Run = field(repr=False)
    listen: Callable[[int], Audience] = field(repr=False, compare=False)

    def footprint(self, n_blocks: int) -> Footprint:
        """Bytes of each block, if there were so many."""
        return footprint(self.anatomy, self.listen(n_blocks), n_blocks, self.run)

    def to_dict(self) -> dict[str, Any]:
        """All figures, as plain numbers, strings, lists and dictionaries."""
        kept = [f.name for f in fields(self) if f.name not in ("anatomy", "run", "listen")]
        figures = {name: _plain(getattr(self, name)) for name in kept}
        figures["disk"] |= {kind: self.disk.total(kind) for kind in ("stored", "procedural")}
        figures["build"]["peak"] = self.build.peak
        return figures

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for a reader."""
        b, t = self.block, self.traffic
        disk = self.disk
        rows = [
            ("network", f"{self.neurons:,} neurons, {self.synapses:,} synapses, "
                        f"{self.populations:,} populations ({self.layout})"),
            ("on disk", f"{amount(disk.total('stored'))} stored in {disk.files:,} files, "
                        f"{amount(disk.total('procedural'))} procedural"),
            ("build", f"{amount(self.build.peak)} at the peak of the process "
                      f"({amount(self.build.present)} now, {self.build.threads} threads)"),
            ("run", f"{self.blocks:,} blocks, each on a worker, of {self.threads} threads and "
                    f"{self.members} members"),
        ]  # fmt: skip
        rows += [(f"  {name}", _pair(figure, amount)) for name, figure in vars(b).items()]
        rows += [
            ("  foreign neurons heard", _pair(t.foreign, _count)),
            ("exchange", f"{t.peers:,} peers of a worker, {t.peers_in_grid:,} in a grid with "
                         f"{t.workers_per_host:,} workers a host; at {self.rate_hz:g} Hz"),
            ("  spikes sent a step", _pair(t.spikes, _count)),
            ("  sent a step", _pair(t.bytes_per_step, amount)),
            ("  sent a second of time simulated", _pair(t.bytes_per_second, amount)),
        ]  # fmt: skip
        return rows + [("note", remark) for remark in self.remarks]

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows())
        lines = [f"{name:<{width}}  {value}" for name, value in self.rows()]
        return "\n".join([f"Plan of {self.source}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table><caption>Plan of {escape(self.source)}</caption>{rows}</table>"


def amount(n_bytes: float) -> str:
    """Bytes in the largest unit of 1000 that leaves one or more."""
    power = 0
    while n_bytes >= 999.5 and power < len(UNITS) - 1:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{n_bytes:.{0 if power == 0 else 1}f} {UNITS[power]}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _pair(figure: Figure, tell: Callable[[float], str]) -> str:
    largest, mean = tell(figure.largest), tell(figure.mean)
    return largest if largest == mean else f"{largest} at most, {mean} on the average"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value
