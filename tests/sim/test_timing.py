"""What time was spent on is told by block, adds up, and names the block that others wait for."""

import time

import numpy as np
import pytest
from marching import TR, ring_of, shares
from networks import make_network

from dtbdask.sim.session import Session
from dtbdask.sim.timing import PARTS, Timing, shared


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("record", [(), ("rate", "v_mean")], ids=["strides", "steps"])
def test_parts_add_up_to_the_time_of_the_steps(blocks, threads, record, tmp_path):
    network = make_network(neurons=1200, noise_rate=0.01)
    with Session(network, blocks=blocks, threads=threads, device="cpu") as session:
        assert session.timing().n_steps == 0
        assert not session.timing().seconds.any()
        session.advance(1)
        before, begun = session.timing(), time.perf_counter()
        if record:
            session.run(0.1, record=record, to=tmp_path / "run")
        else:
            session.run(0.1)
        took = time.perf_counter() - begun
        timing = session.timing()
    assert timing.n_steps == 101
    assert timing.seconds.shape == (blocks, len(PARTS))
    spent = timing.seconds - before.seconds
    assert (spent >= 0).all()
    assert (spent[:, [PARTS.index(part) for part in ("delivery", "compute", "record")]] > 0).all()
    assert 0 < spent.sum() < took
    assert bool(spent[:, PARTS.index("swap")].any()) == (blocks > 1)


def test_the_slowest_is_that_with_most_to_do_beside_waiting():
    seconds = np.array([[1.0, 1, 1, 9, 1], [2, 1, 1, 0, 1]])
    timing = Timing.of([(10, seconds[:1]), (10, seconds[1:])])
    assert timing.slowest == 1
    figures = timing.figures()
    assert figures["slowest_block"] == 1
    assert figures["step_ms"] == 1300
    assert figures["wait_ms"] == [900, 0]
    assert list(figures) == ["n_steps", "slowest_block", "step_ms", *(f"{p}_ms" for p in PARTS)]


def test_blocks_of_a_process_share_what_is_left():
    found = shared(1.0, [[10**8, 0, 0, 0], [0, 3 * 10**8, 0, 0]])
    np.testing.assert_allclose(found.sum(), 1)
    np.testing.assert_allclose(found[:, -1], 0.3)
    assert shared(0.0, [[5, 0, 0, 0]])[0, -1] == 0


def test_blocks_that_march_tell_theirs():
    network = make_network(neurons=6000, noise_rate=0.01)
    with ring_of(network, shares(network, 2)) as ring:
        begun = time.perf_counter()
        ring.each(lambda gang: gang.advance(300, TR, False))
        took = time.perf_counter() - begun
        timing = Timing.of(ring.each(lambda gang: gang.timing()))
    assert timing.n_steps == 300
    assert (timing.seconds[:, :4] > 0).all()
    assert (timing.seconds.sum(axis=1) <= took).all()
