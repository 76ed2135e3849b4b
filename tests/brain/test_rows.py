"""A matrix taken a few rows at a time is the matrix, whatever the pieces."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import rows


class Counting:
    """Rows of a matrix, and how many were asked for at once."""

    def __init__(self, matrix):
        self.matrix = matrix

    def __call__(self, start, stop):
        return self.matrix[start:stop]

    def __dask_tokenize__(self):
        return self.matrix.tobytes()


def chunked(draw, n):
    """Sizes of chunks that make up n."""
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=4))) if n > 1 else []
    return tuple(np.diff([0, *cuts, n]).tolist())


@st.composite
def matrices(draw):
    """A matrix, and the same as a Dask array of any chunks."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    matrix = np.random.default_rng(draw(st.integers(0, 99))).random(shape)
    return matrix, da.from_array(matrix, chunks=tuple(chunked(draw, n) for n in shape))


@settings(deadline=None)
@given(pair=matrices(), size=st.integers(1, 10))
def test_blocks_and_regions_are_the_matrix_in_order(pair, size):
    for values in pair:
        for pieces in (rows.blocks(values), rows.regions(values, size)):
            found = list(pieces)
            np.testing.assert_array_equal(np.concatenate([block for _, block in found]), pair[0])
            lengths = [len(block) for _, block in found]
            assert [start for start, _ in found] == np.cumsum([0, *lengths[:-1]]).tolist()
        assert set(lengths[:-1]) <= {size}
        assert 0 < lengths[-1] <= size


@settings(deadline=None)
@given(pair=matrices(), size=st.integers(1, 10))
def test_regions_compute_each_chunk_once(pair, size):
    seen = []
    traced = pair[1].map_blocks(lambda block: seen.append(len(block)) or block, dtype=float)
    seen.clear()  # of what Dask tried to learn the type
    with dask.config.set(scheduler="synchronous"):  # where this list is
        for _ in rows.regions(traced, size):
            pass
    assert len(seen) == traced.npartitions


@settings(deadline=None)
@given(
    n=st.integers(1, 40),
    chunk=st.integers(1, 500),
    align=st.integers(1, 50),
    seed=st.integers(0, 9),
)
def test_a_lazy_matrix_is_what_its_source_gives_in_whole_rows(n, chunk, align, seed):
    matrix = np.random.default_rng(seed).random((n, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "CHUNK", chunk)
        lazy = rows.lazy(Counting(matrix), (n, 3), np.float64, align)
    assert lazy.numblocks[1] == 1
    wanted = max(1, chunk // 24)
    assert lazy.chunks[0][0] <= 2 * wanted
    if align <= wanted:
        assert all(length % align == 0 for length in lazy.chunks[0][:-1])
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), matrix)


def test_a_lazy_matrix_pickles_and_computes_only_the_rows_asked_for(monkeypatch):
    monkeypatch.setattr(rows, "CHUNK", 24)
    asked = []

    class Asked(Counting):
        def __call__(self, start, stop):
            asked.append((start, stop))
            return super().__call__(start, stop)

    matrix = np.arange(12.0).reshape(4, 3)
    with dask.config.set(scheduler="synchronous"):
        assert rows.lazy(Asked(matrix), (4, 3), float)[2].compute().tolist() == [6, 7, 8]
        assert asked == [(2, 3)]
        again = pickle.loads(pickle.dumps(rows.lazy(Counting(matrix), (4, 3), float)))
        np.testing.assert_array_equal(again, matrix)


def test_what_is_large_is_told_by_its_size_in_float64(monkeypatch):
    assert rows.is_large((5793, 5793))
    assert not rows.is_large((5792, 5792))
    assert not rows.is_large((10**9,))
    assert not rows.is_large((450, 22_703))


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("f4", "f4"),
        ("f2", "f4"),
        ("u2", "f4"),
        ("i1", "f4"),
        ("i4", "f8"),
        ("u8", "f8"),
        (">f8", "f8"),
    ],
)
def test_float32_where_it_holds_every_value(dtype, kept):
    assert rows.compact(np.dtype(dtype)) == np.dtype(kept)
