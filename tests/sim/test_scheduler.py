"""A scheduler that hangs for a while delays a run; one that goes on hanging, or dies, ends it."""

import os
import signal
import subprocess
import sys
import threading
import time

import dask
import pytest
from distributed import Client
from stores import same_arrays
from striking import RECORD, SEED, held, network_to_strike, struck, undisturbed, wait_until

from dtbdask import schema
from dtbdask.errors import SchedulerError, SessionError
from dtbdask.sim.restart import resume_run
from dtbdask.sim.session import Session

OPTIONS = {"record": RECORD, "checkpoint_every": 0.1}


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """A scheduler and two workers in processes of their own."""
    file, begun = tmp_path_factory.mktemp("cluster") / "scheduler.json", []

    def begin(kind, *words):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words,
                   "--scheduler-file", file, "--no-dashboard"]  # fmt: skip
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begun.append(subprocess.Popen(command, start_new_session=True, **quiet))
        return begun[-1]

    scheduler = begin("scheduler", "--host", "127.0.0.1", "--port", "0")
    begin("worker", "--nworkers", "2", "--nthreads", "1", "--host", "127.0.0.1")
    wait_until(file.exists)
    client = Client(scheduler_file=str(file), set_as_default=False)
    try:
        client.wait_for_workers(2, timeout=60)
        yield scheduler, client
    finally:
        client.close(timeout=2)
        for process in begun:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def network():
    return network_to_strike()


@pytest.fixture(scope="module")
def meant(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("meant") / "run"
    undisturbed(network, path, 0.5)
    return path


@pytest.fixture(autouse=True)
def _short():
    with dask.config.set({"dtbdask.session.window-steps": 50, "dtbdask.session.timeout": "2 s"}):
        yield


def test_a_scheduler_that_answers_again_in_time_only_delays_the_run(
    processes, network, meant, tmp_path, monkeypatch
):
    scheduler, client = processes

    def pause(session):
        scheduler.send_signal(signal.SIGSTOP)
        threading.Timer(1.2, scheduler.send_signal, [signal.SIGCONT]).start()

    struck(monkeypatch, [(250, pause)])
    start = time.monotonic()
    with Session(network, client, seed=SEED, tr_s=0.1) as session:
        session.run(0.5, to=tmp_path / "run", **OPTIONS)
    assert time.monotonic() - start > 1
    assert "recoveries" not in schema.read_root(tmp_path / "run")
    same_arrays(tmp_path / "run", meant)


def test_a_scheduler_that_hangs_ends_the_run_by_the_deadline_and_it_is_resumed_there(
    processes, network, meant, tmp_path, monkeypatch
):
    scheduler, client = processes
    path, moment = tmp_path / "run", []

    def stop(session):
        moment.append(time.monotonic())
        scheduler.send_signal(signal.SIGSTOP)

    struck(monkeypatch, [(250, stop)])
    try:
        session = Session(network, client, seed=SEED, tr_s=0.1)
        told = f"scheduler .* does not answer, for 2 s.* after step .*dtbdask resume {path}"
        with pytest.raises(SchedulerError, match=told):
            session.run(0.5, to=path, **OPTIONS)
        with pytest.raises(SessionError, match="was lost"):
            session.advance(1)
        session.close()
        assert time.monotonic() - moment[0] < 3 * 2 + 5
        start = time.monotonic()
        with pytest.raises(SchedulerError, match="does not answer"):
            Session(network, client)
        assert time.monotonic() - start < 2 + 2
    finally:
        scheduler.send_signal(signal.SIGCONT)
    wait_until(lambda: held(client) == 0)
    resume_run(path, network, client)
    same_arrays(path, meant)


def test_the_loss_of_the_scheduler_is_told_in_time_and_the_run_is_resumed_here(
    processes, network, meant, tmp_path, monkeypatch
):
    scheduler, client = processes
    path, moment = tmp_path / "run", []

    def kill(session):
        moment.append(time.monotonic())
        scheduler.kill()

    struck(monkeypatch, [(250, kill)])
    session = Session(network, client, seed=SEED, tr_s=0.1)
    with pytest.raises(SchedulerError, match=f"scheduler .* was lost.*dtbdask resume {path}"):
        session.run(0.5, to=path, **OPTIONS)
    session.close()
    assert time.monotonic() - moment[0] < 10
    resume_run(path, network)
    same_arrays(path, meant)
