"""Blocks that swap in the kernel make the same steps as one block, and as step by step."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exchanges import NOTHING
from kept import as_import
from marching import SEED, TR, marching, ring_of, shares
from networks import FOUR, delayed, make_network, resized
from swapping import remains

from dtbdask.errors import ExchangeError, LostError
from dtbdask.graph.partition import Partition
from dtbdask.sim import block as block_module
from dtbdask.sim import exchange_shm
from dtbdask.sim.gang import Gang
from dtbdask.sim.quantities import Request
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.stimuli import Step, bind, drive_of


def same(network, partition, pieces, alter=None, given=None, **options):
    """Whether blocks do as one that is the whole network; `alter` is done to their gangs."""
    of_network = {name: value for name, value in options.items() if name != "threads"}
    gang = Gang.local([BlockSpec.whole(network, SEED, **of_network)], shares(network, 1))
    total = 0
    with ring_of(network, partition, **options) as ring:
        if alter is not None:
            alter(ring.gangs)
        for n in pieces:
            more = {name: make(n) for name, make in (given or {}).items()}
            window = gang.advance(n, TR, True, **more)
            found = ring.advance(n, **more)
            meant = window.spike_count, window.spike_step, window.spike_neuron
            for one, other in zip(found, meant, strict=True):
                np.testing.assert_array_equal(one, other)
            total += window.spike_neuron.size
        for name in ("v", "ou", "j_ampa", "refractory"):
            ((_, values),) = gang.state(name)
            np.testing.assert_array_equal(ring.state(name), values[0])
    assert total > 100


def with_delays():
    """A network whose blocks, of whole voxels, swap seldom."""
    network = make_network(voxels=4, neurons=2400, degree=30, noise_rate=0.002)
    return resized(delayed(network, np.arange(4, 16)), [384, 128] * 4)


@pytest.mark.parametrize("n_blocks", [2, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_blocks_and_threads(n_blocks, threads):
    network = make_network(neurons=1200, noise_rate=0.01)
    same(network, shares(network, n_blocks), [1, 40, 7], threads=threads)


@pytest.mark.parametrize(
    "owner",
    [[0] * 8 + [1] * 8, [0] * 4 + [1] * 4 + [2] * 8, [0, 1] * 8, [0] * 4 + [1, 2] * 2 + [2] * 8],
    ids=["whole voxels", "three", "shared", "some shared"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_delays_and_seldom_swaps(owner, threads):
    network = with_delays()
    partition = Partition.of_tiles(np.array(owner), network.n_neurons)
    same(network, partition, [1, 2, 61, 30], threads=threads)


@pytest.mark.parametrize("options", [{"t_steps": 3}, {"dtype": "float64"}])
def test_sub_steps_types_and_receptors(options):
    network = make_network(neurons=1200, noise_rate=0.01, **FOUR)
    same(network, shares(network, 2), [17, 8], **options)


def test_scripted_spikes_and_wide_weights(tmp_path):
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 60, 300), rng.integers(0, 1200, 300)
    scripted = as_import(make_network(neurons=1200), tmp_path / "net", sources=sources)
    same(scripted, shares(scripted, 2), [11, 30])
    wide = make_network(neurons=1200, noise_rate=0.01, wide=True)
    same(wide, shares(wide, 2), [11, 30])


def test_strides_of_any_length_and_messages_longer_than_a_ring(monkeypatch):
    network = make_network(neurons=6000, noise_rate=0.08)
    monkeypatch.setattr(exchange_shm, "LARGEST", exchange_shm.SMALLEST)
    for stride in (1, 3000 * 7):
        monkeypatch.setattr(block_module, "STRIDE", stride)
        same(network, shares(network, 2), [20])


def test_stimuli_divide_a_stride():
    network = make_network(neurons=1200, noise_rate=0.01)
    step = Step(population="E", amplitude=0.8, onset_ms=3, duration_ms=4)
    bound = [bind(step, network, 0, 1.0)]
    drive = {"drive": lambda n: drive_of(bound, 0, n, 1.0)}
    same(network, shares(network, 2), [20], given=drive)


@pytest.mark.parametrize("make", [with_delays, lambda: make_network(neurons=1200, noise_rate=0.01)])
def test_who_goes_step_by_step_swaps_with_who_marches(make):
    network = make()

    def alter(gangs):
        gangs[0]._march = None

    same(network, shares(network, 3), [5, 33], alter=alter)


def test_windows_that_are_looked_at_go_step_by_step_between_the_others():
    network = make_network(neurons=1200, noise_rate=0.01)
    request = Request.make(network, ("v_mean",), 30, 1.0)
    looks = iter([None, request.watch(network), None])
    seen = {}

    def watch(n):
        seen[n] = next(looks)
        return seen[n]

    same(network, shares(network, 2), [5, 10, 15], given={"watch": watch})
    assert seen[10] is not None


# Ends


def ended(ring, victim, act, n_steps=10**9):
    """What the others tell, and after how long, once something is done to a gang that marches."""
    with ThreadPoolExecutor(len(ring.gangs)) as pool:
        going = [pool.submit(gang.advance, n_steps, TR, False) for gang in ring.gangs]
        time.sleep(0.3)
        assert not any(one.done() for one in going)
        start = time.monotonic()
        act(ring.gangs[victim])
        errors = [one.exception(10) for one in going]
        return errors, time.monotonic() - start


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("victim", [0, 2])
def test_who_is_told_to_leave_ends_within_a_second_and_so_do_its_peers(victim, threads):
    network = make_network(neurons=1200, noise_rate=0.01)
    with ring_of(network, shares(network, 3), threads=threads) as ring:
        errors, took = ended(ring, victim, lambda gang: gang.leave())
    assert took < 1
    assert all(isinstance(error, ExchangeError | LostError) for error in errors)
    assert any(f"lost block {victim} at step" in str(error) for error in errors)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_process_that_is_killed_in_a_stride_is_found_within_a_second_by_all(victim):
    token = secrets.token_bytes(32)
    with marching(3, token) as (processes, pipes):
        time.sleep(0.3)
        processes[victim].kill()
        start = time.monotonic()
        for rank, pipe in enumerate(pipes):
            if rank != victim:
                assert pipe.poll(max(1 - (time.monotonic() - start), 0)), "not found within 1 s"
                assert f"lost block {victim} at step" in pipe.recv()
    assert not remains(token)


def test_a_stride_that_waits_is_left_within_a_second():
    network = make_network(neurons=1200, noise_rate=0.01)
    with ring_of(network, shares(network, 2), threads=2) as ring, ThreadPoolExecutor(1) as pool:
        going = pool.submit(ring.gangs[0].advance, 100, TR, False)
        time.sleep(0.2)
        start = time.monotonic()
        ring.gangs[0].leave()
        assert isinstance(going.exception(10), ExchangeError)
        assert time.monotonic() - start < 1


def test_a_peer_that_never_answers_is_an_error_after_the_deadline(monkeypatch):
    network = make_network(neurons=1200, noise_rate=0.01)
    with ring_of(network, shares(network, 2)) as ring:
        ring.each(lambda gang: gang.advance(3, TR, False))
        ring.gangs[0].exchanges[0].timeout = 0.3
        with pytest.raises(ExchangeError, match=r"block 0 lost block 1 at step 3: no answer"):
            ring.gangs[0].advance(5, TR, False)


def test_rows_that_are_not_there_are_an_error_before_they_are_read():
    network = make_network(neurons=1200, noise_rate=0.01)
    for march in (True, False):
        with ring_of(network, shares(network, 2)) as ring:
            if not march:
                ring.gangs[0]._march = None
            ring.gangs[1].exchanges[0].post(0, [np.array([2**31], np.uint32), NOTHING])
            with pytest.raises(ExchangeError, match="no message of spikes" if march else "row 2,1"):
                ring.gangs[0].advance(5, TR, False)
