"""Whether the tables of a network fit together: populations, their mixture, their parameters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.checking.findings import Finding
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.parameters import PARAMETERS, Parameters, check
from dtbdask.graph.population import MOST_NEURONS, Populations

TOLERANCE = 1e-6
"""Of a sum of shares."""

Ints = NDArray[np.int64]


def population_findings(
    populations: Populations, labels: int, slots: int, *, recipe: bool
) -> Iterator[Finding]:
    """Tell what is wrong with the table of populations.

    Parameters
    ----------
    populations : Populations
    labels, slots : int
        Number of voxels and of slots that have names.
    recipe : bool
        Whether synapses follow from the table: then each population has neurons and in-edges.
    """
    n = populations.size.size
    for name in ("voxel", "slot", "excitatory", "degree"):
        length = getattr(populations, name).size
        if length != n:
            yield _of(name, f"it has {length:,} entries, population/size has {n:,}")
    bounds: dict[str, tuple[int, int]] = {
        "voxel": (0, labels - 1),
        "slot": (0, slots - 1),
        "size": (2 if recipe else 0, MOST_NEURONS),
        "degree": (1 if recipe else 0, 2**16 - 1 if recipe else MOST_NEURONS),
    }
    for name, (low, high) in bounds.items():
        values = getattr(populations, name)
        wrong = np.flatnonzero((values < low) | (values > high))
        if wrong.size:
            p = int(wrong[0])
            told = f"population {p} has {values[p]:,}{_more(wrong)}; expected {low:,} to {high:,}"
            yield _of(name, told)
    if not 0 < populations.n_neurons <= MOST_NEURONS:
        yield _of("size", f"they add up to {populations.n_neurons:,} neurons; expected 1 to 2^32-1")


def _of(name: str, told: str) -> Finding:
    return Finding("populations", f"array 'population/{name}'", told)


def _more(wrong: Ints) -> str:
    return f" and {wrong.size - 1:,} more are wrong" if wrong.size > 1 else ""


def mixture_findings(mixture: Mixture, n_populations: int, *, recipe: bool) -> Iterator[Finding]:
    """Tell what is wrong with the shares of the in-edges.

    Parameters
    ----------
    mixture : Mixture
    n_populations : int
    recipe : bool
        Whether synapses follow from it; that of an imported network may be empty.
    """
    rows = {"": (n_populations, mixture.indptr, mixture.source.size),
            "far_": (mixture.far_indptr.size - 1, mixture.far_indptr, mixture.far_population.size),
            }  # fmt: skip
    sound = True
    for prefix, (n_rows, indptr, n) in rows.items():
        for told in _pointer_faults(indptr, n_rows, n):
            yield Finding("mixture", f"array 'mixture/{prefix}indptr'", told)
            sound = False
    lengths = {"table": mixture.source.size, "share": mixture.source.size,
               "far_share": mixture.far_population.size}  # fmt: skip
    if mixture.far_delay.size:
        lengths["far_delay"] = mixture.far_population.size
    for name, n in lengths.items():
        if getattr(mixture, name).size != n:
            told = f"it has {getattr(mixture, name).size:,} entries; expected {n:,}"
            yield Finding("mixture", f"array 'mixture/{name}'", told)
            sound = False
    if sound:
        yield from _term_faults(mixture, n_populations)
        yield from _share_faults(mixture, recipe)


def _pointer_faults(indptr: Ints, rows: int, entries: int) -> Iterator[str]:
    if indptr.size != rows + 1 or not indptr.size:
        yield f"it has {indptr.size:,} entries; expected {rows + 1:,}"
    elif indptr[0] != 0 or indptr[-1] != entries or (np.diff(indptr) < 0).any():
        yield f"it must rise from 0 to {entries:,}, the number of entries it points into"


def _term_faults(mixture: Mixture, n: int) -> Iterator[Finding]:
    n_tables = mixture.far_indptr.size - 1
    top = np.full(n_tables + 1, -1, np.int64)  # the last entry serves terms without a table
    filled = np.flatnonzero(np.diff(mixture.far_indptr))
    if filled.size:
        top[filled] = np.maximum.reduceat(
            mixture.far_population.astype(np.int64), mixture.far_indptr[filled]
        )
    wrong = np.flatnonzero((mixture.table < -1) | (mixture.table >= n_tables))
    if wrong.size:
        told = f"term {wrong[0]} names table {mixture.table[wrong[0]]}{_more(wrong)}; expected -1 "
        yield Finding("mixture", "array 'mixture/table'", f"{told}to {n_tables - 1}")
        return
    far = mixture.table >= 0
    highest = mixture.source + np.where(far, top[mixture.table], 0)
    wrong = np.flatnonzero((mixture.source < 0) | (highest >= n) | (far & (highest < 0)))
    if wrong.size or (mixture.far_population < 0).any():
        told = f"term {wrong[0]}" if wrong.size else "a far table"
        yield Finding(
            "mixture",
            "arrays 'mixture/source' and 'mixture/far_population'",
            f"{told} leads to a population{_more(wrong)} beyond the {n:,} there are",
        )


def _share_faults(mixture: Mixture, recipe: bool) -> Iterator[Finding]:
    for prefix, indptr in (("", mixture.indptr), ("far_", mixture.far_indptr)):
        share, place = getattr(mixture, f"{prefix}share"), f"array 'mixture/{prefix}share'"
        wrong = np.flatnonzero(~np.isfinite(share) | (share < 0))
        if wrong.size:
            told = f"entry {wrong[0]} is {share[wrong[0]]:g}{_more(wrong)}; shares are 0 or more"
            yield Finding("mixture", place, told)
            continue
        sums = np.zeros(indptr.size - 1)
        filled = np.flatnonzero(np.diff(indptr))
        if filled.size:
            sums[filled] = np.add.reduceat(share, indptr[filled])
        wrong = np.flatnonzero(abs(sums - 1) > TOLERANCE) if recipe else wrong
        if wrong.size:
            row = f"{'table' if prefix else 'population'} {wrong[0]}"
            told = f"those of {row} add up to {sums[wrong[0]]:.6g}{_more(wrong)}; they must make 1"
            yield Finding("mixture", place, told)


def indptr_findings(indptr: Ints, populations: Populations, largest: int) -> Iterator[Finding]:
    """Tell what is wrong with the in-degrees of an imported network.

    Parameters
    ----------
    indptr : (neuron_edge,) int64
        First synapse of each neuron.
    populations : Populations
    largest : int
        Largest in-degree, as the root attribute says.
    """
    place, n = "array 'synapse/indptr'", populations.n_neurons
    degree = np.diff(indptr)
    if indptr.size != n + 1:
        told = f"it has {indptr.size:,} entries; {n:,} neurons need {n + 1:,}"
        yield Finding("in-degree", place, told)
        return
    if indptr[0] != 0 or degree.min(initial=0) < 0:
        i = int(np.argmax(degree < 0))
        told = f"it starts at {indptr[0]:,}, and neuron {i:,} has {degree[i]:,} synapses"
        yield Finding("in-degree", place, f"{told}; it must rise from 0")
        return
    if degree.max(initial=0) != largest:
        told = f"the largest is {degree.max(initial=0):,}, the root attribute says {largest:,}"
        yield Finding("in-degree", place, told)
    filled = np.flatnonzero(populations.size)
    most = np.maximum.reduceat(degree, populations.first[filled])
    wrong = filled[most > populations.degree[filled]]
    if wrong.size:
        p = int(wrong[0])
        told = f"population {p} says {populations.degree[p]:,}, one of its neurons has more"
        yield Finding("in-degree", "array 'population/degree'", f"{told}{_more(wrong)}")


def parameter_findings(
    parameters: Parameters, size: Ints, arrays: dict[str, str] | None = None
) -> Iterator[Finding]:
    """Tell which parameters are beyond their bounds.

    Parameters
    ----------
    parameters : Parameters
    size : (population,) int64
        Neurons of each population.
    arrays : dict of str to str, optional
        Array that holds a parameter, by its usual name, where it is another.
    """
    sound = True
    for dimension, n in (("population", size.size), ("neuron", int(size.sum()))):
        for name, values in getattr(parameters, dimension).items():
            usual = f"{dimension}/parameter/{name}"
            place = f"array {(arrays or {}).get(usual, usual)!r}"
            try:
                if values.shape != (n,):
                    raise InputError(f"{name} has shape {values.shape}; expected ({n},)")
                check(name, values, n, dimension)
            except InputError as error:
                yield Finding("parameters", place, str(error))
                sound = False
    if sound:
        yield from reset_findings(parameters, size)


def reset_findings(parameters: Parameters, size: Ints) -> Iterator[Finding]:
    """Tell where a reset potential is not below the threshold.

    Parameters
    ----------
    parameters : Parameters
    size : (population,) int64
        Neurons of each population.
    """
    names = ("v_reset", "v_th")
    population = [parameters.population[name] for name in names]
    pairs = {"population": population}
    if set(names) & set(parameters.neuron):
        pairs["neuron"] = [of_neurons(parameters, name, size) for name in names]
    for dimension, (reset, threshold) in pairs.items():
        wrong = np.flatnonzero(reset >= threshold)
        if wrong.size:
            i = int(wrong[0])
            told = f"v_reset is {reset[i]:g} mV, not below its v_th of {threshold[i]:g} mV"
            yield Finding("parameters", f"{dimension} {i:,}", f"{told}{_more(wrong)}")


def of_neurons(parameters: Parameters, name: str, size: Ints) -> NDArray[np.float64]:
    """Value of a parameter for each neuron.

    Parameters
    ----------
    parameters : Parameters
    name : str
        One of `PARAMETERS`.
    size : (population,) int64
        Neurons of each population.

    Returns
    -------
    (neuron,) float64
    """
    assert name in PARAMETERS
    if name in parameters.neuron:
        return parameters.neuron[name]
    return np.repeat(parameters.population[name], size)
