"""Wiring over every layout: exact in-degrees, allowed sources alone, the mix that was asked for."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_brains, drawn_layouts, make_brain
from scipy import stats

from dtbdask.errors import InputError
from dtbdask.graph.layouts import LAYOUTS, Layout, Motif
from dtbdask.graph.population import populate
from dtbdask.graph.wiring import Recipe

SEEDS = st.integers(0, 2**64 - 1)
CORTEX = [True, False, True, True, False]


def mixed_brain():
    """Five voxels, of which the second and the last lie below the cortex."""
    return make_brain(5).assign(is_cortex=("voxel", CORTEX))


def all_edges(populations, seed=0, weights=(0, 255)):
    """Target, source and weights of all synapses."""
    edges = Recipe.make(populations, seed, weights).wire(0, populations.n_neurons)
    return np.repeat(np.arange(populations.n_neurons), np.diff(edges.indptr)), edges


def check_laws(populations, target, edges):
    """In-degree, no double and no self edge, and only sources that the matrix allows."""
    n, of = populations.n_neurons, populations.population_of(0, populations.n_neurons)
    np.testing.assert_array_equal(np.diff(edges.indptr), populations.degree[of])
    pairs = target * n + edges.source
    assert np.unique(pairs).size == pairs.size
    assert (edges.source != target).all()
    allowed = populations.matrix().toarray() > 0
    assert allowed[of[target], of[edges.source]].all()


@given(brain=drawn_brains(), layout=drawn_layouts(), degree=st.integers(1, 3), seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_in_degrees_are_exact_without_double_or_self_edges(brain, layout, degree, seed):
    populations = populate(brain, 500, degree, layout, min_size=50)
    check_laws(populations, *all_edges(populations, seed))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_largest_feasible_in_degree_is_met_in_every_layout(layout):
    """Then some neurons hear all that they can."""
    brain = mixed_brain()
    with pytest.raises(InputError, match="use degree") as told:
        populate(brain, 500, 60_000, layout, min_size=6)
    most = int(str(told.value).split("use degree <= ")[1].split()[0].replace(",", ""))
    while True:
        try:
            populations = populate(brain, 500, most, layout, min_size=6)
            break
        except InputError:  # in-degrees are rounded down, so the advice may be one too much
            most -= 1
    check_laws(populations, *all_edges(populations))
    support = populations.matrix().toarray() > 0
    reach = support @ populations.size - np.diag(support)
    assert (reach - populations.degree).min() < 5


@given(brain=drawn_brains(), layout=drawn_layouts(), seed=SEEDS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_range_is_a_slice_of_the_whole(brain, layout, seed, data):
    populations = populate(brain, 500, 2, layout, min_size=50)
    recipe = Recipe.make(populations, seed)
    n, n_synapses = populations.n_neurons, populations.n_synapses
    whole = recipe.wire(0, n)
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start, n))
    part, low, high = recipe.wire(start, stop), whole.indptr[start], whole.indptr[stop]
    np.testing.assert_array_equal(part.indptr, whole.indptr[start : stop + 1] - low)
    np.testing.assert_array_equal(part.source, whole.source[low:high])
    np.testing.assert_array_equal(part.weight, whole.weight[low:high])
    low = data.draw(st.integers(0, n_synapses - 1))
    high = data.draw(st.integers(low + 1, n_synapses))
    source, weight = recipe.synapses(low, high)
    np.testing.assert_array_equal(source, whole.source[low:high])
    np.testing.assert_array_equal(weight, whole.weight[low:high])


OWN = Motif.from_counts(
    ("P", "B", "S"), (True, False, False), (70, 20, 10),
    ((30, 10, 5, 40), (20, 5, 5, 10), (25, 0, 0, 3)), ("P", "S"),
)  # fmt: skip
TWO = Layout(("E", "I", "P", "B", "S"), OWN, LAYOUTS["voxel"].cortex)


@pytest.mark.parametrize("layout", [*LAYOUTS, OWN, TWO], ids=[*LAYOUTS, "own", "two"])
def test_the_mix_of_sources_is_that_of_the_layout(layout):
    """Chi-square of every population's sources; small shares are counted together."""
    populations = populate(mixed_brain(), 60_000, 25, layout)
    of = populations.population_of(0, populations.n_neurons)
    target, edges = all_edges(populations, seed=4)
    n = populations.size.size
    found = np.bincount(of[target] * n + of[edges.source], minlength=n * n).reshape(n, n)
    expected = populations.matrix().toarray() * (populations.size * populations.degree)[:, None]
    assert not found[expected == 0].any()
    probability = []
    for row, meant in zip(found, expected, strict=True):
        common = meant >= 5
        parts = [np.append(x[common], x[~common].sum()) for x in (row, meant)]
        kept = parts[1] > 0
        probability.append(stats.chisquare(parts[0][kept], parts[1][kept]).pvalue)
    assert min(probability) > 1e-4
    assert stats.kstest(probability, "uniform").pvalue > 0.001


@pytest.mark.parametrize("layout", ["column", "mixed"])
def test_sources_are_uniform_within_each_population(layout):
    populations = populate(mixed_brain(), 30_000, 25, layout)
    _, edges = all_edges(populations, seed=5)
    hits = np.bincount(edges.source, minlength=populations.n_neurons)
    probability = []
    for first, size in zip(populations.first, populations.size, strict=True):
        mine = hits[first : first + size]
        if mine.sum() >= 5 * size:
            probability.append(stats.chisquare(mine).pvalue)
    assert len(probability) >= 12
    assert min(probability) > 1e-4


def test_the_excess_over_a_small_population_goes_to_the_others_by_their_shares(caplog):
    """The first two slots ask 30 % and 20 % of a third that has 8 neurons: each hears all 8."""
    motif = Motif(
        ("A", "B", "small"), (True, True, False), (0.5, 0.499, 0.001),
        ((0.5, 0.2, 0.3),) * 3, (0.0,) * 3, (0.0,) * 3,
    )  # fmt: skip
    populations = populate(make_brain(1), 8000, 100, motif)
    assert populations.size.tolist() == [4000, 3992, 8]
    assert "3 of 3 populations want more sources" in caplog.text
    assert "region 0 A first" in caplog.text
    target, edges = all_edges(populations, seed=1)
    check_laws(populations, target, edges)
    of = populations.population_of(0, populations.n_neurons)
    found = np.bincount(target * 3 + of[edges.source], minlength=24_000).reshape(-1, 3)
    assert (found[:7992, 2] == 8).all()
    assert (found[7992:, 2] == 7).all()  # not itself
    rest = found[:7992, :2].sum(axis=0)
    assert stats.binomtest(int(rest[0]), int(rest.sum()), 5 / 7).pvalue > 0.001


# Weights and seeds


@pytest.fixture(scope="module")
def column():
    return populate(make_brain(), 3000, 40, "column")


@pytest.mark.parametrize("one", [0, 7, 255])
def test_weights_may_all_be_the_same(column, one):
    _, edges = all_edges(column, weights=(one, one))
    assert edges.weight.dtype == np.uint8
    assert (edges.weight == one).all()


@pytest.mark.parametrize("bounds", [(0, 255), (0, 127), (64, 191), (3, 4), (10, 209), (0, 2)])
def test_weights_are_uniform_within_their_bounds_and_leave_the_sources_alone(column, bounds):
    low, high = bounds
    _, edges = all_edges(column, 9, bounds)
    np.testing.assert_array_equal(edges.source, all_edges(column, 9)[1].source)
    assert (edges.weight.min(), edges.weight.max()) == bounds
    for which in range(2):
        found = np.bincount(edges.weight[:, which] - low, minlength=high - low + 1)
        assert stats.chisquare(found).pvalue > 1e-4
    far = edges.weight > (low + high) / 2
    assert abs(np.corrcoef(far.T)[0, 1]) < 5 / np.sqrt(len(far))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((-1, 255), r"weights\[0\] is -1; expected 0 to 255"),
        ((0, 256), r"weights\[1\] is 256; expected 0 to 255"),
        ((200, 100), r"weights\[1\] is 100; expected 200 to 255"),
        ((0.5, 1), r"weights\[0\] is 0.5"),
        ((0, "much"), r"weights\[1\] is 'much'"),
    ],
)
def test_weights_that_make_no_sense_are_refused(column, weights, told):
    with pytest.raises(InputError, match=told):
        Recipe.make(column, 0, weights)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, None])
def test_a_seed_that_makes_no_sense_is_refused(column, seed):
    with pytest.raises(InputError, match=r"^seed is .*; expected"):
        Recipe.make(column, seed)


def test_a_recipe_travels_and_another_seed_makes_other_synapses(column):
    recipe = Recipe.make(column, 6)
    there = pickle.loads(pickle.dumps(recipe))
    one, same = recipe.wire(0, 500), there.wire(0, 500)
    np.testing.assert_array_equal(one.source, same.source)
    np.testing.assert_array_equal(one.weight, same.weight)
    other = Recipe.make(column, 7).wire(0, 500)
    assert (one.source != other.source).mean() > 0.98
    assert (one.weight != other.weight).mean() > 0.98


def test_a_recipe_knows_where_synapses_begin(column):
    recipe = Recipe.make(column, 0)
    indptr = recipe.wire(0, column.n_neurons).indptr
    np.testing.assert_array_equal(recipe.synapse_of(np.arange(column.n_neurons + 1)), indptr)
    assert recipe.n_neurons == column.n_neurons
    assert recipe.first_synapse[-1] == column.n_synapses == indptr[-1]
    for synapse in (0, 1, 40, int(indptr[-1]) - 1, *indptr[1:-1:97].tolist()):
        assert recipe.neuron_of(synapse) == np.searchsorted(indptr, synapse, side="right") - 1
