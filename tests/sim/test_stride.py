"""Many steps at once, whose threads meet in the kernel, are the same steps one by one."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import as_import
from networks import FOUR, delayed, make_network

from dtbdask.kernels import cpu_machine
from dtbdask.sim import block as block_module
from dtbdask.sim.block import Block
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

SEED = 11


def pair(network, **options):
    return [Block(BlockSpec.whole(network, SEED, **options)) for _ in range(2)]


def logged(stride):
    """Spikes of member 0, step by step."""
    parts = [
        np.split(log[: counts.sum()], np.cumsum(counts)[:-1])
        for log, counts in zip(stride.logs, stride.n_log, strict=True)
    ]
    return [np.concatenate(step) for step in zip(*parts, strict=True)]


def same(one, other, pieces):
    for n in pieces:
        stride, counts, spikes = one.stride(n, spikes=True), [], []
        for _ in range(n):
            other.step()
            counts.append(other.spikes.copy())
            spikes.append(other.local_spikes())
        np.testing.assert_array_equal(stride.spike_count, counts)
        np.testing.assert_array_equal(one.spikes, other.spikes)
        for found, meant in zip(logged(stride), spikes, strict=True):
            np.testing.assert_array_equal(found, meant)
        np.testing.assert_array_equal(one.local_spikes(), other.local_spikes())
        for name in ("v", "ou", "refractory", "kick"):
            np.testing.assert_array_equal(getattr(one.state, name), getattr(other.state, name))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.sampled_from([1, 2, 4]))
def test_any_pieces_on_any_threads(pieces, threads):
    same(*pair(make_network(noise_rate=0.01), threads=threads), pieces)


@pytest.mark.parametrize("options", [{"members": 3}, {"t_steps": 3}, {"dtype": "float64"}])
def test_members_sub_steps_and_types(options):
    network = make_network(noise_rate=0.01, **FOUR)
    one, other = pair(network, threads=2, **options)
    same(one, other, [7, 8])


def test_delays_and_scripted_spikes(tmp_path):
    network = make_network(voxels=4, neurons=1200, degree=30, noise_rate=0.01)
    n = network.populations.mixture.far_population.size
    late = delayed(network, np.random.default_rng(1).integers(1, 9, n))
    same(*pair(late, threads=2), [11, 30])
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 60, 300), rng.integers(0, 1200, 300)
    scripted = as_import(make_network(neurons=1200), tmp_path / "net", sources=sources)
    same(*pair(scripted, threads=2), [11, 30])


def test_the_interpreter_has_its_turn(monkeypatch):
    network, found = make_network(noise_rate=0.01), []
    for stride in (1, 597 * 7, block_module.STRIDE):
        monkeypatch.setattr(block_module, "STRIDE", stride)
        with Session(network, seed=SEED, device="cpu", threads=2) as session:
            window = session.advance(50, spikes=True)
            found.append((window.spike_count, window.spike_step, window.spike_neuron))
    assert found[0][1].size > 50
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_thread_goes_on_before_the_last_has_come():
    arrived, order = np.zeros((3, cpu_machine.LINE), np.int64), []
    moments = 40

    def walk(part):
        for moment in range(1, moments + 1):
            order.append(moment)
            cpu_machine.meet(arrived, part, moment)

    threads = [threading.Thread(target=walk, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert order == sorted(order)
    assert (arrived[:, 0] == moments).all()
