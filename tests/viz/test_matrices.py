"""The picture of a matrix sums to the matrix, however large the matrix and wherever one looks."""

import dask.array as da
import holoviews as hv
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.viz import matrices
from dtbdask.viz.matrices import (
    MatrixSource,
    draw_matrix,
    population_matrix,
    voxel_matrix,
    zoom_matrix,
)

VALUE = hv.Dimension("synapses", unit="1")


def kinds(values, chunk):
    yield values
    yield sp.csr_array(values)
    yield da.from_array(values, chunks=chunk)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(matrices, "EXACT", 50)
    monkeypatch.setattr(matrices, "HELD", 200)
    monkeypatch.setattr(matrices, "BINS", 8)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_view_sums_to_what_it_covers(data):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("EXACT", 50), ("HELD", 200), ("BINS", 8)):
            patch.setattr(matrices, name, value)
        shape = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        values = rng.integers(0, 9, shape) * (rng.random(shape) < 0.4)
        spans = [sorted(data.draw(st.tuples(*[st.floats(-9, n + 9)] * 2))) for n in shape]
        chunk = data.draw(st.integers(1, 40))
        for matrix in kinds(values.astype(float), chunk):
            seen = MatrixSource(matrix).view(*spans)
            (r0, r1), (c0, c1) = seen.rows, seen.columns
            assert seen.total.sum() == pytest.approx(values[r0:r1, c0:c1].sum())
            assert max(seen.total.shape) <= 9
            for (a, b), (low, high), n in zip((seen.rows, seen.columns), spans, shape, strict=True):
                assert a <= np.clip(np.floor(low), 0, n - 1)
                assert b >= min(np.ceil(high), n)


def test_the_whole_picture_sums_to_the_matrix(small):
    values = np.random.default_rng(1).random((61, 47))
    picture = draw_matrix(MatrixSource(values), VALUE, rows=(-0.5, 60.5), columns=(-0.5, 46.5))
    mean = picture.dimension_values("synapses", flat=False)[::1]
    left, _, right, _ = picture.bounds.lbrt()
    width = (right - left) / mean.shape[1]
    start = [np.arange(n) * width for n in mean.shape]
    cells = [np.minimum(a + width, n) - a for a, n in zip(start, values.shape, strict=True)]
    assert (mean * np.outer(*cells)).sum() == pytest.approx(values.sum())


def test_zoomed_in_the_picture_is_the_matrix_row_down_column_across():
    values = np.arange(30.0).reshape(5, 6)
    picture = draw_matrix(
        MatrixSource(values), VALUE, rows=(0.5, 2.5), columns=(1.5, 4.5), log=False
    )
    for row, column in ((1, 2), (2, 4)):
        assert picture[column, row] == values[row, column]


def test_a_large_matrix_is_read_chunk_by_chunk_and_once(monkeypatch):
    monkeypatch.setattr(matrices, "HELD", 1 << 18)
    seen = []

    def chunk(block_info):
        (low, high), (left, right) = block_info[None]["array-location"]
        seen.append((low, left))
        return np.ones((high - low, right - left), np.float32)

    lazy = da.map_blocks(chunk, chunks=((600,) * 15, (600,) * 15), dtype=np.float32)
    source = MatrixSource(lazy)
    assert source.overview.size <= matrices.HELD
    assert len(set(seen)) == 225
    n = len(seen)
    far = source.view((0, 9_000), (0, 9_000))
    assert far.total.sum() == 9_000**2
    assert far.total.size <= 1e6
    assert len(seen) == n
    near = source.view((1_000, 1_500), (2_000, 2_500))
    assert (near.width, near.total.shape) == (1, (500, 500))
    assert len(seen) - n <= 4


def test_synapses_of_populations_add_up_to_those_of_voxels_and_of_the_network():
    network = make_network()
    of_populations, of_voxels = population_matrix(network), voxel_matrix(network)
    assert of_populations.sum() == pytest.approx(network.n_synapses)
    assert of_voxels.sum() == pytest.approx(network.n_synapses)
    assert of_voxels.shape == (len(network.labels),) * 2


def test_a_changed_range_draws_the_new_view(small):
    picture = zoom_matrix(np.ones((64, 64)), VALUE, names=[str(i) for i in range(64)])
    wide = picture[()]
    picture.event(x_range=(0, 7), y_range=(0, 7))
    assert picture[()].dimension_values(2).size != 0
    assert picture[()].bounds.lbrt() != wide.bounds.lbrt()
    hv.render(picture, backend="bokeh")


def test_what_is_no_matrix_is_refused():
    with pytest.raises(InputError, match="shape"):
        MatrixSource(np.zeros(3))
