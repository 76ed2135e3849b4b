"""Blocks that swap in the kernel make the same steps as one block, and as step by step."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exchanges import TOKEN, connected
from networks import delayed, make_network, resized

from dtbdask.graph.partition import Partition
from dtbdask.sim import block as block_module
from dtbdask.sim.exchange_shm import Shm
from dtbdask.sim.gang import Gang
from dtbdask.sim.spec import BlockSpec

SEED = 11
TR = 50


class Ring:
    """Gangs of one block each that share memory, on threads."""

    def __init__(self, network, partition, **options):
        ends = connected([Shm(r, partition.n_blocks, TOKEN, 20) for r in range(partition.n_blocks)])
        self.gangs = [
            Gang([BlockSpec(network, ranges, SEED, **options)], [end], partition)
            for ranges, end in zip(partition.ranges, ends, strict=True)
        ]
        self.each(lambda gang: gang.introduce())

    def each(self, work):
        """What a function of each gang returns, all at the same time."""
        with ThreadPoolExecutor(len(self.gangs)) as pool:
            return list(pool.map(work, self.gangs))

    def advance(self, n_steps, **options):
        """Counts and spikes of all blocks: those of (step, population), step, neuron."""
        windows = self.each(lambda gang: gang.advance(n_steps, TR, True, **options))
        step = np.concatenate([window.spike_step for window in windows])
        neuron = np.concatenate([window.spike_neuron for window in windows])
        order = np.lexsort((neuron, step))
        return sum(window.spike_count for window in windows), step[order], neuron[order]

    def state(self, name):
        """A field of the whole network."""
        found = [part for parts in self.each(lambda gang: gang.state(name)) for part in parts]
        whole = np.empty(sum(values.shape[1] for _, values in found), found[0][1].dtype)
        for ranges, values in found:
            whole[np.concatenate([np.arange(*r) for r in ranges])] = values[0]
        return whole

    def close(self):
        for gang in self.gangs:
            gang.close()


def shares(network, n_blocks, seed=0):
    """A partition of shuffled tiles."""
    n_tiles = -(-network.n_neurons // 128)
    owner = np.random.default_rng(seed).permutation(np.arange(n_tiles) % n_blocks)
    return Partition.of_tiles(owner, network.n_neurons)


def alone(network, pieces, **options):
    gang = Gang.local([BlockSpec.whole(network, SEED, **options)], shares(network, 1))
    windows = [gang.advance(n, TR, True) for n in pieces]
    return [(w.spike_count, w.spike_step, w.spike_neuron) for w in windows], gang


def same(network, partition, pieces, **options):
    meant, gang = alone(network, pieces)
    ring = Ring(network, partition, **options)
    try:
        assert all(one._march is not None for one in ring.gangs)
        for n, window in zip(pieces, meant, strict=True):
            for found, expected in zip(ring.advance(n), window, strict=True):
                np.testing.assert_array_equal(found, expected)
        assert sum(window[1].size for window in meant) > 100
        for name in ("v", "ou", "j_ampa", "refractory"):
            (_, values), = gang.state(name)
            np.testing.assert_array_equal(ring.state(name), values[0])
    finally:
        ring.close()


@pytest.mark.parametrize("n_blocks", [2, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_blocks_and_threads(n_blocks, threads):
    network = make_network(neurons=1200, noise_rate=0.01)
    same(network, shares(network, n_blocks), [1, 40, 7], threads=threads)
