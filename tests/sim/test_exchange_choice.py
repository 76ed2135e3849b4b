"""A session takes the exchange that it is asked for, or the fastest there is, and says which."""

import pytest
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.sim import exchange_choice
from dtbdask.sim.exchange_choice import EXCHANGES, chosen, host
from dtbdask.sim.session import Session


class Cluster:
    """A client whose workers are on these hosts."""

    def __init__(self, *hosts):
        self._hosts = hosts

    def run(self, function, workers):
        assert function is host
        return dict(zip(workers, self._hosts, strict=True))


def take(exchange, *hosts):
    return chosen(exchange, len(hosts), Cluster(*hosts), [f"worker {k}" for k in range(len(hosts))])


@pytest.mark.parametrize(
    ("hosts", "taken", "why"),
    [
        (("a", "a"), "shm", "all workers are on one host"),
        (("a", "b"), "tcp", "the workers are on 2 hosts"),
        (("a", "b", "a", "c"), "tcp", "the workers are on 3 hosts"),
        (("", ""), "tcp", "without memfd_create"),
        (("a", ""), "tcp", "without memfd_create"),
    ],
)
def test_auto_shares_memory_if_and_only_if_all_are_on_one_host_and_says_why(
    hosts, taken, why, caplog
):
    with caplog.at_level("INFO"):
        assert take("auto", *hosts) == taken
    assert f"by {taken}" in caplog.text
    assert why in caplog.text
    if taken == "tcp":
        with pytest.raises(InputError, match=f"exchange is 'shm', but .*{why}.*use 'tcp'"):
            take("shm", *hosts)


@pytest.mark.parametrize("hosts", [("a", "a"), ("a", "b")])
@pytest.mark.parametrize("exchange", ["tcp", "ucx"])
def test_what_is_asked_for_is_taken(exchange, hosts):
    assert take(exchange, *hosts) == exchange


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(("n_blocks", "client"), [(1, None), (3, None), (1, Cluster("a"))])
def test_where_workers_exchange_nothing_there_is_nothing_to_ask_for(exchange, n_blocks, client):
    if exchange == "auto":
        assert chosen(exchange, n_blocks, client, ["worker"]) == "loopback"
    else:
        with pytest.raises(InputError, match=f"exchange is '{exchange}', but .*use .*'auto'"):
            chosen(exchange, n_blocks, client, ["worker"])


def test_a_session_here_has_the_loopback():
    with Session(make_network(), blocks=2) as session:
        assert session.exchange == "loopback"
    with pytest.raises(InputError, match="exchange is 'mpi'; use one of 'auto', 'shm'"):
        Session(make_network(), exchange="mpi")


def test_processes_on_systems_without_anonymous_files_share_nothing(monkeypatch):
    assert host() == host() != ""
    monkeypatch.delattr(exchange_choice.os, "memfd_create")
    assert host() == ""
