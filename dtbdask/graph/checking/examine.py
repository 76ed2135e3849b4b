"""A piece of the synapses looked at: what is wrong with it, and what it adds to the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.graph.checking.damage import damage
from dtbdask.graph.checking.findings import Finding, Places
from dtbdask.graph.checking.synapse_ranges import Pairs
from dtbdask.graph.fixed_point import LARGEST_KICK
from dtbdask.graph.wiring import Recipe

Ints = NDArray[np.int64]
Sources = NDArray[np.uint32]
Weights = NDArray[np.unsignedinteger]
Entries = tuple[NDArray[np.int32], NDArray[np.int32], Ints]

CHECKS = ("source", "self edge", "double edge")
"""Names of the kinds of bad edge of `dtbdask.kernels.cpu_check`."""


def _no_entries() -> Entries:
    return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)


@dataclass
class Seen:
    """What a piece holds.

    Attributes
    ----------
    found : list of Finding
    read, weighed : int
        Synapses whose sources, and whose weights, could be looked at.
    entries : (entry,) int32, int32 and int64
        Target and source population, and number of synapses.
    split : dict of int to (synapse,) uint32
        Sources of the targets whose synapses are here only in part.
    histogram : (pair, value) int64
        Weights of each value, if they are of 8 bits.
    low, high : float
        Smallest and largest weight.
    total : (pair,) float64
        Sum of the weights.
    """

    found: list[Finding] = field(default_factory=list)
    read: int = 0
    weighed: int = 0
    entries: Entries = field(default_factory=_no_entries)
    split: dict[int, Sources] = field(default_factory=dict)
    histogram: Ints = field(default_factory=lambda: np.zeros((2, 256), np.int64))
    low: float = np.inf
    high: float = -np.inf
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))


@dataclass(frozen=True)
class Examiner:
    """All that is needed to look at a piece of the synapses.

    Attributes
    ----------
    count : int
        How many there are.
    width : int
        Synapses of a piece; of a store, a chunk.
    places : Places
        Names, and what leads from synapses to neurons; without it only checksums are looked at.
    recipe : Recipe or None
        What the synapses follow from.
    read : callable, optional
        Sources and weights of a range, where they are not in a store.
    group : zarr.Group, optional
        The store.
    absent : mapping of str to set of int
        Chunks that the arrays `synapse/source` and `synapse/weight` of a store lack.
    deep : bool
        Compare with the recipe, synapse by synapse.
    """

    count: int
    width: int
    places: Places
    recipe: Recipe | None
    read: Callable[[int, int], Pairs] | None = None
    group: zarr.Group | None = None
    absent: Mapping[str, frozenset[int]] = field(default_factory=dict)
    deep: bool = False

    def examine(self, piece: tuple[int, int]) -> Seen:
        """Look at the synapses of a range, which is a chunk or part of one."""
        start, stop = piece
        seen = Seen()
        source, weight = self._read(start, stop, seen)
        if self.places.targets is None:
            return seen
        if source is not None:
            self._sources(seen, start, stop, source)
        if weight is not None:
            self._weights(seen, start, stop, weight)
        if self.deep and self.recipe is not None:
            self._compare(seen, start, stop, source, weight)
        return seen

    def _chunk(self, name: str, start: int, stop: int) -> str:
        where = self.places.synapses(start, stop)
        if self.group is None:
            return where
        return f"array '{name}', chunk {start // self.width} ({where})"

    def _read(self, start: int, stop: int, seen: Seen) -> tuple[Sources | None, Weights | None]:
        if self.group is None:
            assert self.read is not None
            return self.read(start, stop)
        return (
            self._read_chunk("synapse/source", start, stop, seen),
            self._read_chunk("synapse/weight", start, stop, seen),
        )

    def _read_chunk(self, name: str, start: int, stop: int, seen: Seen) -> NDArray[Any] | None:
        assert self.group is not None
        if start // self.width in self.absent[name]:
            return None
        try:
            values: NDArray[Any] = schema.read(self.group, name, start, stop)
        except StoreError as error:
            place = self._chunk(name, start, stop)
            seen.found.append(Finding("checksum", place, damage(error)))
            return None
        return values

    def _targets(self, start: int, stop: int) -> tuple[int, Ints]:
        """First neuron that synapses end on, and where the synapses of each begin."""
        targets = self.places.targets
        assert targets is not None
        low, high = targets.neuron_of(start), targets.neuron_of(stop - 1) + 1
        return low, targets.synapse_of(np.arange(low, high + 1))

    @cached_property
    def _landmark(self) -> NDArray[np.int32]:
        from dtbdask.kernels import cpu_check

        return cpu_check.landmarks(self.places.first)

    def _sources(self, seen: Seen, start: int, stop: int, source: Sources) -> None:
        from dtbdask.kernels import cpu_check

        low, indptr = self._targets(start, stop)
        local, n = np.clip(indptr - start, 0, stop - start), indptr.size - 1
        whole = int(indptr[0] < start), n - int(indptr[-1] > stop)
        bad, place = np.empty(3, np.int64), np.empty(3, np.int64)
        row, column = np.empty(source.size, np.int32), np.empty(source.size, np.int32)
        number = np.empty(source.size, np.int64)
        k = cpu_check.examine(
            bad, place, row, column, number, source, local, low, whole, self.places.first,
            self._landmark,
        )  # fmt: skip
        seen.read, seen.entries = (
            source.size,
            (row[:k].copy(), column[:k].copy(), number[:k].copy()),
        )
        for t in {0, n - 1}:
            if not whole[0] <= t < whole[1]:
                seen.split[low + t] = source[local[t] : local[t + 1]].copy()
        for check, edges, first in zip(CHECKS, bad.tolist(), place.tolist(), strict=True):
            if edges:
                told = f"synapse {start + first:,} of {self._target(start + first)} comes from "
                told += f"neuron {source[first]:,}"
                more = f"; {edges - 1:,} more in this chunk" if edges > 1 else ""
                where = self._chunk("synapse/source", start, stop)
                seen.found.append(Finding(check, where, told + more))

    def _target(self, synapse: int) -> str:
        assert self.places.targets is not None
        return self.places.neuron(self.places.targets.neuron_of(synapse))

    def _weights(self, seen: Seen, start: int, stop: int, weight: Weights) -> None:
        from dtbdask.kernels import cpu_check

        seen.weighed = len(weight)
        if weight.dtype == np.uint8:
            cpu_check.histogram(seen.histogram, weight)
            values = np.flatnonzero(seen.histogram.any(axis=0))
            seen.low, seen.high = float(values[0]), float(values[-1])
            seen.total = seen.histogram @ np.arange(256.0)
        else:
            seen.low, seen.high = float(weight.min()), float(weight.max())
            seen.total = weight.sum(axis=0, dtype=np.uint64).astype(np.float64)
            seen.found += self._overflows(start, stop, weight)
        if self.recipe is None:
            return
        low, high = self.recipe.weights
        if low <= seen.low and seen.high <= high:
            return
        wrong = np.flatnonzero(((weight < low) | (weight > high)).any(axis=1))
        told = (
            f"synapse {start + wrong[0]:,} of {self._target(start + int(wrong[0]))} weighs "
            f"{weight[wrong[0]].tolist()}; expected {low} to {high}; {wrong.size:,} are wrong in "
            "this chunk"
        )
        place = self._chunk("synapse/weight", start, stop)
        seen.found.append(Finding("weights", place, told))

    def _overflows(self, start: int, stop: int, weight: Weights) -> Iterator[Finding]:
        """Targets whose weights do not add up in 32 bits."""
        low, indptr = self._targets(start, stop)
        total = np.concatenate([np.zeros((1, 2), np.uint64), np.cumsum(weight, 0, np.uint64)])
        kick = np.diff(total[np.clip(indptr - start, 0, stop - start)], axis=0)
        wrong = np.flatnonzero((kick > LARGEST_KICK).any(axis=1))
        if wrong.size:
            told = f"those of {self.places.neuron(low + int(wrong[0]))} overflow 32 bits together"
            yield Finding("weights", self._chunk("synapse/weight", start, stop), told)

    def _compare(
        self, seen: Seen, start: int, stop: int, source: Sources | None, weight: Weights | None
    ) -> None:
        """Name the first source, and the first weight pair, that is not what the recipe makes."""
        assert self.recipe is not None
        for name, values, meant in zip(
            ("source", "weight"), (source, weight), self.recipe.synapses(start, stop), strict=True
        ):
            if values is None:
                continue
            wrong = np.flatnonzero((values != meant).reshape(stop - start, -1).any(axis=1))
            if wrong.size:
                e = int(wrong[0])
                told = (
                    f"synapse {start + e:,} of {self._target(start + e)} has {name} "
                    f"{values[e].tolist()}, the recipe makes {meant[e].tolist()}; {wrong.size:,} "
                    f"of {stop - start:,} differ in this chunk"
                )
                place = self._chunk(f"synapse/{name}", start, stop)
                seen.found.append(Finding("recipe", place, told))
