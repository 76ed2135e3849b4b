"""Clusters of other kinds: with certificates, of the tasks of a SLURM job, one that is there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from distributed import Client
from networks import make_network

from dtbdask.cluster import connect
from dtbdask.errors import InputError, MissingDependencyError, SessionError
from dtbdask.kernels import cuda
from dtbdask.sim.session import Session

TASK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from networks import make_network
from dtbdask.cluster import connect
from dtbdask.sim.session import Session

with connect("slurm") as client, Session(make_network(), client, seed=5) as session:
    found = session.advance(60, spikes=True)
    pids = client.run(os.getpid)
    print(len(set(pids.values())), session.partition.n_blocks, found.spike_neuron.tolist())
"""


@pytest.fixture(scope="module")
def meant():
    with Session(make_network(), seed=5) as session:
        return session.advance(60, spikes=True).spike_neuron


def test_the_tasks_of_a_slurm_job_are_a_cluster(meant, tmp_path):
    """Task 0 is the scheduler, task 1 goes on with the script, the others work; all end."""
    script = tmp_path / "script.py"
    script.write_text(TASK)
    job = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}
    tasks = [
        subprocess.Popen(
            [sys.executable, str(script), os.path.dirname(__file__)], cwd=tmp_path, text=True,
            env={**job, "SLURM_PROCID": str(task)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for task in range(4)
    ]  # fmt: skip
    try:
        told = [task.communicate(timeout=120) for task in tasks]
    finally:
        for task in tasks:
            task.kill()
    assert [out for out, _ in told].count("") == 3
    workers, blocks, spikes = told[1][0].split(maxsplit=2)
    assert (workers, blocks) == ("2", "2"), told[1][1]
    assert spikes.strip() == str(meant.tolist())


def test_certificates_are_made_and_asked_for(meant, tmp_path):
    with connect("local", workers=2, protocol="tls") as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with Session(make_network(), client, seed=5) as session:
            found = session.advance(60, spikes=True).spike_neuron
        file = tmp_path / "scheduler.json"
        file.write_text(json.dumps({"address": address}))
        for where in (address, str(file)):
            with pytest.raises(SessionError, match="asks for certificates"), connect(where):
                pass
    np.testing.assert_array_equal(found, meant)


def test_a_client_is_used_as_it_is_and_stays_open(meant):
    with connect("local", workers=1, processes=False) as client:
        with connect(client) as same:
            assert same is client
        assert client.submit(sum, [1, 2]).result() == 3
        assert isinstance(client, Client)


@pytest.mark.skipif(cuda.present(), reason="there is a CUDA device")
def test_devices_that_are_missing_are_told_with_what_to_do():
    told = r"pip install 'dtbdask\[cuda\]'|no CUDA"
    with pytest.raises(MissingDependencyError, match=told), connect("cuda"):
        pass


def test_outside_a_slurm_job_its_command_is_told(monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(MissingDependencyError, match="srun -n 6 python"), connect("slurm"):
        pass
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    with pytest.raises(InputError, match="2 tasks; expected at least 3"), connect("slurm"):
        pass


def test_a_protocol_that_nobody_speaks_is_refused():
    told = "protocol is 'udp'; expected one of tcp, tls, ucxx"
    with pytest.raises(InputError, match=told), connect("local", protocol="udp"):
        pass


def test_the_defaults_of_distributed_outlive_the_first_cluster():
    """They would go with what a context sets, were distributed imported inside it."""
    code = """
import dask
from dtbdask.cluster import connect
with connect("local", workers=1, processes=False):
    pass
print(dask.config.get("distributed.comm.timeouts.connect"))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "30s", ran.stderr
