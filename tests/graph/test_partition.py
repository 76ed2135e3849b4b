"""Blocks own whole tiles, all of them and none twice, of about equal cost, with little traffic."""

import dataclasses
import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import drawn_populations, make_network

from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import InputError, MissingDependencyError
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.partition import Partition, cut, partition
from dtbdask.graph.placement import TOLERANCE
from dtbdask.graph.population import Populations, populate
from dtbdask.graph.traffic import assess, neuron_cost
from dtbdask.rng import TILE

DTB = Path(__file__).parents[2].parent / "shared" / "data" / "DTI_voxel_networks_sum_1204.mat"
needs_dtb = pytest.mark.skipif(not DTB.exists(), reason=f"no {DTB.name} beside the repository")
needs_metis = pytest.mark.skipif(
    importlib.util.find_spec("pymetis") is None, reason="pymetis is not installed"
)
FOUND = ["greedy", pytest.param("metis", marks=needs_metis)]


@st.composite
def drawn_owners(draw, most_tiles=40):
    """Owner of each tile, every block somewhere, and a number of neurons."""
    n_tiles = draw(st.integers(1, most_tiles))
    n_blocks = draw(st.integers(1, min(n_tiles, 6)))
    rest = draw(
        st.lists(
            st.integers(0, n_blocks - 1), min_size=n_tiles - n_blocks, max_size=n_tiles - n_blocks
        )
    )
    owner = draw(st.permutations([*range(n_blocks), *rest]))
    return np.array(owner), n_tiles * TILE - draw(st.integers(0, TILE - 1))


def tile_cost(populations):
    per_neuron = np.repeat(neuron_cost(populations), populations.size)
    return np.add.reduceat(per_neuron, np.arange(0, per_neuron.size, TILE))


def same(one, other):
    return len(one.ranges) == len(other.ranges) and all(
        np.array_equal(a, b) for a, b in zip(one.ranges, other.ranges, strict=True)
    )


# What a partition is


@given(drawn_owners())
@settings(max_examples=60, deadline=None)
def test_owner_local_and_neurons_are_one_bijection(drawn):
    owner, n = drawn
    made = Partition.of_tiles(owner, n)
    everyone = np.arange(n)
    assert (made.n_blocks, made.n_neurons) == (owner.max() + 1, n)
    np.testing.assert_array_equal(made.owner(everyone), np.repeat(owner, TILE)[:n])
    for b in range(made.n_blocks):
        mine = made.neurons(b)
        np.testing.assert_array_equal(mine, everyone[made.owner(everyone) == b])
        np.testing.assert_array_equal(made.local(mine), np.arange(mine.size))
        starts, stops = made.ranges[b].T
        assert not (starts % TILE).any()
        assert (starts[1:] > stops[:-1]).all(), "neighbours are joined"
    pair = everyone[: min(n, 6)].reshape(-1, 1)
    assert made.owner(pair).shape == made.local(pair).shape == pair.shape


@given(drawn_owners())
@settings(max_examples=30, deadline=None)
def test_a_partition_travels_and_is_what_its_ranges_say(drawn):
    made = Partition.of_tiles(*drawn, method="drawn")
    made.owner(0)
    there = pickle.loads(pickle.dumps(made))
    assert same(made, there)
    assert there.method == "drawn"
    assert same(made, Partition(tuple(ranges.tolist() for ranges in made.ranges)))
    assert len(pickle.dumps(made)) < 2000 + 64 * sum(map(len, made.ranges))


WRONG = [
    ((), "ranges is empty"),
    (([[0, 128]], []), "ranges of block 1 have shape"),
    (([[0, 128]], [[128.0, 256.0]]), "dtype float64"),
    (([0, 128],), r"shape \(2,\)"),
    (([[128, 256], [0, 128]],), "block 0 are not ascending"),
    (([[0, 128]], [[128, 128]]), "block 1 are not ascending, or one is empty"),
    (([[0, 128]], [[256, 300]]), "begins at neuron 256 where all before end at 128"),
    (([[128, 256]],), "begins at neuron 128 where all before end at 0"),
    (([[0, 256]], [[128, 300]]), "begins at neuron 128 where all before end at 256"),
    (([[0, 100]], [[100, 300]]), "begins at neuron 100; they begin at multiples of 128"),
]


@pytest.mark.parametrize(("ranges", "told"), WRONG, ids=[told for _, told in WRONG])
def test_ranges_that_make_no_partition_are_refused(ranges, told):
    with pytest.raises(InputError, match=told):
        Partition(ranges)


def test_owners_neurons_and_blocks_that_are_not_there_are_refused():
    for owner, told in (([0, 1], "shape"), ([0, 1, 3], "some own no tile"), ([0.0] * 3, "float64")):
        with pytest.raises(InputError, match=told):
            Partition.of_tiles(owner, 300)
    made = Partition.of_tiles([0, 1, 0], 300)
    for wrong in (-1, 300, [0, 300]):
        with pytest.raises(InputError, match="expected 0 to 299"):
            made.owner(wrong)
        with pytest.raises(InputError, match="expected 0 to 299"):
            made.local(wrong)
    with pytest.raises(InputError, match="block is 2"):
        made.neurons(2)
    with pytest.raises(InputError, match="300 neurons, but the network has 597"):
        made.check(make_network())


# Contiguous blocks


@given(populations=drawn_populations(), share=st.floats(0, 1), scale=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_contiguous_blocks_are_one_range_each_and_even_within_a_tile(populations, share, scale):
    populations = dataclasses.replace(populations, size=populations.size * scale)
    n_tiles = -(-populations.n_neurons // TILE)
    n_blocks = max(1, round(share * n_tiles))
    made = Partition.contiguous(populations, n_blocks)
    assert made.n_blocks == n_blocks
    assert all(len(ranges) == 1 for ranges in made.ranges)
    every = np.concatenate(made.ranges)
    np.testing.assert_array_equal(every[1:, 0], every[:-1, 1])
    load, cost = assess(populations, made).load, tile_cost(populations)
    assert load.max() <= load.mean() + cost.max() * (1 + 1e-9)


@pytest.mark.parametrize("method", ["auto", "greedy", "contiguous"])
@pytest.mark.parametrize("n_blocks", [0, -1, 6, 1.5])
def test_a_number_of_blocks_that_makes_no_sense_is_refused(n_blocks, method):
    with pytest.raises(InputError, match=rf"blocks is {n_blocks}; expected"):
        partition(make_network(), n_blocks, method)
    assert partition(make_network(), 5, method).n_blocks == 5


def test_too_many_blocks_are_refused_with_all_numbers():
    with pytest.raises(
        InputError, match=r"expected 1 to 5: a block owns whole tiles of 128 .* 597 neurons"
    ):
        Partition.contiguous(make_network(), 6)


# Partitions that are found


@given(
    populations=drawn_populations(),
    scale=st.integers(20, 300),
    n_blocks=st.integers(1, 9),
    method=st.sampled_from([m if isinstance(m, str) else m.values[0] for m in FOUND]),
)
@settings(max_examples=60, deadline=None)
def test_a_partition_is_even_and_causes_no_more_traffic_than_contiguous_blocks(
    populations, scale, n_blocks, method
):
    if method == "metis":
        pytest.importorskip("pymetis")
    populations = dataclasses.replace(populations, size=populations.size * scale)
    n_blocks = min(n_blocks, -(-populations.n_neurons // TILE))
    found = partition(populations, n_blocks, method)
    plain = Partition.contiguous(populations, n_blocks)
    assert found.n_blocks == n_blocks
    report, simple = assess(populations, found), assess(populations, plain)
    above = max(report.load.mean() * TOLERANCE, tile_cost(populations).max())
    assert report.load.max() <= report.load.mean() + above * (1 + 1e-9)
    assert report.traffic <= simple.traffic * (1 + 1e-4) + 1
    assert found.method in (method, "contiguous")
    assert same(found, partition(populations, n_blocks, method)), "it repeats"


def of_pairs(n_voxels):
    """Populations of voxels in pairs that hear each other alone, listed far from one another."""
    matrix = np.zeros((2 * n_voxels, 2 * n_voxels))
    for v in range(n_voxels):
        other = (v + n_voxels // 2) % n_voxels
        matrix[2 * v : 2 * v + 2, [2 * v, 2 * v + 1, 2 * other]] = [0.4, 0.2, 0.4]
    return dataclasses.replace(
        make_network(voxels=n_voxels, neurons=6000).populations,
        size=np.tile([8 * TILE, 2 * TILE], n_voxels),
        mixture=Mixture.direct(sp.csr_array(matrix)),
    )


@pytest.mark.parametrize("method", FOUND)
def test_those_who_hear_each_other_come_together(method):
    populations = of_pairs(12)
    found = partition(populations, 6, method)
    assert found.method == method
    report, plain = (assess(populations, p) for p in (found, Partition.contiguous(populations, 6)))
    assert report.balance == plain.balance == 1
    assert report.traffic == report.cut == report.peers.sum() == 0
    assert plain.traffic > 1e4


@pytest.mark.parametrize("method", FOUND)
def test_where_nothing_is_known_blocks_are_contiguous_and_say_so(method):
    known = make_network(voxels=4, neurons=2400).populations
    bare = Populations.bare(known.voxel, known.slot, known.excitatory, known.size, known.degree)
    found = partition(bare, 3, method)
    assert found.method == "contiguous"
    assert same(found, Partition.contiguous(bare, 3))
    report = assess(bare, found)
    assert not report.traffic_known
    assert np.isnan([report.cut, report.traffic, *report.sent, *report.peers]).all()
    assert "traffic unknown" in str(report)
    assert report.balance < 1.1


def test_metis_is_asked_for_by_name_or_taken_where_it_is(monkeypatch):
    network = make_network(voxels=8, neurons=6000)
    with pytest.raises(InputError, match="method is 'best'; use auto, metis, greedy, contiguous"):
        partition(network, 2, "best")
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[partition\]'"):
        partition(network, 4, "metis")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert partition(network, 4).method in ("greedy", "contiguous")
    assert same(partition(network, 4), partition(network, 4, "greedy"))


@pytest.mark.parametrize("rate_hz", [-1.0, np.nan, np.inf])
def test_a_rate_that_makes_no_sense_is_refused(rate_hz):
    with pytest.raises(InputError, match="rate_hz"):
        partition(make_network(), 2, rate_hz=rate_hz)


@needs_dtb
@needs_metis
@pytest.mark.parametrize(
    ("n_blocks", "lpt", "share"),
    [(16, 1.015, 0.75), (20, 1.008, 0.78), (30, 1.003, 0.8), (60, 1.041, 0.85)],
)
def test_dtbs_example_is_more_even_than_lpt_and_sends_much_less(n_blocks, lpt, share):
    """LPT: whole populations of the 90 regions, longest first on the lightest block."""
    populations = populate(read_connectome(DTB), 5e6, 100, "voxel")
    found = assess(populations, partition(populations, n_blocks, "metis"))
    plain = assess(populations, Partition.contiguous(populations, n_blocks))
    assert found.balance <= lpt
    assert plain.balance <= lpt
    assert found.traffic < share * plain.traffic


# Blocks in files of other programs


def network_of(size, degree):
    """A network as far as `cut` can see it."""
    populations = dataclasses.replace(
        make_network().populations, size=np.array(size), degree=np.array(degree, np.int32)
    )
    return Network(populations, Parameters({}), None, (), {})


@given(
    populations=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 300)), min_size=1, max_size=8
    ),
    share=st.floats(0, 1),
)
@example(populations=[(2, 0), (1, 100)], share=1.0)
@settings(max_examples=100, deadline=None)
def test_cuts_cover_the_neurons_in_order_and_cost_about_the_same(populations, share):
    size, degree = zip(*populations, strict=True)
    network = network_of(size, degree)
    n_blocks = max(1, round(share * sum(size)))
    bounds = cut(network, n_blocks)
    assert bounds.size == n_blocks + 1
    assert (bounds[0], bounds[-1]) == (0, sum(size))
    assert (np.diff(bounds) > 0).all(), "a block is empty"
    per_neuron = np.repeat(1.0 + np.array(degree), size)
    cost = np.add.reduceat(per_neuron, bounds[:-1])
    assert cost.max() <= cost.mean() + per_neuron.max() + 1e-6


def test_a_costly_population_is_cut_into_more_blocks():
    bounds = cut(network_of([1000, 1000], [9, 89]), 10)
    assert (np.diff(bounds)[0], np.diff(bounds)[-1]) == (1000, 111)
    assert np.searchsorted(bounds, 1000) == 1


@pytest.mark.parametrize("n_blocks", [0, -1, 598])
def test_a_number_of_cuts_that_makes_no_sense_is_refused(n_blocks):
    with pytest.raises(InputError, match=rf"blocks is {n_blocks}; expected 1 to 597"):
        cut(make_network(), n_blocks)
    assert cut(make_network(), 597).tolist() == list(range(598))
