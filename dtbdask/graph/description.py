"""What a network is: its figures, its slots, and the parameters that are not at their default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.mixture import Mixture
from dtbdask.graph.parameters import PARAMETERS

if TYPE_CHECKING:
    from dtbdask.graph.network import Network

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slot:
    """The populations that share a place in their voxels.

    Attributes
    ----------
    name : str
    sign : str
        "E", "I", or "E, I" where some excite and some inhibit.
    populations, neurons : int
    size : (int, int, int)
        Smallest, median and largest number of neurons.
    degree : (int, int)
        Smallest and largest in-degree; of an imported network of the largest of each population.
    """

    name: str
    sign: str
    populations: int
    neurons: int
    size: tuple[int, int, int]
    degree: tuple[int, int]


@dataclass(frozen=True)
class Departure:
    """A parameter that is not everywhere at its default.

    Attributes
    ----------
    name, unit : str
    default : float
    slots : tuple of (str, float, float)
        Slots that share a range, and the range of the populations' values.
    neuron : (float, float, float) or None
        Smallest, median and largest value by neuron, which replace those of the populations.
    """

    name: str
    unit: str
    default: float
    slots: tuple[tuple[str, float, float], ...]
    neuron: tuple[float, float, float] | None


@dataclass(frozen=True)
class Description:
    """What a network is.

    Attributes
    ----------
    figures : dict
        See `figures`.
    slots : tuple of Slot
    departures : tuple of Departure
    history : tuple of dict
        Modifications, oldest first.
    """

    figures: dict[str, Any]
    slots: tuple[Slot, ...]
    departures: tuple[Departure, ...]
    history: tuple[Mapping[str, Any], ...]


def figures(network: Network) -> dict[str, Any]:
    """What a reader wants to know first, as plain values: sizes, recipe and origin.

    Parameters
    ----------
    network : Network
    """
    size, about = network.populations.size, network.attributes
    layout = about.get("layout", "imported")
    told = {
        "path": network.path or "in memory",
        "neurons": network.n_neurons,
        "synapses": network.n_synapses,
        "voxels": len(network.labels),
        "populations": int(size.size),
        "population_size": [int(size.min()), int(np.median(size)), int(size.max())],
        "in_degree": [int(network.populations.degree.min()), int(network.populations.degree.max())],
        "layout": layout if isinstance(layout, str) else "own motif",
        "seed": about.get("seed"),
        "synapses_are": type(network.wiring).__name__.lower(),
        "long_range_share": _long_range(network),
        "delay_steps": _delays(network),
        "weight_scale": float(network.wiring.weight_scale),
        "bytes_on_disk": _on_disk(network.path),
        "source": about.get("source", ""),
        "made": about.get("made", ""),
    }
    optional = {
        "versions": about.get("versions"), "members": about.get("members"),
        "gamma": about.get("gamma"), "modified": len(about.get("modified", [])),
        "lesions": len(about.get("lesions", [])),
    }  # fmt: skip
    return told | {name: value for name, value in optional.items() if value}


def describe(network: Network) -> Description:
    """All that `dtbdask.graph.summary` shows of a network.

    Parameters
    ----------
    network : Network
    """
    return Description(
        figures(network),
        tuple(_slots(network)),
        tuple(_departures(network)),
        tuple(network.attributes.get("modified", ())),
    )


def _long_range(network: Network) -> float | None:
    """Share of the synapses whose source lies in another voxel; None if there is no recipe."""
    table, mixture = network.populations, network.populations.mixture
    if not mixture.share.size:
        return None
    away = mixture.table >= 0
    near = np.flatnonzero(~away)
    target = mixture.population
    away[near] = table.voxel[mixture.source[near]] != table.voxel[target[near]]
    synapses = (table.size * table.degree)[target] * mixture.share
    return float(synapses[away].sum() / synapses.sum())


def _delays(network: Network) -> list[float] | None:
    """Smallest, mean and largest delay of long-range synapses in steps; None: all are one step."""
    table, mixture = network.populations, network.populations.mixture
    if not mixture.far_delay.size:
        return None
    far = mixture.table >= 0
    synapses = (table.size * table.degree)[mixture.population[far]] * mixture.share[far]
    mean = _means(mixture)[mixture.table[far]]
    average = float(synapses @ mean / synapses.sum())
    return [float(mixture.far_delay.min()), average, float(mixture.far_delay.max())]


def _means(mixture: Mixture) -> Floats:
    """Mean delay of each far table."""
    delay = mixture.far_delay * mixture.far_share
    means: Floats = np.add.reduceat(delay, mixture.far_indptr[:-1])
    return means


def _on_disk(path: str) -> int:
    """Bytes of all files below a folder; those that vanish meanwhile do not count."""
    total, folders = 0, [path] if path else []
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _slots(network: Network) -> Iterator[Slot]:
    table = network.populations
    for s in np.unique(table.slot):
        at = table.slot == s
        size, degree = table.size[at], table.degree[at]
        signs = [name for name, sign in (("E", True), ("I", False))
                 if (table.excitatory[at] == sign).any()]  # fmt: skip
        yield Slot(
            network.slots[s], ", ".join(signs), int(at.sum()), int(size.sum()),
            (int(size.min()), int(np.median(size)), int(size.max())),
            (int(degree.min()), int(degree.max())),
        )  # fmt: skip


def _departures(network: Network) -> Iterator[Departure]:
    table, now = network.populations, network.parameters
    slots = {network.slots[s]: np.flatnonzero(table.slot == s) for s in np.unique(table.slot)}
    for name, parameter in PARAMETERS.items():
        values, own = now.population[name], now.neuron.get(name)
        if own is None and (values == parameter.default).all():
            continue
        ranges: dict[tuple[float, float], list[str]] = {}
        for slot, at in slots.items():
            ends = float(values[at].min()), float(values[at].max())
            ranges.setdefault(ends, []).append(slot)
        shared = tuple((", ".join(names), *ends) for ends, names in ranges.items())
        if len(shared) == 1:
            shared = (("all", *shared[0][1:]),)
        neuron = None
        if own is not None:
            neuron = float(own.min()), float(np.median(own)), float(own.max())
        yield Departure(name, parameter.unit, parameter.default, shared, neuron)
