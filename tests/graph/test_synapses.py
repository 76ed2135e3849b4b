"""In-edges that are read forward are those of any other reading, and no chunk is decoded twice."""

from itertools import pairwise

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain, make_network
from stores import same_synapses

from dtbdask import schema
from dtbdask.graph.build import build
from dtbdask.graph.partition import Partition
from dtbdask.kernels import Features
from dtbdask.sim.edges import collect

CHUNK = 1009


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, neurons=2000, degree=20, chunk=CHUNK, seed=3)


@st.composite
def ascending(draw, n):
    """Ranges in ascending order, with gaps between some."""
    inner = draw(st.lists(st.integers(0, n), min_size=2, max_size=24))
    cuts = sorted({0, *inner, n})
    every = list(pairwise(cuts))
    keep = draw(st.lists(st.booleans(), min_size=len(every), max_size=len(every)))
    return [pair for pair, kept in zip(every, keep, strict=True) if kept]


@given(data=st.data(), weights=st.booleans())
@settings(max_examples=25, deadline=None)
def test_ranges_read_forward_are_those_read_at_once(stored, data, weights):
    read = stored.wiring.forward(weights=weights)
    before = None
    for start, stop in data.draw(ascending(stored.n_neurons)):
        found, meant = read(start, stop), stored.wiring.in_edges(start, stop)
        same_synapses(
            (found.indptr, found.source, *([found.weight] if weights else [])),
            (meant.indptr, meant.source, *([meant.weight] if weights else [])),
        )
        if before is not None:  # what was returned last is not overwritten yet
            np.testing.assert_array_equal(before[0], before[1])
        before = (found.source, meant.source)


def test_a_block_of_scattered_tiles_decodes_each_chunk_once_a_pass(stored, monkeypatch):
    """Sixteen ranges of a tile in a network of 39 chunks: the whole of them twice, and no more."""
    n_tiles = -(-stored.n_neurons // 128)
    made = Partition.of_tiles(np.arange(n_tiles) % 2, stored.n_neurons)
    ranges, decoded = made.ranges[0], {}
    read = schema.read

    def counting(group, name, start=0, stop=None, **options):
        values = read(group, name, start, stop, **options)
        if name.startswith("synapse/"):
            decoded[name] = decoded.get(name, 0) + len(values)
        return values

    monkeypatch.setattr(schema, "read", counting)
    bounds = np.array([0, np.diff(ranges).sum()])
    collect(stored, ranges, bounds, Features((True, False, True, False), False, False, ()))
    assert len(ranges) > 5
    assert decoded["synapse/source"] <= 2 * stored.n_synapses
    assert decoded["synapse/weight"] <= stored.n_synapses


@pytest.mark.parametrize("parts", [1, 3])
def test_what_fails_while_a_block_loads_is_told(stored, monkeypatch, parts):
    def failing(*_, **__):
        raise schema.StoreError("damaged, array 'synapse/source'")

    monkeypatch.setattr(schema, "read", failing)
    bounds = np.linspace(0, stored.n_neurons, parts + 1).astype(np.int64)
    whole = np.array([[0, stored.n_neurons]])
    with pytest.raises(schema.StoreError, match="damaged"):
        collect(stored, whole, bounds, Features((True, False, True, False), False, False, ()))


def test_loading_does_not_mind_who_runs_first():
    """Slots are given in the order in which threads meet tiles; the edges are the same."""
    network = make_network(neurons=20_000, degree=30)
    bounds = np.linspace(0, network.n_neurons // 128 * 128, 5).astype(np.int64)
    bounds[-1] = network.n_neurons
    features = Features((True, True, True, False), True, False, ())
    every = [
        collect(network, np.array([[0, network.n_neurons]]), bounds, features) for _ in range(4)
    ]
    for other in every[1:]:
        for name in ("indptr", "target", "weight", "inhibitory", "heard"):
            np.testing.assert_array_equal(getattr(every[0], name), getattr(other, name))


def test_a_store_is_read_from_any_thread(stored):
    """Readers share nothing."""
    reads = [stored.wiring.forward(weights=True) for _ in range(4)]
    tasks = [dask.delayed(read)(100, 900) for read in reads]
    for found in dask.compute(*tasks, scheduler="threads"):
        np.testing.assert_array_equal(found.source, stored.wiring.in_edges(100, 900).source)
