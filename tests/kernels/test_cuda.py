"""The CUDA texts: where sums are packed, what they are compiled for, and their wiring."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_populations, make_network

from dtbdask.errors import MissingDependencyError
from dtbdask.graph.wiring import Recipe
from dtbdask.kernels import N_COEFFICIENTS, Features, cuda


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4),
    st.tuples(*[st.booleans()] * 4),
)
def test_packed_sums_never_meet(most, receptors):
    packing = cuda.Packing.of(most, receptors)
    width = 8 * np.dtype(packing.dtype).itemsize
    taken = [0] * packing.n_words
    for u in np.flatnonzero(receptors):
        assert most[u] < 2 ** packing.bits[u]
        assert packing.shift[u] + packing.bits[u] <= width
        field = (2 ** packing.bits[u] - 1) << packing.shift[u]
        assert not taken[packing.word[u]] & field
        taken[packing.word[u]] |= field
    assert (packing.n_words == 1) == (sum(packing.bits) <= 64)
    assert width == (32 if sum(packing.bits) <= 32 else 64)


def test_sources_of_a_kind_share_a_word():
    packing = cuda.Packing.of([2**32 - 1] * 4, (True,) * 4)
    assert packing.n_words == 2
    assert packing.word[0] == packing.word[1] != packing.word[2] == packing.word[3]


def test_what_is_off_is_a_constant_of_the_text():
    slots = tuple(range(N_COEFFICIENTS))
    features = Features((True, False, True, False), True, False, slots)
    packing = cuda.Packing.of([25_500, 0, 6_000, 0], features.receptors)
    text = cuda.Build(features, "float32", packing, packed=True).constants()
    assert "typedef u32 KICK;" in text
    assert "constexpr bool NOISE = 0;" in text
    assert "constexpr bool BACKGROUND = 1;" in text
    assert "RECEPTOR[4] = {1, 0, 1, 0}" in text


def test_a_missing_device_is_told_with_what_mends_it():
    if cuda.present():
        pytest.skip("there is a device")
    with pytest.raises(MissingDependencyError, match=r"pip install|dtbdask doctor"):
        cuda.load_cupy()


def tables(recipe, start, stop):
    """In-edges of a range as a device wires them, a population at a time."""
    import cupy as cp

    from dtbdask.sim.cuda_edges import Wirer

    n_populations = recipe.size.size
    wirer = Wirer(recipe, np.ones(n_populations, bool))
    kernel = cuda.wiring("wire_table", packed=True, paired=False)
    first = recipe.synapse_of(np.array([start, stop]))
    source = cp.zeros(int(np.diff(first)[0]), np.uint32)
    pair = cp.zeros((source.size, 2), np.uint8)
    out = cuda.filled(cuda.OUT, source=source, pair=pair)
    for p in range(n_populations):
        low = max(start, int(recipe.first[p]))
        high = min(stop, int(recipe.first[p] + recipe.size[p]))
        if low < high:
            edge = int(recipe.synapse_of(np.array([low]))[0] - first[0])
            wirer.launch(kernel, out, low, high, np.uint64(edge))
    return source.get(), pair.get()


@pytest.mark.gpu
@pytest.mark.skipif(not cuda.present(), reason="no CUDA device or no CuPy")
@settings(deadline=None, max_examples=60)
@given(drawn_populations(), st.integers(0, 2**64 - 1))
def test_a_device_wires_what_the_host_wires_also_when_populations_are_used_up(populations, seed):
    recipe = Recipe.make(populations, seed, weights=(3, 250))
    edges = recipe.wire(0, recipe.n_neurons)
    source, pair = tables(recipe, 0, recipe.n_neurons)
    np.testing.assert_array_equal(source, edges.source)
    np.testing.assert_array_equal(pair, edges.weight)


@pytest.mark.gpu
@pytest.mark.skipif(not cuda.present(), reason="no CUDA device or no CuPy")
@pytest.mark.parametrize("degree", [1, 31, 100, 600])
def test_a_device_wires_a_range_of_a_brain(degree):
    recipe = make_network(voxels=5, neurons=9000, degree=degree).wiring.recipe
    edges = recipe.wire(700, 8100)
    source, pair = tables(recipe, 700, 8100)
    np.testing.assert_array_equal(source, edges.source)
    np.testing.assert_array_equal(pair, edges.weight)


@given(st.integers(1, 10**9), st.integers(1, 10**4), st.integers(1 << 20, 1 << 27))
def test_a_tile_fits_its_numbers_and_is_not_cut_finer_than_the_cache_asks(n, degree, cache):
    count = cuda.tiles(n, degree, cache)
    size = -(-n // count)
    assert size <= cuda.LARGEST_TILE
    assert size * degree <= 2**32 + degree
    needed = max(-(-n // cuda.LARGEST_TILE), -(-n * degree // (2**32 - 1)))
    assert count <= max(needed, -(-n * 8 // cache), 1)
