"""What a check of a network found: each fault with its place, and the figures it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse as sp

    from dtbdask.graph.wiring import Recipe

Ints = NDArray[np.int64]

SHOWN = 8
"""Findings of one check that are shown; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One fault."""

    check: str
    """What was checked."""
    place: str
    """Where: array, chunk, neurons, populations."""
    told: str
    """What is wrong there."""

    def __str__(self) -> str:
        return f"{self.check}: {self.place}: {self.told}"


@dataclass(frozen=True)
class Findings:
    """All that a check of a network found.

    Attributes
    ----------
    path : str
        What was checked.
    found : tuple of Finding
        The faults; none if all is well.
    figures : dict
        Numbers that the checks rest on: see `dtbdask.graph.checking.verify.verify`.
    matrix : (population, population) int64, sparse CSR, or None
        Synapses that each population (row) has from each (column), as counted; None if they could
        not be counted.
    """

    path: str
    found: tuple[Finding, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    matrix: sp.csr_array | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.found

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    def of(self, check: str) -> list[Finding]:
        """The faults that one check found."""
        return [finding for finding in self.found if finding.check == check]

    def to_dict(self) -> dict[str, Any]:
        """All but the matrix, as plain values that `json.dumps` takes."""
        found = [asdict(finding) for finding in self.found]
        return {"path": self.path, "ok": self.ok, "findings": found, **self.figures}

    def __str__(self) -> str:
        lines = [f"{self.path}: {_count(len(self.found), 'finding') if self.found else 'sound'}"]
        for check in dict.fromkeys(finding.check for finding in self.found):
            same = self.of(check)
            lines += [f"- {finding}" for finding in same[:SHOWN]]
            if len(same) > SHOWN:
                lines.append(f"- {check}: {len(same) - SHOWN:,} more")
        lines += [f"  {name.replace('_', ' ')}: {_shown(v)}" for name, v in self.figures.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Listed:
    """Where the synapses of each neuron begin, by a list; a `Recipe` tells the same of its own."""

    indptr: Ints

    def synapse_of(self, neuron: Ints) -> Ints:
        """First synapse of each neuron.

        Parameters
        ----------
        neuron : (neuron,) int64

        Returns
        -------
        (neuron,) int64
        """
        return self.indptr[neuron]

    def neuron_of(self, synapse: int) -> int:
        """Neuron that a synapse ends on."""
        return int(np.searchsorted(self.indptr, synapse, side="right")) - 1


@dataclass(frozen=True)
class Places:
    """Names of places in a network, as far as its tables can be read.

    Attributes
    ----------
    targets : Recipe, Listed or None
        Leads from synapses to neurons.
    first : (population_edge,) int64
        First neuron of each population, and the number of all.
    names : list of str
        Of the populations.
    """

    targets: Recipe | Listed | None = None
    first: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    names: list[str] = field(default_factory=list)

    def population(self, neuron: int) -> str:
        """Name of the population of a neuron."""
        return self.names[int(np.searchsorted(self.first[:-1], neuron, side="right")) - 1]

    def neuron(self, neuron: int) -> str:
        """A neuron with its population."""
        return f"neuron {neuron:,} of {self.population(neuron)}"

    def synapses(self, start: int, stop: int) -> str:
        """A range of synapses, with the neurons and populations that it ends on."""
        told = f"synapses {start:,} to {stop - 1:,}"
        if self.targets is None:
            return told
        low, high = (self.targets.neuron_of(synapse) for synapse in (start, stop - 1))
        names = dict.fromkeys([self.population(low), self.population(high)])
        return f"{told}, neurons {low:,} to {high:,}, {' to '.join(names)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
