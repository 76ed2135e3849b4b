"""Runs that something happens to at a certain step, and what they are compared with."""

import time

from networks import make_network

from dtbdask.sim.session import Session

RECORD = ("rate", "bold", "spikes")
SEED = 2**50 + 1


def network_to_strike():
    return make_network(voxels=4, neurons=2400, degree=30, seed=4, noise_rate=0.002)


def struck(monkeypatch, moments):
    """Have things done just before a session makes the windows with certain steps."""
    advance, left = Session.advance, sorted(moments, key=lambda moment: moment[0])

    def striking(self, n_steps, **options):
        if left and self.step + n_steps > left[0][0]:
            left.pop(0)[1](self)
        return advance(self, n_steps, **options)

    monkeypatch.setattr(Session, "advance", striking)


def undisturbed(network, path, seconds, **options):
    """Record a run in this process; V after ten steps more with another g_ampa."""
    with Session(network, seed=SEED, tr_s=0.1, **options) as session:
        session.run(seconds, record=RECORD, to=path)
        return after(session)


def after(session):
    session.set("g_ampa", 1.2, how="multiply")
    session.advance(10)
    return session.state("v")


def held(client):
    """Gangs and connections on the workers."""

    def count(dask_worker):
        home = dask_worker.plugins.get("dtbdask")
        return len(home.gangs) + len(home.exchanges) if home else 0

    return sum(client.run(count).values())


def wait_until(true, seconds=30):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)
