"""Rows of the connectome sum to one, whatever it is chunked by, and it is never held whole."""

import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain

from dtbdask.graph import shares as shares_module
from dtbdask.graph.population import populate
from dtbdask.graph.shares import entries, normalise, stretches


@st.composite
def matrices(draw):
    """Counts of fibres between two to seven voxels, some isolated, in any dtype and chunks."""
    n = draw(st.integers(2, 7))
    counts = draw(st.lists(st.integers(0, 9), min_size=n * n, max_size=n * n))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.uint16, np.uint8]))
    fibres = np.array(counts).reshape(n, n) * (dtype(25) if dtype == np.uint8 else dtype(1.0))
    fibres = fibres.astype(dtype)
    if draw(st.booleans()):
        fibres[draw(st.integers(0, n - 1))] = 0
    chunks = draw(st.integers(1, n)), draw(st.integers(1, n))
    return fibres, chunks


def dense(fibres):
    others = np.where(np.eye(len(fibres), dtype=bool), 0.0, fibres.astype(float))
    total = others.sum(axis=1, keepdims=True)
    return np.divide(others, total, out=np.zeros_like(others), where=total > 0)


@given(matrices())
@settings(max_examples=80, deadline=None)
def test_rows_sum_to_one_without_oneself_for_any_chunks_and_dtype(drawn):
    """Isolated voxels keep an empty row; what was given stays as it was."""
    fibres, chunks = drawn
    before, meant = fibres.copy(), dense(fibres)
    for given_matrix in (fibres, da.from_array(fibres, chunks)):
        found = normalise(given_matrix)
        np.testing.assert_allclose(found.toarray(), meant, rtol=1e-14)
        assert (found.data > 0).all()
        assert found.has_sorted_indices
        assert (found.data.dtype, found.indices.dtype, found.indptr.dtype) == (
            np.float64, np.int32, np.int64,
        )  # fmt: skip
        hears = meant.any(axis=1)
        np.testing.assert_allclose(found.sum(axis=1), hears, atol=1e-12)
    np.testing.assert_array_equal(fibres, before)


@given(drawn=matrices(), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_entries_stand_where_the_shares_do_for_any_chunks(drawn, seed):
    fibres, chunks = drawn
    at = normalise(fibres)
    length = np.random.default_rng(seed).uniform(0, 200, fibres.shape)
    row, column = np.nonzero(dense(fibres))
    for given_matrix in (length, da.from_array(length, chunks)):
        found = entries(given_matrix, at)
        np.testing.assert_array_equal(found, length[row, column])
        assert found.dtype == np.float64


@given(drawn=matrices(), rows=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_stretches_are_all_rows_in_order(drawn, rows):
    fibres, chunks = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares_module, "STRETCH", rows * fibres[:1].nbytes)
        parts = list(stretches(fibres))
    assert all(len(part) <= rows for _, part in parts)
    lazy = list(stretches(da.from_array(fibres, chunks)))
    assert all(len(part) <= chunks[0] for _, part in lazy)
    for found in (parts, lazy):
        np.testing.assert_array_equal(np.concatenate([part for _, part in found]), fibres)
        starts = [start for start, _ in found]
        assert starts == np.cumsum([0, *[len(part) for _, part in found]])[:-1].tolist()


@pytest.mark.parametrize("count", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_single_voxel_is_its_own_outside(count, lazy):
    sole = np.full((1, 1), count)
    np.testing.assert_array_equal(normalise(da.from_array(sole) if lazy else sole).toarray(), [[1]])


# Large matrices

VOXELS, ROWS = 4000, 100
WHOLE = VOXELS * VOXELS * 8
"""Bytes of a matrix of float64."""


class Blocks:
    """Rows of a matrix of which one in a hundred entries is not zero; tells who asks for them."""

    def __init__(self):
        self.asked = []

    def __call__(self, start):
        rng = np.random.default_rng(start)
        rows = np.zeros((ROWS, VOXELS))
        rows[rng.random(rows.shape, np.float32) < 0.01] = 1.0
        rows[:, 0] += 1
        rows[:, 1] += 1
        self.asked.append(start)
        return rows


@pytest.fixture
def large():
    """A lazy matrix of 128 MB, what was asked of it, and the blocks of each single computation."""
    source, computed = Blocks(), []
    blocks = [
        da.from_delayed(dask.delayed(source, traverse=False)(start), (ROWS, VOXELS), np.float64)
        for start in range(0, VOXELS, ROWS)
    ]

    def scheduler(graph, keys, **kw):
        before = len(source.asked)
        result = dask.get(graph, keys, **kw)
        computed.append(source.asked[before:])
        return result

    with dask.config.set(scheduler=scheduler):
        yield da.concatenate(blocks), source, computed


def peak_of(work):
    """Largest number of bytes that were held at once beyond those at the start."""
    tracemalloc.start()
    try:
        result = work()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_lazy_matrix_is_never_whole(large):
    matrix, source, computed = large
    found, peak = peak_of(lambda: normalise(matrix))
    assert [len(blocks) for blocks in computed] == [1] * (VOXELS // ROWS)
    assert sorted(source.asked) == list(range(0, VOXELS, ROWS))
    assert peak < WHOLE / 6
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    rows = source(2 * ROWS)
    np.testing.assert_allclose(
        found[2 * ROWS : 3 * ROWS].toarray() * rows.sum(axis=1, keepdims=True), rows
    )


def test_entries_of_a_lazy_matrix_are_taken_block_by_block(large):
    matrix, _, computed = large
    at = normalise(matrix)
    computed.clear()
    _, peak = peak_of(lambda: entries(matrix, at))
    assert [len(blocks) for blocks in computed] == [1] * (VOXELS // ROWS)
    assert peak < WHOLE / 6


def test_populations_of_a_lazy_brain_are_those_of_the_brain_in_memory():
    brain = make_brain(7).assign(tract_length=(("voxel", "voxel_source"), np.ones((7, 7)) * 30))
    lazy = brain.chunk({"voxel": 3, "voxel_source": 2})
    for layout in ("voxel", "column"):
        one, other = (populate(b, 9000, 10, layout, speed=3.0) for b in (brain, lazy))
        for name, value in vars(one.mixture).items():
            np.testing.assert_array_equal(value, getattr(other.mixture, name), err_msg=name)
        np.testing.assert_array_equal(one.size, other.size)


def test_populations_of_a_large_lazy_brain_hold_neither_matrix(large):
    matrix, _, computed = large
    brain = xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), matrix),
            "grey_matter": ("voxel", np.ones(VOXELS)),
        },
        coords={"label": ("voxel", np.arange(VOXELS).astype(str))},
    )
    made, peak = peak_of(lambda: populate(brain, 10**7, 20, "column"))
    assert max(len(blocks) for blocks in computed) == 1
    assert peak < WHOLE / 2
    assert made.size.size == 8 * VOXELS
    np.testing.assert_allclose(made.mixture.push(np.ones(8 * VOXELS)), 1.0)
