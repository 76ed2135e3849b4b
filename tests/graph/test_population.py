"""Populations follow from connectome and layout by formula, or are refused in words."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain
from scipy import stats

from dtbdask.errors import InputError
from dtbdask.graph.connectome import read_connectome
from dtbdask.graph.population import populate
from dtbdask.graph.shares import normalise
from dtbdask.graph.wiring import Recipe

REGIONS = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "DTI_voxel_networks_sum_1204.mat"
)


@st.composite
def brains(draw, isolated=False):
    n = draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(0, 50), min_size=n * n, max_size=n * n))
    fibres = np.array(counts, float).reshape(n, n)
    if not isolated:
        fibres[np.arange(n), (np.arange(n) + 1) % n] += 1
    grey = draw(st.lists(st.floats(0.2, 0.8), min_size=n, max_size=n))
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), fibres),
            "grey_matter": ("voxel", np.array(grey)),
        },
        coords={"label": ("voxel", [f"region {v}" for v in range(n)])},
    )


@given(brains(isolated=True))
@settings(max_examples=50, deadline=None)
def test_a_normalised_row_sums_to_one_and_nobody_hears_itself(brain):
    before = brain.connection.values.copy()
    rows = normalise(brain.connection.values).toarray()
    np.testing.assert_array_equal(brain.connection.values, before)
    if len(rows) == 1:
        np.testing.assert_array_equal(rows, [[1.0]])
        return
    others = before * ~np.eye(len(rows), dtype=bool)
    assert (np.diag(rows) == 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), others.sum(axis=1) > 0, atol=1e-12)
    np.testing.assert_allclose(rows * others.sum(axis=1, keepdims=True), others, atol=1e-9)


@given(brain=brains(), neurons=st.integers(200, 5000), degree=st.integers(1, 4))
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
