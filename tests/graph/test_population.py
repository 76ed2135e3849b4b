"""Populations follow from connectome and layout by formula, or are refused in words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_brains, drawn_layouts, make_brain
from scipy import stats

from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import InputError
from dtbdask.graph.layouts import LAYOUTS, layout_of
from dtbdask.graph.population import LONGEST_DELAY, populate
from dtbdask.graph.wiring import Recipe

REGIONS = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "DTI_voxel_networks_sum_1204.mat"
)


@given(brain=drawn_brains(), neurons=st.integers(200, 5000), degree=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_the_matrix_is_the_formula_of_the_voxel_layout(brain, neurons, degree):
    """P[(v,a),(u,b)] = d_vu L[a,b] + C[v,u] L[a,outer] w[b]; sizes int(g s N)."""
    made = populate(brain, neurons, degree, "voxel")
    fibres, grey = (
        brain.connection.values,
        brain.grey_matter.values / brain.grey_matter.values.sum(),
    )
    n, matrix = grey.size, made.matrix()
    local, outer, size_share = np.array([[4, 1], [4, 1]]) / 7, 2 / 7, (0.8, 0.2)
    for v in range(n):
        row = np.where(np.arange(n) == v, 0, fibres[v]) if n > 1 else np.ones(1)
        for a in range(2):
            p = 2 * v + a
            assert (made.voxel[p], made.slot[p], made.excitatory[p]) == (v, a, a == 0)
            assert made.size[p] == int(grey[v] * size_share[a] * neurons)
            assert made.degree[p] == degree
            for u in range(n):
                for b in range(2):
                    meant = (u == v) * local[a, b] + row[u] / row.sum() * outer * (b == 0)
                    assert matrix[p, 2 * u + b] == pytest.approx(meant, abs=1e-14)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    assert (matrix.data > 0).all()
    assert made.n_neurons == made.size.sum() <= neurons
    assert made.n_synapses == made.n_neurons * degree
    owner = np.repeat(np.arange(2 * n), made.size)
    np.testing.assert_array_equal(made.population_of(0, made.n_neurons), owner)
    np.testing.assert_array_equal(made.population_of(7, 90), owner[7:90])
    np.testing.assert_array_equal(made.first, np.searchsorted(owner, np.arange(2 * n)))


def test_a_sole_voxel_is_its_own_outside():
    alone = populate(make_brain(1), 100, 5, "voxel")
    np.testing.assert_allclose(alone.matrix().toarray(), [[6 / 7, 1 / 7]] * 2)


def normalised(brain):
    """Fibre counts by rows that sum to one, dense."""
    fibres = brain.connection.values
    if len(fibres) == 1:
        return np.ones((1, 1))
    others = np.where(np.eye(len(fibres), dtype=bool), 0.0, fibres)
    return others / others.sum(axis=1, keepdims=True)


def meant_of(brain, layout):
    """Voxel and place of each population, motif of each voxel, and the matrix, entry by entry."""
    is_cortex = brain.is_cortex.values
    motif = [layout.cortex if c or not layout.subcortex else layout.subcortex for c in is_cortex]
    where = [(v, a) for v in range(is_cortex.size) for a in range(len(motif[v].slots))]
    shares = normalised(brain)
    matrix = [
        [
            (motif[v].local[a][b] if u == v else 0.0)
            + shares[v, u] * motif[v].outer[a] * motif[u].long_range[b]
            for u, b in where
        ]
        for v, a in where
    ]
    return where, motif, np.array(matrix)


@given(brain=drawn_brains(), layout=drawn_layouts(), neurons=st.integers(200, 5000),
       degree=st.integers(1, 3))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_every_layout_follows_its_formulas(brain, layout, neurons, degree):
    """P[(v,a),(u,b)] = d_vu L[a,b] + C[v,u] L[a,outer] w[b]; int(g s N); int(d scale), 1 at least.

    Motifs are of one's own too, and u may be of another kind than v.
    """
    made = populate(brain, neurons, degree, layout, min_size=50)
    where, motif, matrix = meant_of(brain, layout)
    grey = brain.grey_matter.values / brain.grey_matter.values.sum()
    for p, (v, a) in enumerate(where):
        assert made.voxel[p] == v
        assert layout.slots[made.slot[p]] == motif[v].slots[a]
        assert made.excitatory[p] == motif[v].excitatory[a]
        assert made.size[p] == max(int(grey[v] * motif[v].size_share[a] * neurons), 50)
        assert made.degree[p] == max(int(degree * motif[v].degree_scale[a]), 1)
    found = made.matrix()
    np.testing.assert_allclose(found.toarray(), matrix, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert (found.data > 0).all()
    assert found.shape == (made.size.size,) * 2
    assert made.n_synapses == (made.size * made.degree).sum()


def sources_between_voxels(made):
    """Slots that long-range axons come from, by their names' kind."""
    matrix = made.matrix().tocoo()
    row, column = matrix.coords
    between = made.voxel[row] != made.voxel[column]
    return set(made.slot[column[between]].tolist())


@pytest.mark.parametrize(
    ("name", "leaving"),
    [
        ("voxel", {"E"}),
        ("column", {"L2/3E", "L4E", "L5E", "L6E"}),
        ("column-l5", {"L5E"}),
        ("mixed", {"L5E", "E"}),
        ("homogeneous", set()),
    ],
)
@pytest.mark.parametrize("cortex", [[True, True, False], [False, True, True]], ids=str)
def test_who_projects_between_voxels(name, leaving, cortex):
    brain = make_brain().assign(is_cortex=("voxel", cortex))
    found = sources_between_voxels(populate(brain, 20_000, 10, name))
    assert {LAYOUTS[name].slots[slot] for slot in found} == leaving


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("cortex", [True, False])
def test_a_sole_voxel_of_any_layout_is_its_own_outside(name, cortex):
    alone = populate(make_brain(1).assign(is_cortex=("voxel", [cortex])), 1000, 5, name)
    layout = layout_of(name)
    motif = layout.cortex if cortex or not layout.subcortex else layout.subcortex
    meant = np.array(motif.local) + np.outer(motif.outer, motif.long_range)
    np.testing.assert_allclose(alone.matrix().toarray(), meant, atol=1e-15)
    np.testing.assert_allclose(meant.sum(axis=1), 1.0, atol=1e-12)


def test_small_populations_are_filled_up_and_large_ones_are_not():
    plain = populate(make_brain(), 2000, 10, "column")
    for least in (0, 2, 50, 200):
        made = populate(make_brain(), 2000, 10, "column", min_size=least)
        np.testing.assert_array_equal(made.size, np.maximum(plain.size, least))
        np.testing.assert_array_equal(made.degree, plain.degree)
    assert (plain.size < 50).any()
    assert (plain.size > 200).any()
    assert populate(make_brain(), 3, 2, "column", min_size=30).n_neurons == 24 * 30


@pytest.mark.parametrize("least", [-1, 2.5, "many", 2**32])
def test_a_least_size_that_makes_no_sense_is_refused(least):
    with pytest.raises(InputError, match=r"^min_size is .*; expected"):
        populate(make_brain(), 1000, 10, min_size=least)


def test_more_neurons_than_can_be_numbered_are_refused():
    with pytest.raises(
        InputError, match=r"min_size .*6,000,000,000 neurons; at most 4,294,967,295"
    ):
        populate(make_brain(), 1000, 10, min_size=10**9)


@pytest.mark.parametrize("neurons", [100.5, -5, 0, 1e12, 2**32, np.nan, np.inf, "many", None])
def test_a_number_of_neurons_that_makes_no_sense_is_refused(neurons):
    with pytest.raises(InputError, match=r"^neurons is .*; expected"):
        populate(make_brain(), neurons, 10, "voxel")


@pytest.mark.parametrize("degree", [10.5, -5, 0, 1e9, 2**16, np.nan, "ten"])
def test_an_in_degree_that_makes_no_sense_is_refused(degree):
    with pytest.raises(InputError, match=r"^degree is .*; expected"):
        populate(make_brain(), 1000, degree, "voxel")


def test_whole_numbers_may_be_written_as_floats_or_numpy_numbers():
    meant = populate(make_brain(), 1000, 10, "voxel")
    made = populate(make_brain(), 1e3, np.int16(10), "voxel")
    np.testing.assert_array_equal(made.size, meant.size)
    np.testing.assert_array_equal(made.degree, meant.degree)


def test_an_unknown_layout_is_refused_with_those_known():
    with pytest.raises(InputError, match=r"'columns'.*known are voxel, column"):
        populate(make_brain(), 1000, 10, "columns")


def test_populations_too_small_are_refused_by_name():
    with pytest.raises(InputError, match=r"neurons=20 .*region \d I.* with [01] .*raise neurons"):
        populate(make_brain(), 20, 1, "voxel")


def test_an_in_degree_beyond_reach_is_refused_with_one_that_fits():
    with pytest.raises(
        InputError, match=r"degree=500: population .* use degree <= ([\d,]+)"
    ) as told:
        populate(make_brain(), 300, 500, "voxel")
    most = int(str(told.value).split("use degree <= ")[1].split()[0].replace(",", ""))
    made = populate(make_brain(), 300, most, "voxel")
    edges = Recipe.make(made, 0).wire(0, made.n_neurons)
    assert (np.diff(edges.indptr) == most).all()
    with pytest.raises(InputError, match="degree="):
        populate(make_brain(), 300, most + 1, "voxel")


def reach_of(made):
    """Neurons that each population can hear, itself left out."""
    support = made.matrix().toarray() > 0
    return support @ made.size - np.diag(support)


@pytest.mark.parametrize("layout", ["voxel", "column", "mixed"])
def test_the_population_that_cannot_hear_enough_is_named(layout):
    brain = make_brain(4).assign(is_cortex=("voxel", [True, False, True, True]))
    large = populate(brain, 4000, 10, layout)
    reach = reach_of(large)
    with pytest.raises(InputError, match=r"^degree=9000: population \d+ \(region") as told:
        populate(brain, 4000, 9000, layout)
    scale = [LAYOUTS[layout].motifs[int(layout == "mixed" and v == 1)] for v in large.voxel]
    slot = [LAYOUTS[layout].slots[s] for s in large.slot]
    wanted = [
        int(9000 * m.degree_scale[m.slots.index(s)]) for m, s in zip(scale, slot, strict=True)
    ]
    p = int(np.argmin(reach / wanted))
    assert f"population {p} (region {large.voxel[p]} {slot[p]}) wants {wanted[p]:,} " in str(
        told.value
    )
    assert f"hear only {reach[p]:,} neurons" in str(told.value)
    most = int(str(told.value).split("use degree <= ")[1].split()[0].replace(",", ""))
    assert (reach_of(populate(brain, 4000, most, layout)) >= reach).all()
    with pytest.raises(InputError, match="degree="):
        populate(brain, 4000, most + 2, layout)


def test_a_mix_that_cannot_be_had_is_told(caplog):
    populate(make_brain(), 300, 10, "voxel")
    assert not caplog.text
    populate(make_brain(), 300, 100, "voxel")
    assert "the mix of sources is distorted" in caplog.text


@pytest.mark.skipif(not REGIONS.exists(), reason="the 90-region file is not here")
def test_the_real_regions_have_the_sizes_degrees_and_mix_they_ask_for():
    brain = read_connectome(REGIONS)
    made = populate(brain, 20_000, 100, "voxel")
    grey = brain.grey_matter.values / brain.grey_matter.values.sum()
    meant = [int(g * s * 20_000) for g in grey for s in (0.8, 0.2)]
    np.testing.assert_array_equal(made.size, meant)
    assert made.n_neurons > 20_000 - 180
    recipe = Recipe.make(made, 7)
    edges = recipe.wire(0, made.n_neurons)
    assert (np.diff(edges.indptr) == 100).all()
    assert (edges.weight.min(), edges.weight.max()) == (0, 255)
    large = populate(brain, 2_000_000, 100, "voxel")
    recipe, first = Recipe.make(large, 7), large.first
    probability, matrix = [], large.matrix()
    for p in range(0, 180, 9):
        start = int(first[p])
        source = recipe.wire(start, start + 300).source
        found = np.bincount(large.population_of(0, large.n_neurons)[source], minlength=180)
        expected = 30_000 * matrix[[p]].toarray().ravel()
        assert not found[expected == 0].any()
        common = expected >= 5
        observed = np.append(found[common], found[~common].sum())
        meant = np.append(expected[common], expected[~common].sum())
        probability.append(stats.chisquare(observed, meant).pvalue)
    assert min(probability) > 1e-4
    assert stats.kstest(probability, "uniform").pvalue > 0.001


# Axonal delays


@given(brain=drawn_brains(), layout=drawn_layouts(), speed=st.floats(0.5, 20),
       dt_ms=st.sampled_from([0.5, 1.0, 2.0]))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_delay_is_the_tract_over_speed_and_step_beside_its_far_entry(brain, layout, speed, dt_ms):
    made = populate(brain, 500, 2, layout, min_size=50, speed=speed, dt_ms=dt_ms)
    plain = populate(brain, 500, 2, layout, min_size=50).mixture
    mixture, length = made.mixture, brain.tract_length.values
    for name in ("indptr", "source", "table", "share", "far_indptr", "far_population", "far_share"):
        np.testing.assert_array_equal(getattr(mixture, name), getattr(plain, name), err_msg=name)
    assert plain.far_delay.size == 0
    assert mixture.far_delay.dtype == np.uint16
    assert mixture.far_delay.shape == mixture.far_share.shape
    for p, t in zip(mixture.population, mixture.table, strict=True):
        for entry in range(mixture.far_indptr[t], mixture.far_indptr[t + 1]) if t >= 0 else ():
            u = made.voxel[mixture.far_population[entry]]
            steps = max(1, round(length[made.voxel[p], u] / speed / dt_ms))
            assert mixture.far_delay[entry] == steps


def with_tracts(longest):
    length = np.full((3, 3), 20.0)
    length[2, 0] = longest
    return make_brain().assign(tract_length=(("voxel", "voxel_source"), length))


def test_delays_without_lengths_are_refused():
    with pytest.raises(InputError, match="speed: the brain has no tract_length"):
        populate(make_brain(), 300, 10, speed=10.0)


def test_delays_beyond_the_longest_are_refused_with_what_they_are():
    kept = populate(with_tracts(200.0), 300, 10, speed=0.2).mixture.far_delay
    assert kept.max() == LONGEST_DELAY == 1000
    with pytest.raises(
        InputError, match=r"speed is 0.1 mm/ms: .* 2,000 steps of 1 ms; at most 1,000"
    ):
        populate(with_tracts(200.0), 300, 10, speed=0.1)
    with pytest.raises(InputError, match=r"2,000 steps of 0.5 ms"):
        populate(with_tracts(200.0), 300, 10, speed=0.2, dt_ms=0.5)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["speed", "dt_ms"])
def test_a_speed_or_step_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(InputError, match=rf"{name} (is )?{value}.*above 0"):
        populate(with_tracts(20.0), 300, 10, **{"speed": 10.0, name: value})
