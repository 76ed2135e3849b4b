"""Gangs of one block each that share memory: on threads, or each in a process of its own."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from exchanges import TOKEN, connected
from networks import make_network

from dtbdask.errors import ExchangeError
from dtbdask.graph.partition import Partition
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


@contextmanager
def ring_of(network, partition, **options):
    ring = Ring(network, partition, **options)
    try:
        assert all(gang._march is not None for gang in ring.gangs)
        yield ring
    finally:
        ring.close()


def advance(rank, size, token, pipe):
    """Be one block: meet the others, march without end, and tell how that ended."""
    network = make_network(neurons=1200, noise_rate=0.01)
    partition = shares(network, size)
    end = Shm(rank, size, token, 60)
    pipe.send(end.address)
    gang = Gang([BlockSpec(network, partition.ranges[rank], SEED)], [end], partition)
    end.connect(pipe.recv())
    gang.introduce()
    pipe.send("met")
    try:
        gang.advance(10**9, TR, False)
    except ExchangeError as error:
        pipe.send(str(error))


@contextmanager
def marching(size, token):
    """Processes whose blocks march, and a pipe to each."""
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(size)]
    processes = [
        spawn.Process(target=advance, args=(rank, size, token, far), daemon=True)
        for rank, (_, far) in enumerate(pipes)
    ]
    near = [pipe for pipe, _ in pipes]
    try:
        for process in processes:
            process.start()
        addresses = [pipe.recv() for pipe in near]
        for pipe in near:
            pipe.send(addresses)
        assert [pipe.recv() for pipe in near] == ["met"] * size
        yield processes, near
    finally:
        for process in processes:
            process.kill()
            process.join()
