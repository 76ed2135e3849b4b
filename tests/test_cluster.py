"""A cluster started here is heard here alone and leaves nothing behind."""

import os

import dask
import psutil
import pytest
from networks import make_network

from dtbdask.cluster import connect
from dtbdask.errors import InputError, InputFileError, SessionError
from dtbdask.sim.session import Session


def processes():
    """This process and all it started, but for Python's own keeper of semaphores."""
    me = psutil.Process()
    children = me.children(recursive=True)
    return {me, *(c for c in children if "resource_tracker" not in " ".join(c.cmdline()))}


def sockets(*kinds):
    """Local ends (pid, host, port) of the sockets of all these processes."""
    return {
        (process.pid, *connection.laddr)
        for process in processes()
        for connection in process.net_connections("inet")
        if connection.status in kinds
    }


BEFORE = psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED


@pytest.fixture(scope="module")
def around():
    """Processes and sockets from before."""
    return processes(), sockets(*BEFORE)


@pytest.fixture(scope="module")
def client(around):
    with connect("local", workers=2, threads=3) as client:
        yield client


def hosts(addresses):
    return {address.split("://")[-1].rsplit(":", 1)[0] for address in addresses}


def heard_here_alone(client, before):
    """What was opened since is on the loopback interface, whatever the scheduler says of it."""
    new = sockets(*BEFORE) - before
    assert new
    assert {host for _, host, _ in new} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    info = client.scheduler_info(n_workers=-1)
    assert client.dashboard_link.startswith("http://127.0.0.1:")
    return info


# On this machine


def test_as_many_processes_and_threads_as_asked_for_do_the_work(client):
    assert sorted(client.nthreads().values()) == [3, 3]
    pids = client.run(os.getpid)
    assert len({os.getpid(), *pids.values()}) == 3
    assert client.submit(sum, [1, 2, 3]).result() == 6


def test_it_listens_on_the_loopback_interface_only(client, around):
    info = heard_here_alone(client, around[1])
    nannies = [worker["nanny"] for worker in info["workers"].values()]
    assert hosts([info["address"], *info["workers"], *nannies]) == {"127.0.0.1"}
    listening = {(pid, port) for pid, _, port in sockets(psutil.CONN_LISTEN) - around[1]}
    for pid in client.run(os.getpid).values():
        assert [port for owner, port in listening if owner == pid]


def test_so_do_the_blocks_of_a_session(client, around):
    with Session(make_network(), client):
        heard_here_alone(client, around[1])
    assert client.submit(sum, [1, 2]).result() == 3


def fail_within(before):
    with connect("local", workers=1) as client:
        pid = client.submit(os.getpid).result()
        raise ZeroDivisionError(client, pid, processes() - before)


def test_it_ends_with_its_context_also_after_an_error():
    before, opened = processes(), sockets(psutil.CONN_LISTEN)
    kept = dict(dask.config.get("distributed.deploy"))
    with pytest.raises(ZeroDivisionError) as caught:
        fail_within(before)
    client, pid, started = caught.value.args
    assert pid in {process.pid for process in started}
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive
    assert processes() == before
    assert sockets(psutil.CONN_LISTEN) == opened
    assert client.status == "closed"
    assert dask.config.get("distributed.deploy") == kept


def test_workers_may_live_in_this_process():
    before, opened = processes(), sockets(*BEFORE)
    with connect("local", workers=2, processes=False) as client:
        assert list(client.run(os.getpid).values()) == [os.getpid()] * 2
        with Session(make_network(), client) as session:
            heard_here_alone(client, opened)
            found = session.advance(20, spikes=True).spike_neuron
        assert processes() == before
    with Session(make_network()) as session:
        assert (session.advance(20, spikes=True).spike_neuron == found).all()
    assert sockets(psutil.CONN_LISTEN) <= opened


# Elsewhere


def test_an_address_or_a_file_joins_a_cluster_that_runs_and_leaves_it_running(client, tmp_path):
    file = tmp_path / "scheduler.json"
    client.write_scheduler_file(str(file))
    for where in (client.scheduler.address, str(file)):
        with connect(where) as other:
            assert other.scheduler.address == client.scheduler.address
            assert other.id != client.id
            assert set(other.nthreads()) == set(client.nthreads())
        assert client.submit(sum, [2, 3], pure=False).result() == 5


# Refusals


@pytest.mark.parametrize("where", ["Local", "", "laptop", "localhost:8786", "cluster.yaml"])
def test_a_wrong_word_is_refused_with_what_is_possible(where):
    with pytest.raises(InputError) as caught, connect(where):
        pass
    told = str(caught.value)
    assert repr(where) in told
    for possible in ("'local'", "tcp://", ".json"):
        assert possible in told


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": -2}, {"threads": 0}], ids=str)
def test_a_cluster_of_nothing_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name} is {value}"), connect("local", **wrong):
        pass


@pytest.mark.timeout(10)
def test_a_scheduler_file_that_is_not_there_is_refused_by_name(tmp_path):
    path = tmp_path / "nowhere.json"
    with pytest.raises((InputError, OSError), match=r"nowhere\.json"), connect(str(path)):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"type": "Scheduler"}'])
def test_a_file_that_tells_no_address_is_named(tmp_path, text):
    file = tmp_path / "scheduler.json"
    file.write_text(text)
    with pytest.raises(InputFileError, match=r"scheduler\.json: .* no address"), connect(str(file)):
        pass


def test_an_address_where_nobody_answers_is_named():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(SessionError, match=r"tcp://127\.0\.0\.1:9"),
        connect("tcp://127.0.0.1:9"),
    ):
        pass
