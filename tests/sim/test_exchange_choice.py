"""A session takes the exchange that it is asked for, or the fastest there is, and says which."""

import pytest
from distributed.security import Security
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.sim import exchange_choice
from dtbdask.sim.exchange_choice import EXCHANGES, chosen, host, opened
from dtbdask.sim.session import Session


def take(exchange, *hosts, protocol="tcp"):
    workers = [f"{protocol}://10.0.0.{k}:80" for k in range(len(hosts))]
    return chosen(exchange, len(hosts), workers, lambda: list(hosts))


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


@pytest.mark.parametrize(
    ("asked", "hosts", "taken"),
    [("auto", "aa", "shm"), ("shm", "aa", "shm"), ("auto", "ab", "tls"), ("tcp", "aa", "tls"),
     ("tls", "aa", "tls"), ("tls", "ab", "tls"), ("ucx", "ab", "ucx")],
)  # fmt: skip
def test_between_workers_with_certificates_all_that_leaves_a_host_is_encrypted(
    asked, hosts, taken, caplog
):
    assert take(asked, *hosts, protocol="tls") == taken
    assert ("does not encrypt" in caplog.text) == (taken == "ucx")


def test_one_worker_with_certificates_is_enough_to_encrypt_for_all():
    workers = ["tcp://10.0.0.1:80", "tls://10.0.0.2:80"]
    assert chosen("auto", 2, workers, lambda: ["a", "b"]) == "tls"


def test_without_certificates_there_is_no_tls():
    with pytest.raises(InputError, match=r"exchange is 'tls', but .*no certificates.*'tls'"):
        take("tls", "a", "b")
    with pytest.raises(InputError, match=r"a worker has no certificates.*protocol='tls'"):
        opened("tls", 0, 2, bytes(32), 1.0, "127.0.0.1", Security())


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(("n_blocks", "workers"), [(1, []), (3, []), (1, ["tcp://10.0.0.1:80"])])
def test_where_workers_exchange_nothing_there_is_nothing_to_ask_for(exchange, n_blocks, workers):
    if exchange == "auto":
        assert chosen(exchange, n_blocks, workers, list) == "loopback"
    else:
        with pytest.raises(InputError, match=f"exchange is '{exchange}', but .*use .*'auto'"):
            chosen(exchange, n_blocks, workers, list)


def test_a_session_here_has_the_loopback():
    with Session(make_network(), blocks=2) as session:
        assert session.exchange == "loopback"
    with pytest.raises(InputError, match="exchange is 'mpi'; use one of 'auto', 'shm'"):
        Session(make_network(), exchange="mpi")


def test_processes_on_systems_without_anonymous_files_share_nothing(monkeypatch):
    assert host() == host() != ""
    monkeypatch.delattr(exchange_choice.os, "memfd_create")
    assert host() == ""
