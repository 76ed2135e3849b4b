"""The network between two hosts is cut: the run goes on with the workers that are left.

Hosts are network namespaces of this machine, joined by a bridge.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import dask
import pytest
from distributed import Client
from networks import make_network
from stores import same_arrays

from dtbdask import schema
from dtbdask.cluster import CONFIGURATION
from dtbdask.sim.session import Session

HOST = "10.213.77"
BRIDGE = f"dtb{os.getpid() % 10**6}"
OPTIONS = {"record": ("rate", "bold", "spikes"), "checkpoint_every": 0.1}


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def namespaces_work():
    """Whether this process may make network namespaces and bridges."""
    if os.geteuid() or not shutil.which("ip"):
        return False
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("netns", "add", BRIDGE)
    except subprocess.CalledProcessError:
        return False
    finally:
        for what in ("link", "netns"):
            subprocess.run(["ip", what, "delete", BRIDGE], capture_output=True)
    return True


pytestmark = pytest.mark.skipif(
    not namespaces_work(), reason="needs root, and `ip` that makes namespaces and bridges"
)


@pytest.fixture
def hosts():
    """Names of two namespaces; `BRIDGE` has address 1 of the network and they have 2 and 3."""
    with ExitStack() as stack:
        ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(ip, "link", "delete", BRIDGE)
        ip("address", "add", f"{HOST}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        names = [f"{BRIDGE}{letter}" for letter in "ab"]
        for number, name in enumerate(names, start=2):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            stack.callback(ip, "link", "delete", name)
            ip("link", "set", name, "master", BRIDGE, "up")
            inside = ("netns", "exec", name, "ip")
            ip(*inside, "address", "add", f"{HOST}.{number}/24", "dev", "eth0")
            ip(*inside, "link", "set", "eth0", "up")
            ip(*inside, "link", "set", "lo", "up")
        yield names


@pytest.fixture
def client(hosts, tmp_path):
    """A scheduler on this host, and a worker on each of the others."""
    file, begun = tmp_path / "scheduler.json", []

    def begin(kind, number, *before):
        command = [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard",
                   "--scheduler-file", str(file), "--host", f"{HOST}.{number}"]  # fmt: skip
        if kind == "worker":
            command += ["--nthreads", "1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begun.append(subprocess.Popen(command, start_new_session=True, **quiet))

    try:
        begin("scheduler", 1)
        for number, host in enumerate(hosts, start=2):
            begin("worker", number, "ip", "netns", "exec", host)
        while not file.exists():
            time.sleep(0.1)
        with dask.config.set(CONFIGURATION):
            client = Client(scheduler_file=str(file), set_as_default=False)
            client.wait_for_workers(2, timeout=60)
            yield client
            client.close(timeout=2)
    finally:
        for process in begun:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_cut_network_is_found_and_the_run_goes_on(client, hosts, tmp_path, monkeypatch):
    network = make_network(voxels=4, neurons=2400, degree=30, seed=4, noise_rate=0.002)
    with Session(network, seed=3, tr_s=0.1) as session:
        session.run(0.3, to=tmp_path / "meant", **OPTIONS)
    advance, cut = Session.advance, []

    def cutting(self, n_steps, **options):
        if self.step > 150 and not cut:
            cut.append(time.monotonic())
            ip("link", "set", hosts[1], "down")
        return advance(self, n_steps, **options)

    windows = {"dtbdask.session.timeout": "2 s", "dtbdask.session.window-steps": 50}
    with (
        dask.config.set(windows),
        Session(network, client, seed=3, tr_s=0.1, exchange="tcp") as session,
    ):
        assert session.partition.n_blocks == 2
        monkeypatch.setattr(Session, "advance", cutting)
        session.run(0.3, to=tmp_path / "run", **OPTIONS)
        assert time.monotonic() - cut[0] < 40
        assert [where.split("//")[1].split(":")[0] for where in session.workers] == [f"{HOST}.2"]
    same_arrays(tmp_path / "run", tmp_path / "meant")
    assert len(schema.read_root(tmp_path / "run")["recoveries"]) == 1
