"""All pieces of the synapses together: what is wrong, who hears whom how often, which weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.graph.checking.examine import Entries, Examiner, Sources
from dtbdask.graph.checking.findings import Finding, Places
from dtbdask.graph.checking.synapse_ranges import cut, over_threads


@dataclass
class Census:
    """What was counted.

    Attributes
    ----------
    found : list of Finding
    figures : dict
        `synapses` and `chunks` looked at, `weight_range` and `weight_mean`.
    matrix : (population, population) int64, sparse CSR, or None
        Synapses by target (row) and source population; None if no tables lead to populations.
    histogram : (pair, value) int64
        Weights of each value, if they are of 8 bits.
    """

    found: list[Finding] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    matrix: sp.csr_array | None = None
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 256), np.int64))


def count(examiner: Examiner) -> Census:
    """Look at all synapses, over threads, and count them.

    Parameters
    ----------
    examiner : Examiner
    """
    census, places = Census(), examiner.places
    pieces = list(cut(0, examiner.count, examiner.width))
    split: dict[int, list[Sources]] = {}
    entries: list[Entries] = []
    read, weighed, total = 0, 0, np.zeros(2)
    low, high = np.inf, -np.inf
    with progress.track("Verifying", examiner.count, "synapses") as step:
        results = over_threads(examiner.examine, pieces)
        for (start, stop), seen in zip(pieces, results, strict=True):
            census.found += seen.found
            census.histogram += seen.histogram
            entries.append(seen.entries)
            for neuron, sources in seen.split.items():
                split.setdefault(neuron, []).append(sources)
            census.found += _twins(split, places, stop)
            read, weighed, total = read + seen.read, weighed + seen.weighed, total + seen.total
            low, high = min(low, seen.low), max(high, seen.high)
            step(stop - start)
    census.figures = {"synapses": read, "chunks": len(pieces)}
    if weighed:
        census.figures["weight_range"] = [int(low), int(high)]
        census.figures["weight_mean"] = (total / weighed).tolist()
    if places.targets is not None:
        census.matrix = _matrix(entries, len(places.names))
    return census


def _twins(split: dict[int, list[Sources]], places: Places, until: int) -> Iterator[Finding]:
    """Sources that occur twice for a target whose synapses are in several pieces.

    Targets whose last synapse is before `until` are dealt with and dropped; those of which a piece
    could not be read are not judged.
    """
    for neuron in list(split):
        assert places.targets is not None
        start, stop = places.targets.synapse_of(np.array([neuron, neuron + 1])).tolist()
        if stop > until:
            continue
        sources = np.concatenate(split.pop(neuron))
        values, times = np.unique(sources, return_counts=True)
        if sources.size == stop - start and times.max() > 1:
            told = f"{places.neuron(neuron)} has neuron {values[times > 1][0]:,} as a source twice"
            yield Finding("double edge", f"synapses {start:,} to {stop - 1:,}", told)


def _matrix(entries: list[Entries], n: int) -> sp.csr_array:
    row, column, number = (
        np.concatenate([np.zeros(0, kind), *(entry[i] for entry in entries)])
        for i, kind in enumerate((np.int32, np.int32, np.int64))
    )
    return sp.csr_array((number, (row, column)), shape=(n, n))
