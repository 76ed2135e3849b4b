"""A block among peers that are not there is that of a session; it counts what they would hear."""

import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.graph.partition import Partition
from dtbdask.sim import dry_run
from dtbdask.sim.block import Block
from dtbdask.sim.spec import BlockSpec

BLOCKS, RANK, RATE = 6, 2, 20.0


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=4, neurons=4000, degree=30, seed=4)


@pytest.fixture(scope="module")
def heard(network):
    """What each block hears."""
    division = Partition.contiguous(network, BLOCKS)
    return division, [Block(BlockSpec(network, ranges, 0)).edges for ranges in division.ranges]


def figures(network, **options):
    lines = dry_run.dry_run(network, BLOCKS, RANK, steps=5, rate_hz=RATE, **options)
    return {line.name: line.found for line in lines}


def test_it_counts_what_the_blocks_of_a_session_hear(network, heard):
    division, edges = heard
    found = figures(network)
    assert found["neurons"] == division.neurons(RANK).size
    assert found["synapses"] == edges[RANK].target.size
    assert found["foreign neurons heard"] == edges[RANK].heard.size
    sent = sum(np.count_nonzero(division.owner(one.heard) == RANK) for one in edges)
    assert sent > 0
    assert found["spikes sent a step"] == pytest.approx(sent * RATE / 1000)
    assert found["messages a step, to all"] == BLOCKS - 1
    assert found["bytes a step, to all"] == pytest.approx(
        12 * (BLOCKS - 1) + 4 * sent * RATE / 1000
    )


def test_a_sample_of_many_peers_tells_about_the_same(network, monkeypatch):
    exact = figures(network)["spikes sent a step"]
    monkeypatch.setattr(dry_run, "MOST_PEERS", 3)
    drawn = [figures(network, seed=seed)["spikes sent a step"] for seed in range(8)]
    assert len(set(drawn)) > 1
    assert np.mean(drawn) == pytest.approx(exact, rel=0.1)


def test_it_stands_beside_the_plan(network):
    dry_run.dry_run(network, BLOCKS, RANK, steps=5, rate_hz=RATE)  # loads the kernels, once
    large = make_network(voxels=4, neurons=40_000, degree=50, seed=4)
    lines = dry_run.dry_run(large, BLOCKS, RANK, steps=5, rate_hz=RATE)
    planned = {line.name: line.found / line.planned for line in lines if line.planned is not None}
    for name in ("foreign neurons heard", "spikes sent a step", "memory held, bytes"):
        assert planned[name] == pytest.approx(1, abs=0.05), name


def test_in_a_grid_it_talks_to_fewer(network):
    assert figures(network, row=3)["messages a step, in a grid"] < BLOCKS - 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"blocks": 1}, "blocks is 1"),
        ({"rank": 6}, "rank is 6"),
        ({"steps": 0}, "steps is 0"),
        ({"rate_hz": 0.0}, "rate_hz is 0"),
    ],
)
def test_what_cannot_be_is_refused(network, wrong, told):
    with pytest.raises(InputError, match=told):
        dry_run.dry_run(network, **{"blocks": BLOCKS, "rank": RANK, **wrong})
