"""A recorded run on a cluster outlives its workers, and ends within seconds where it is told to."""

import logging
import os
import random
import signal
import threading
import time
from contextlib import suppress

import dask
import numpy as np
import pytest
from orphans import left_behind
from stores import same_arrays
from striking import (
    RECORD,
    SEED,
    after,
    held,
    network_to_strike,
    struck,
    undisturbed,
    wait_until,
)

from dtbdask import schema
from dtbdask.errors import ExchangeError, SessionError, StoreError
from dtbdask.sim import recovery
from dtbdask.sim.restart import resume_run
from dtbdask.sim.session import Session


@pytest.fixture
def client(two_workers):
    """The client, once both workers are there; afterwards they are, and nothing is left."""
    two_workers.wait_for_workers(2, timeout=60)
    with dask.config.set({"dtbdask.session.window-steps": 50}):
        yield two_workers
    two_workers.wait_for_workers(2, timeout=60)
    assert two_workers.submit(sum, [1, 2], pure=False).result(timeout=30) == 3
    assert held(two_workers) == 0, "something was left on the workers"
    wait_until(lambda: not left_behind(two_workers))


@pytest.fixture(scope="module")
def network():
    return network_to_strike()


def blow(client, where, what=signal.SIGKILL, after_s=0.0, moments=None):
    """Send a signal to the process of a worker, soon, and note the moment."""
    pid = client.run(os.getpid, workers=[where])[where]

    def now():
        if moments is not None:
            moments.append(time.monotonic())
        os.kill(pid, what)

    threading.Timer(after_s, now).start()
    return pid


# Workers die


@pytest.mark.parametrize(
    ("kills", "members"), [(2, 1), (1, 2), pytest.param(20, 1, marks=pytest.mark.slow)]
)
def test_killed_workers_leave_no_mark_on_a_recording(
    client, network, tmp_path, monkeypatch, caplog, record_property, kills, members
):
    draw, seconds = random.Random(kills), 0.6 * kills
    v = undisturbed(network, tmp_path / "meant", seconds, members=members)

    def kill(session):
        blow(client, draw.choice(session.workers), after_s=draw.uniform(0, 0.03), moments=killed)

    killed, ready = [], timed_recoveries(monkeypatch)
    steps = [600 * k + draw.randrange(500) for k in range(kills)]
    struck(monkeypatch, [(step, kill) for step in steps])
    with Session(network, client, seed=SEED, tr_s=0.1, members=members) as session:
        with caplog.at_level(logging.WARNING):
            session.run(seconds, record=RECORD, to=tmp_path / "run", checkpoint_every=0.2)
        np.testing.assert_array_equal(after(session), v)
        assert session.step == 600 * kills + 10
    same_arrays(tmp_path / "run", tmp_path / "meant")
    told = schema.read_root(tmp_path / "run")["recoveries"]
    assert len(told) >= kills
    assert all(one["step"] % 200 == 0 and "lost" in one["why"] for one in told)
    assert caplog.text.count("lost tcp://") == len(told)
    if len(told) == len(killed):  # else some kills fell into a recovery
        beyond = np.subtract(ready, killed)
        record_property(
            "seconds from a kill until the lost work was begun again",
            np.sort(beyond).round(1).tolist(),
        )
        assert kills < 20 or np.median(beyond) < 15


def timed_recoveries(monkeypatch):
    """Moments at which sessions are where the last checkpoint was, as they come."""
    recovered, moments = recovery._recovered, []

    def timed(*given):
        made = recovered(*given)
        moments.append(time.monotonic())
        return made

    monkeypatch.setattr(recovery, "_recovered", timed)
    return moments


@pytest.fixture
def stopped(client):
    """Processes that were stopped; they are killed afterwards."""
    processes = []
    yield processes
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("members", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_worker_that_hangs_is_left_out_and_one_that_joins_is_used(
    client, network, tmp_path, monkeypatch, stopped, members
):
    def stop(session):
        stopped.append(blow(client, session.workers[1], signal.SIGSTOP))

    monkeypatch.setattr(recovery, "RETURN_S", 1.0)  # it will not answer
    common = {"seed": SEED, "tr_s": 0.1, "members": members}
    with Session(network, **common) as session:
        for name in ("run meant", "more meant"):
            session.run(0.3, record=RECORD, to=tmp_path / name)
    options = {"record": RECORD, "checkpoint_every": 0.2}
    blocks = 2 if members == 1 else None
    with (
        dask.config.set({"dtbdask.session.timeout": "2 s"}),
        Session(network, client, blocks=blocks, **common) as session,
    ):
        one, other = session.workers
        struck(monkeypatch, [(230, stop)])
        start = time.monotonic()
        session.run(0.3, to=tmp_path / "run", **options)
        assert time.monotonic() - start < 30
        assert session.workers == [one]
        os.kill(stopped[0], signal.SIGKILL)
        wait_until(lambda: other not in client.scheduler_info()["workers"])
        client.wait_for_workers(2, timeout=60)
        struck(monkeypatch, [(500, lambda session: blow(client, one))])
        session.run(0.3, to=tmp_path / "more", **options)
        assert session.workers
        assert one not in session.workers
    for name in ("run", "more"):
        same_arrays(tmp_path / name, tmp_path / f"{name} meant")


def failing(error, times=10**9):
    """An `advance` that fails so often."""
    advance, left = Session.advance, [None] * min(times, 1000)

    def made(self, n_steps, **options):
        if self.step >= 100 and left:
            left.pop()
            raise error
        return advance(self, n_steps, **options)

    return made


def test_losses_at_the_same_step_are_bounded_and_other_errors_are_raised_at_once(
    client, network, tmp_path, monkeypatch
):
    lost = ExchangeError("block 0 lost block 1")
    options = {"record": RECORD, "checkpoint_every": 0.05}
    with (
        Session(network, client, seed=SEED, tr_s=0.1) as session,
        monkeypatch.context() as patched,
    ):
        patched.setattr(Session, "advance", failing(StoreError("full")))
        with pytest.raises(StoreError, match=r"^full$"):
            session.run(0.3, to=tmp_path / "full", **options)
        assert "recoveries" not in schema.read_root(tmp_path / "full")
        patched.undo()
        patched.setattr(Session, "advance", failing(lost))
        with pytest.raises(ExchangeError, match="loss 3 at step 100; resume it with: dtbdask"):
            session.run(0.3, to=tmp_path / "run", **options)
        assert len(schema.read_root(tmp_path / "run")["recoveries"]) == 2
        with pytest.raises(ExchangeError, match="lost block 1; give checkpoint_every"):
            session.run(0.3, record=RECORD, to=tmp_path / "bare")
    resume_run(tmp_path / "run", network, client)
    with Session(network, seed=SEED, tr_s=0.1) as session:
        session.run(0.1)
        session.run(0.3, record=RECORD, to=tmp_path / "meant")
    same_arrays(tmp_path / "run", tmp_path / "meant")
    assert len(schema.read_root(tmp_path / "run")["recoveries"]) == 2


# Somebody ends a run


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("how", ["interrupt", "cancel"])
def test_a_run_that_is_ended_ends_soon_and_can_be_resumed(
    client, network, tmp_path, monkeypatch, how, blocks
):
    moment = []

    def end(session):
        moment.append(time.monotonic())
        if how == "cancel":
            session.cancel()
        else:
            os.kill(os.getpid(), signal.SIGINT)

    path, timers = tmp_path / "run", []
    expected = SessionError if how == "cancel" else KeyboardInterrupt
    options = {"record": ("rate",), "to": path, "checkpoint_wall": 1000}
    with (
        dask.config.set({"dtbdask.session.window-steps": 10**6}),
        Session(network, client, seed=SEED, blocks=blocks, t_steps=10) as session,
    ):
        session.advance(1)

        def later(session):
            timers.append(threading.Timer(0.1, end, [session]))
            timers[0].start()

        struck(monkeypatch, [(1, later)])
        with pytest.raises(expected):
            session.run(5, **options)
        assert time.monotonic() - moment[0] < 4
        with pytest.raises(SessionError):
            session.advance(1)
    assert held(client) == 0
    assert resume_run(path, network, client, blocks=blocks).finished


def test_cancel_ends_a_session_of_this_process_too(network, tmp_path):
    with Session(network, seed=SEED, t_steps=10) as session:
        threading.Timer(0.3, session.cancel).start()
        start = time.monotonic()
        with pytest.raises(SessionError, match="cancelled"):
            session.run(1000)
        assert time.monotonic() - start < 4
        with pytest.raises(SessionError, match="cancelled"):
            session.advance(1)
