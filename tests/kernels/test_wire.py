"""Wiring: every neuron has exactly its in-degree, no source twice, and any part is a slice."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_populations, make_network
from scipy import stats

from dtbdask import rng
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.population import Populations
from dtbdask.graph.wiring import Recipe
from dtbdask.kernels import Features, cpu
from dtbdask.rng import Purpose
from dtbdask.sim.edges import collect

SEEDS = st.integers(0, 2**64 - 1)


def recipe_of(size, degree, matrix, seed=0):
    n = len(size)
    return Recipe.make(
        Populations(
            voxel=np.arange(n), slot=np.zeros(n, np.int64), excitatory=np.ones(n, bool),
            size=np.array(size), degree=np.full(n, degree, np.int32),
            mixture=Mixture.direct(sp.csr_array(np.array(matrix, float))),
        ),
        seed,
    )  # fmt: skip


def wired_as_meant(recipe, target):
    """In-edges of one neuron, by the text of `kernels.cpu_wire`, slowly."""
    own = int(np.searchsorted(recipe.first, target, side="right")) - 1
    d, m = int(recipe.degree[own]), recipe.mixture

    def room(p):
        return int(recipe.size[p]) - (p == own)

    def column(word, indptr, row, alias):
        low, high = indptr[row], indptr[row + 1]
        whole, part = divmod(int(word) * int(high - low), 2**32)
        threshold, other = alias
        return int(low + (whole if part < threshold[low + whole] else other[low + whole]))

    of, at, weight, kept = [None] * d, [0] * d, [None] * d, {}
    for turn in range(32):
        lost, before = [k for k in range(d) if k not in kept], dict(kept)
        for k in lost:
            words = rng.words(recipe.seed, Purpose.WIRE, np.array([target]), k + turn * 2**24)[0]
            used = sum(of[other] == of[k] for other in before)
            if of[k] is None or used >= room(of[k]):
                term = column(words[0], m.indptr, own, recipe.near)
                of[k] = int(m.source[term])
                if m.table[term] >= 0:
                    entry = column(words[3], m.far_indptr, m.table[term], recipe.far)
                    of[k] += int(m.far_population[entry])
            p = of[k]
            at[k] = int(recipe.first[p]) + int(words[1]) * room(p) // 2**32
            at[k] += p == own and at[k] >= target
            weight[k] = int(words[2]) & 255, int(words[2]) >> 8 & 255
            if at[k] not in [at[j] for j in kept]:
                kept[k] = turn
        if len(kept) == d:
            break
    return [at[k] if k in kept else None for k in range(d)], weight


def check_laws(edges, populations, start, stop):
    """In-degree, no double and no self edge, and only sources that the matrix allows."""
    of = populations.population_of(0, populations.n_neurons)
    np.testing.assert_array_equal(np.diff(edges.indptr), populations.degree[of[start:stop]])
    allowed = populations.matrix().toarray() > 0
    for k, target in enumerate(range(start, stop)):
        source = edges.source[edges.indptr[k] : edges.indptr[k + 1]]
        assert np.unique(source).size == source.size
        assert target not in source
        assert allowed[of[target], of[source]].all()


@given(populations=drawn_populations(), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_in_degrees_are_exact_without_double_or_self_edges(populations, seed):
    edges = Recipe.make(populations, seed).wire(0, populations.n_neurons)
    check_laws(edges, populations, 0, populations.n_neurons)


@given(populations=drawn_populations(), seed=SEEDS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_range_of_neurons_or_synapses_is_a_slice_of_the_whole(populations, seed, data):
    recipe, n = Recipe.make(populations, seed), populations.n_neurons
    whole = recipe.wire(0, n)
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    part = recipe.wire(start, stop)
    low, high = whole.indptr[start], whole.indptr[stop]
    np.testing.assert_array_equal(part.indptr, whole.indptr[start : stop + 1] - low)
    np.testing.assert_array_equal(part.source, whole.source[low:high])
    np.testing.assert_array_equal(part.weight, whole.weight[low:high])
    low = data.draw(st.integers(0, populations.n_synapses - 1))
    high = data.draw(st.integers(low + 1, populations.n_synapses))
    source, weight = recipe.synapses(low, high)
    np.testing.assert_array_equal(source, whole.source[low:high])
    np.testing.assert_array_equal(weight, whole.weight[low:high])
    np.testing.assert_array_equal(recipe.synapse_of(np.arange(n + 1)), whole.indptr)
    assert recipe.neuron_of(low) == np.searchsorted(whole.indptr, low, side="right") - 1


@given(populations=drawn_populations(), seed=SEEDS, data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_synapses_are_those_of_the_text(populations, seed, data):
    """Also after collisions; only what 32 rounds left over is anybody's free neuron."""
    recipe = Recipe.make(populations, seed)
    target = data.draw(st.integers(0, populations.n_neurons - 1))
    edges = recipe.wire(target, target + 1)
    source, weight = wired_as_meant(recipe, target)
    for k, meant in enumerate(source):
        assert meant in (None, edges.source[k])
    np.testing.assert_array_equal(edges.weight, weight)


@pytest.mark.parametrize("n", [1, 2, 5, 300])
def test_alias_tables_reproduce_the_probabilities(n):
    """In integers: what a column keeps and what others give it comes to its share."""
    draw = np.random.default_rng(n)
    rows = [draw.dirichlet(np.full(n, alpha)) for alpha in (0.05, 1.0, 50.0)]
    probability = np.concatenate(rows)
    indptr = np.arange(4) * n
    threshold, other = np.empty(3 * n, np.uint32), np.empty(3 * n, np.int32)
    cpu.alias(indptr, probability, threshold, other)
    for row in range(3):
        here = slice(row * n, (row + 1) * n)
        mass = [0] * n
        for c, (kept, alternative) in enumerate(
            zip(threshold[here].tolist(), other[here].tolist(), strict=True)
        ):
            mass[c] += kept
            mass[alternative] += 2**32 - kept
        assert sum(mass) == n * 2**32
        np.testing.assert_allclose(np.array(mass) / 2**32 / n, rows[row], rtol=0, atol=2.0**-31)


def pvalue(observed, expected):
    return stats.chisquare(observed, expected).pvalue


MIX = np.array([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [1 / 3, 1 / 3, 1 / 3]])


@pytest.fixture(scope="module")
def large():
    """Populations large against the in-degree: (recipe, in-edges of all)."""
    recipe = recipe_of([4000, 5000, 3000], 50, MIX, seed=11)
    return recipe, recipe.wire(0, recipe.n_neurons)


def test_the_mix_of_populations_is_that_of_the_matrix(large):
    recipe, edges = large
    source = np.searchsorted(recipe.first, edges.source, side="right") - 1
    for p in range(3):
        low = recipe.first_synapse[p]
        found = np.bincount(source[low : recipe.first_synapse[p + 1]], minlength=3)
        assert pvalue(found, found.sum() * MIX[p]) > 0.001


def test_sources_are_uniform_within_a_population(large):
    recipe, edges = large
    hits = np.bincount(edges.source, minlength=recipe.n_neurons)
    for p in range(3):
        mine = hits[recipe.first[p] : recipe.first[p] + recipe.size[p]]
        assert pvalue(mine, np.full(mine.size, mine.mean())) > 0.001


def test_weights_are_uniform_bytes_and_a_pair_is_independent(large):
    _, edges = large
    for which in range(2):
        found = np.bincount(edges.weight[:, which], minlength=256)
        assert pvalue(found, np.full(256, found.mean())) > 0.001
    joint = np.bincount((edges.weight[:, 0] >> 4) * 16 + (edges.weight[:, 1] >> 4), minlength=256)
    assert pvalue(joint, np.full(256, joint.mean())) > 0.001


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_in_a_crowded_population_every_source_is_equally_likely(degree):
    """Also where nearly all neurons are taken and most draws collide."""
    n = 7
    hits = np.zeros((n, n))
    for seed in range(2000):
        edges = recipe_of([n], degree, [[1.0]], seed).wire(0, n)
        np.add.at(hits, (np.repeat(np.arange(n), degree), edges.source), 1)
    assert (np.diag(hits) == 0).all()
    share = degree / (n - 1)
    expected = np.full(n * (n - 1), 2000 * share)
    observed = hits[~np.eye(n, dtype=bool)]
    statistic = ((observed - expected) ** 2 / (expected * max(1 - share, 1e-9))).sum()
    freedom = n * (n - 2)  # each target's row has a fixed sum
    assert stats.chi2.sf(statistic * (n - 2) / (n - 1), freedom) > 0.001


def test_another_seed_makes_nearly_every_synapse_another():
    one, other = (
        recipe_of([900, 800], 40, [[0.5, 0.5]] * 2, seed).wire(0, 1700) for seed in (1, 2)
    )
    assert (one.source != other.source).mean() > 0.99
    assert (one.weight != other.weight).mean() > 0.99


@given(
    start=st.integers(0, 596),
    length=st.integers(1, 597),
    receptors=st.tuples(*[st.booleans()] * 4),
    wide=st.booleans(),
    parts=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_the_edges_of_a_block_are_its_in_edges_by_source(start, length, receptors, wide, parts):
    """Count and place lose nothing: the same (source, target, kept weights), row by row."""
    network = make_network(wide=wide)
    stop = min(start + length, network.n_neurons)
    bounds = np.linspace(0, stop - start, parts + 1).astype(np.int64)
    edges = collect(
        network, np.array([[start, stop]]), bounds, Features(receptors, False, False, ())
    )
    meant = network.wiring.in_edges(start, stop)
    target = np.repeat(np.arange(stop - start), np.diff(meant.indptr))
    outside = np.unique(meant.source[(meant.source < start) | (meant.source >= stop)])
    np.testing.assert_array_equal(edges.heard, outside)
    row_neuron = np.concatenate([np.arange(start, stop), outside])
    excites = network.populations.excitatory[
        np.searchsorted(network.populations.first, row_neuron, side="right") - 1
    ]
    np.testing.assert_array_equal(edges.inhibitory, ~excites)
    found = []
    for part in range(parts):
        for row in range(row_neuron.size):
            at = slice(edges.indptr[part, row], edges.indptr[part, row + 1])
            ends, weight = edges.target[at], edges.weight
            weight = (ends & 255)[:, None] if weight is None else weight[at]
            ends = ends >> 8 if edges.weight is None else ends
            assert ((ends >= bounds[part]) & (ends < bounds[part + 1])).all()
            on = [k for k in range(2) if receptors[2 * (not excites[row]) + k]]
            found += [
                (row_neuron[row], t, *w[: len(on)]) for t, w in zip(ends, weight, strict=True)
            ]
            assert not weight[:, len(on) :].any()
    kinds = network.populations.excitatory[network.populations.population_of(0, network.n_neurons)]
    expected = [
        (s, t, *(w[k] for k in range(2) if receptors[2 * (not kinds[s]) + k]))
        for s, t, w in zip(meant.source, target, meant.weight, strict=True)
    ]
    assert sorted(tuple(map(int, edge)) for edge in found) == sorted(
        tuple(map(int, edge)) for edge in expected
    )
