"""Members on several threads are the members of one, whatever is done to them."""

import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import InputError, SessionError
from dtbdask.rng import TILE
from dtbdask.sim.abreast import Abreast
from dtbdask.sim.session import Session

MEMBERS = 5
OPTIONS = {"seed": 11, "members": MEMBERS, "tr_s": 0.02}


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=3, neurons=2 * TILE + 40, noise_rate=0.01)


def led(session):
    """What a session shows that is led through changes of all kinds."""
    shown = [session.advance(30, spikes=True)]
    session.set("g_ampa", np.linspace(0.5, 2, MEMBERS)[:, None] * np.full((1, 6), 0.002),
                member=np.arange(MEMBERS))  # fmt: skip
    session.put_balloon(session.balloon() * np.linspace(0.9, 1.1, MEMBERS)[:, None])
    shown.append(session.advance(45))
    told = [getattr(window, name) for window in shown
            for name in ("spike_count", "bold", "n_spikes", "spike_neuron")]  # fmt: skip
    return [*told, session.state("v"), session.state("j_ampa"), session.balloon()]


def same(one, other):
    for found, meant in zip(one, other, strict=True):
        np.testing.assert_array_equal(found, meant)


@pytest.mark.parametrize("threads", [2, 3, 5, 11])
def test_any_number_of_threads(network, threads):
    """Those that are more than members share the neurons of one."""
    with Session(network, **OPTIONS) as one, Session(network, threads=threads, **OPTIONS) as many:
        same(led(many), led(one))


def test_the_edges_are_held_once(network):
    with Session(network, threads=3, **OPTIONS) as session:
        assert isinstance(session._crew, Abreast)
        first, *others = (gang.blocks[0].edges for gang in session._crew._gangs)
        assert len(others) == 2
        assert all(edges is first for edges in others)


def test_a_checkpoint_goes_on_with_other_threads(network, tmp_path):
    with Session(network, threads=2, **OPTIONS) as session:
        session.advance(30)
        session.checkpoint(tmp_path / "kept")
        meant = session.advance(30)
    for threads in (1, 3):
        with Session.resume(tmp_path / "kept", network, threads=threads) as session:
            found = session.advance(30)
        same([found.spike_count, found.bold], [meant.spike_count, meant.bold])


def test_what_one_refuses_all_refuse(network):
    """And go on as if nothing had been asked."""
    with Session(network, **OPTIONS) as one, Session(network, threads=2, **OPTIONS) as many:
        for session in (one, many):
            with pytest.raises(InputError, match="t_ref"):
                session.set("t_ref", np.linspace(5, 1e5, MEMBERS)[:, None] * np.ones((1, 6)),
                            member=np.arange(MEMBERS))  # fmt: skip
        same(led(many), led(one))


def test_all_are_cancelled(network):
    with Session(network, threads=2, **OPTIONS) as session:
        session.cancel()
        with pytest.raises(SessionError, match="cancelled"):
            session.advance(10)


def test_time_is_told_of_each(network):
    with Session(network, threads=2, **OPTIONS) as session:
        session.advance(20)
        timing = session.timing()
    assert (timing.seconds.sum(axis=1) > 0).tolist() == [True, True]
