"""The mix of sources in two steps is the matrix, which a test may write out densely."""

import numpy as np
import pytest
import scipy.sparse as sp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.graph.mixture import Mixture
from dtbdask.graph.population import Populations, populate

SHARES = st.floats(0.01, 1.0)


@st.composite
def drawn_mixtures(draw):
    """Mixtures of voxels of up to three kinds, each kind of another number of populations.

    A voxel has at most one far table for each kind of source voxel, and never its own voxel in it.
    """
    n_kinds = draw(st.integers(1, 3))
    n_slots = draw(st.lists(st.integers(1, 4), min_size=n_kinds, max_size=n_kinds))
    kind = draw(st.lists(st.integers(0, n_kinds - 1), min_size=1, max_size=5))
    first = np.concatenate([[0], np.cumsum([n_slots[k] for k in kind])]).tolist()
    rows, tables = [], []
    for v, own in enumerate(kind):
        choices = [(first[v] + b, -1) for b in range(n_slots[own])]
        for k in range(n_kinds):
            others = [u for u in range(len(kind)) if u != v and kind[u] == k]
            heard = sorted(draw(st.sets(st.sampled_from(others)))) if others else []
            if heard:
                choices += [(b, len(tables)) for b in range(n_slots[k])]
                tables.append([(first[u], draw(SHARES)) for u in heard])
        rows += [
            [
                (*choice, draw(SHARES))
                for choice in draw(st.lists(st.sampled_from(choices), min_size=1, unique=True))
            ]
            for _ in range(n_slots[own])
        ]
    terms, far = [t for row in rows for t in row], [e for table in tables for e in table]
    return Mixture(
        pointers(rows),
        np.array([source for source, _, _ in terms], np.int32),
        np.array([table for _, table, _ in terms], np.int32),
        np.array([share for _, _, share in terms]),
        pointers(tables),
        np.array([population for population, _ in far], np.int32),
        np.array([share for _, share in far]),
    )


def pointers(parts):
    return np.cumsum([0, *map(len, parts)]).astype(np.int64)


def dense(mixture):
    """The matrix, term by term."""
    n = mixture.indptr.size - 1
    whole = np.zeros((n, n))
    for p in range(n):
        for term in range(mixture.indptr[p], mixture.indptr[p + 1]):
            source, table = mixture.source[term], mixture.table[term]
            if table < 0:
                whole[p, source] += mixture.share[term]
                continue
            for entry in range(mixture.far_indptr[table], mixture.far_indptr[table + 1]):
                share = mixture.share[term] * mixture.far_share[entry]
                whole[p, mixture.far_population[entry] + source] += share
    return whole


def values(n, seed, *shape):
    return np.random.default_rng(seed).normal(size=(*shape, n))


@given(mixture=drawn_mixtures(), seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_products_are_those_of_the_dense_matrix(mixture, seed):
    matrix = dense(mixture)
    n = len(matrix)
    assert mixture.n_populations == n
    found = mixture.matrix()
    assert found.shape == (n, n)
    np.testing.assert_allclose(found.toarray(), matrix, rtol=1e-12)
    assert found.has_sorted_indices
    np.testing.assert_array_equal(mixture.population, np.repeat(range(n), np.diff(mixture.indptr)))
    for shape in [(), (1,), (3,)]:
        weight = values(n, seed, *shape)
        pulled = mixture.pull(weight)
        assert pulled.shape == weight.shape
        np.testing.assert_allclose(pulled, weight @ matrix, rtol=1e-9, atol=1e-12)
    value = values(n, seed)
    np.testing.assert_allclose(mixture.push(value), matrix @ value, rtol=1e-9, atol=1e-12)
    support = (matrix > 0).astype(float)
    np.testing.assert_allclose(
        mixture.push(value, support=True), support @ value, rtol=1e-9, atol=1e-12
    )


@given(mixture=drawn_mixtures(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_crowding_is_the_largest_share_of_one_neuron(mixture, data):
    """A population hears one neuron less of itself: nobody hears itself."""
    matrix = dense(mixture)
    n = len(matrix)
    size = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), np.int64)
    meant = matrix / np.maximum(size - np.eye(n), 1)
    np.testing.assert_allclose(mixture.crowding(size), meant.max(axis=1), rtol=1e-12)


@given(n=st.integers(1, 8), seed=st.integers(0, 999), density=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_matrix_goes_in_and_comes_out(n, seed, density):
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.1, 1, (n, n)) * (rng.random((n, n)) < density)
    mixture = Mixture.direct(sp.csr_array(matrix))
    np.testing.assert_array_equal(mixture.matrix().toarray(), matrix)
    assert mixture.share.size == np.count_nonzero(matrix)
    assert (mixture.table == -1).all()
    assert mixture.far_indptr.tolist() == [0]
    assert mixture.far_population.size == mixture.far_share.size == mixture.far_delay.size == 0
    np.testing.assert_allclose(mixture.pull(np.ones(n)), matrix.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(mixture.push(np.ones(n)), matrix.sum(axis=1), atol=1e-12)


def test_zeros_held_in_a_matrix_are_no_terms():
    held = sp.csr_array(([0.4, 0.0, 0.6], [2, 1, 0], [0, 3, 3, 3]), shape=(3, 3))
    mixture = Mixture.direct(held)
    assert mixture.source.tolist() == [0, 2]
    assert mixture.share.tolist() == [0.6, 0.4]
    assert mixture.indptr.tolist() == [0, 2, 2, 2]


def test_populations_without_a_recipe_hear_nobody():
    size = np.array([4, 3], np.int64)
    bare = Populations.bare(np.zeros(2, int), np.arange(2), np.ones(2, bool), size, [2, 7])
    assert bare.degree.dtype == np.int32
    assert bare.matrix().nnz == 0
    np.testing.assert_array_equal(bare.mixture.crowding(size), [0, 0])
    np.testing.assert_array_equal(bare.pull(np.ones((5, 2))), np.zeros((5, 2)))
    np.testing.assert_array_equal(bare.mixture.push(np.ones(2), support=True), [0, 0])


@pytest.mark.parametrize("members", [(), (1,), (2, 3)])
def test_weights_may_have_any_dimensions_before_that_of_populations(members):
    mixture = Mixture.direct(sp.csr_array([[0.25, 0.75], [1.0, 0.0]]))
    pulled = mixture.pull(np.ones((*members, 2)))
    np.testing.assert_array_equal(pulled, np.broadcast_to([1.25, 0.75], (*members, 2)))


def test_a_large_brain_is_held_in_two_small_tables():
    """Of 400 columns: as many far entries as fibres, and as many terms as populations times 16."""
    n = 400
    brain = xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), np.ones((n, n))),
            "grey_matter": ("voxel", np.ones(n)),
        },
        coords={"label": ("voxel", np.arange(n).astype(str))},
    )
    made = populate(brain, 10**6, 10, "column")
    mixture = made.mixture
    assert mixture.far_share.size == n * (n - 1)
    assert mixture.share.size <= 16 * made.size.size
    np.testing.assert_allclose(mixture.push(np.ones(8 * n)), 1.0)
