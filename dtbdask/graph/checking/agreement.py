"""Whether counted synapses agree with what a recipe makes likely.

The in-edges of a population are independent draws, so the number that comes from another one is
binomial with the share of the recipe (Walker's alias tables are exact to 32 bits), unless the other
population is so small that a neuron uses it up. The weights are uniform. An event as unlikely as
`FALSE_ALARM`, over all entries or values together, is taken for a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import stats

from dtbdask.graph.checking.findings import Finding
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.wiring import Recipe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE_ALARM = 1e-6
"""Probability that a sound network has a finding in one of the tests here."""
EXPECTED = 10
"""Synapses that an entry must be expected to have, and to lack, to be tested."""
ENTRIES = 1 << 22
"""Entries of the matrix of shares that are held at a time."""
CANDIDATE_Z = 4.0
"""Entries less far off are never a finding, so their exact probability is not needed."""


class _Entry(NamedTuple):
    """An entry of the matrix of counts, beside what is expected of it."""

    z: float
    target: int
    source: int
    counted: int
    total: int
    share: float

    @property
    def told(self) -> str:
        expected = self.total * self.share
        return f"{self.counted:,} synapses, {expected:,.1f} expected, z = {self.z:.1f}"


@dataclass
class _Census:
    """What was compared, and the entries that are far off."""

    tested: int = 0
    crowded: int = 0
    largest: _Entry | None = None
    candidates: list[_Entry] = field(default_factory=list)


def matrix_findings(
    matrix: sp.csr_array, recipe: Recipe, names: list[str], figures: dict[str, Any]
) -> Iterator[Finding]:
    """Compare counted synapses between populations with the recipe's shares.

    Parameters
    ----------
    matrix : (population, population) int64, sparse CSR
        Counts; row = target.
    recipe : Recipe
    names : list of str
        Of the populations.
    figures : dict
        Is given `matrix_entries` (tested), `matrix_largest_z` and the entry that has it, the
        threshold on abs(z) and its false alarm probability, and `matrix_crowded_rows`, populations
        left out because the sources of a neuron may be used up.
    """
    census = _Census()
    for low, high in _batches(recipe.mixture):
        shares = _rows(recipe.mixture, low, high).matrix()[low:high]
        counts = sp.csr_array(matrix[low:high])
        counted, foreign = _counted(counts, shares)
        yield from _foreign(counts, foreign, low, names)
        total = np.asarray(counts.sum(axis=1)).ravel()
        _compare(census, counted, total, shares, low, recipe)
    figures |= {"matrix_entries": census.tested, "matrix_crowded_rows": census.crowded}
    if census.largest is None:
        return

    def place(entry: _Entry) -> str:
        return f"{names[entry.target]} from {names[entry.source]}"

    level = FALSE_ALARM / census.tested
    figures |= {
        "matrix_largest_z": census.largest.z,
        "matrix_largest_entry": f"{place(census.largest)}: {census.largest.told}",
        "matrix_threshold_z": float(stats.norm.isf(level / 2)),
        "false_alarm_probability": FALSE_ALARM,
    }
    for entry in census.candidates:
        drawn = stats.binom(entry.total, entry.share)
        if 2 * min(drawn.cdf(entry.counted), drawn.sf(entry.counted - 1)) < level:
            yield Finding("matrix", place(entry), entry.told)


def _batches(mixture: Mixture) -> Iterator[tuple[int, int]]:
    """Ranges of populations whose shares are held together."""
    length = np.ones(mixture.source.size, np.int64)
    far = mixture.table >= 0
    length[far] = np.diff(mixture.far_indptr)[mixture.table[far]]
    until = np.concatenate([[0], np.cumsum(length)])[mixture.indptr]
    edges = np.searchsorted(until, np.arange(0, until[-1] + ENTRIES, ENTRIES))
    edges = np.unique(np.concatenate([np.minimum(edges, until.size - 1), [until.size - 1]]))
    yield from pairwise(edges.tolist())


def _rows(mixture: Mixture, low: int, high: int) -> Mixture:
    """The mixture of the populations `low` to `high`; the others have no terms."""
    start, stop = mixture.indptr[[low, high]]
    table = mixture.table[start:stop].copy()
    used, index = np.unique(table[table >= 0], return_inverse=True)
    table[table >= 0] = index
    length = np.diff(mixture.far_indptr)[used]
    far_indptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    entry = np.arange(far_indptr[-1]) + np.repeat(
        mixture.far_indptr[used] - far_indptr[:-1], length
    )
    return replace(
        mixture, indptr=np.clip(mixture.indptr, start, stop) - start, table=table,
        source=mixture.source[start:stop], share=mixture.share[start:stop], far_indptr=far_indptr,
        far_population=mixture.far_population[entry], far_share=mixture.far_share[entry],
    )  # fmt: skip


def _counted(counts: sp.csr_array, shares: sp.csr_array) -> tuple[Ints, Ints]:
    """Counts at the entries of the shares, and the entries that only the counts have."""
    values = np.zeros(shares.nnz, np.int64)
    keys, wanted = _keys(shares), _keys(counts)
    at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    hit = (keys[at] == wanted) & (shares.data[at] > 0)
    values[at[hit]] = counts.data[hit]
    return values, np.flatnonzero(~hit)


def _foreign(counts: sp.csr_array, entries: Ints, low: int, names: list[str]) -> Iterator[Finding]:
    """Tell of entries that the recipe does not have, by target population."""
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[entries]
    populations, begin = np.unique(row, return_index=True)
    for p, here in zip(populations, np.split(entries, begin[1:]), strict=False):
        first = names[counts.indices[here[0]]]
        told = (
            f"{counts.data[here].sum():,} synapses from {here.size:,} populations that the recipe "
            f"does not let it hear, {first} first"
        )
        yield Finding("matrix", names[low + p], told)


def _keys(matrix: sp.csr_array) -> Ints:
    """Entries as ascending numbers."""
    if not matrix.has_sorted_indices:
        matrix.sort_indices()
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys: Ints = row * matrix.shape[1] + matrix.indices
    return keys


def _compare(
    census: _Census, counted: Ints, synapses: Ints, shares: sp.csr_array, low: int, recipe: Recipe
) -> None:
    """Add what the populations from `low` on have to tell."""
    row = np.repeat(np.arange(shares.shape[0]), np.diff(shares.indptr))
    crowded = _crowded(shares, row, low, recipe)
    census.crowded += int(crowded.sum())
    total, share = synapses[row], shares.data
    expected = total * share
    tested = np.flatnonzero(~crowded[row] & (np.minimum(expected, total - expected) >= EXPECTED))
    if not tested.size:
        return
    z = (counted - expected)[tested] / np.sqrt(expected * (1 - share))[tested]
    census.tested += z.size
    far = np.append(np.flatnonzero(abs(z) > CANDIDATE_Z), np.argmax(abs(z)))
    entries = [
        _Entry(float(z[i]), low + int(row[e]), int(shares.indices[e]), int(counted[e]),
               int(total[e]), float(share[e]))
        for i, e in zip(far, tested[far], strict=True)
    ]  # fmt: skip
    census.candidates += entries[:-1]
    if census.largest is None or abs(entries[-1].z) > abs(census.largest.z):
        census.largest = entries[-1]


def _crowded(shares: sp.csr_array, row: Ints, low: int, recipe: Recipe) -> NDArray[np.bool_]:
    """Which populations may lose synapses because a neuron used a source population up.

    Chernoff: Bin(d, s) reaches k > d s with probability at most (e d s / k)^k exp(-d s). Times all
    synapses it bounds how many are drawn from elsewhere; a population where half of one may be is
    crowded.
    """
    target = low + row
    degree = recipe.degree[target].astype(np.float64)
    k = recipe.size[shares.indices] - (target == shares.indices) + 1.0
    mean = degree * shares.data
    some = np.flatnonzero((k <= degree) & (mean > 0))
    k, mean = k[some], mean[some]
    bound = np.where(mean < k, np.exp(k * (1 + np.log(mean / k)) - mean), 1.0)
    moved = np.zeros(shares.shape[0])
    np.add.at(moved, row[some], bound * degree[some] * recipe.size[target[some]])
    crowded: NDArray[np.bool_] = moved > 0.5
    return crowded


def weight_findings(count: Ints, weights: tuple[int, int]) -> Iterator[Finding]:
    """Compare the counted values of weights with the uniform ones of a recipe.

    Parameters
    ----------
    count : (pair, value) int64
        Weights of each value, 0 to 255.
    weights : (int, int)
        Smallest and largest weight; others are told of elsewhere.
    """
    low, high = weights
    drawn = np.bincount(low + (np.arange(256) * (high - low + 1) >> 8), minlength=256) / 256
    right = np.flatnonzero(drawn)
    for pair, counted in enumerate(count[:, right]):
        expected = counted.sum() * drawn[right]
        if right.size == 1 or expected.min() < EXPECTED:
            continue
        chi2 = float(((counted - expected) ** 2 / expected).sum())
        p = float(stats.chi2.sf(chi2, right.size - 1))
        if p < FALSE_ALARM / len(count):
            mean, meant = counted @ right / counted.sum(), drawn[right] @ right
            told = (
                f"they are not uniform on {low} to {high}: mean {mean:.2f}, {meant:.2f} expected; "
                f"chi-squared {chi2:,.1f} of {right.size - 1} degrees of freedom, p = {p:.1g}"
            )
            yield Finding("weights", f"weight {pair} of the pairs", told)
