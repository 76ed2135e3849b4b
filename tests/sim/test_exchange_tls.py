"""What leaves a host is encrypted, and only those with certificates of the cluster take part."""

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from distributed.security import Security
from exchanges import NOTHING, TOKEN, certificates, connected, ids, swap_on_threads

from dtbdask.errors import ExchangeError
from dtbdask.sim import exchange
from dtbdask.sim.exchange import HELLO, Tcp
from dtbdask.sim.exchange_tls import Tls


def end(rank, size=2, timeout=20.0, security=None):
    return Tls(rank, size, TOKEN, "127.0.0.1", timeout, security or certificates())


def plain(rank, size=2, timeout=20.0):
    return Tcp(rank, size, TOKEN, "127.0.0.1", timeout)


@pytest.fixture
def wire():
    """A stretch of wire to an address, that can be listened to: its address and what it carried."""
    heard, sockets, threads = bytearray(), [], []

    def carry(source, target):
        while part := source.recv(1 << 16):
            heard.extend(part)
            target.sendall(part)

    def run(listener, address):
        near, _ = listener.accept()
        far = socket.create_connection(address)
        sockets.extend([near, far])
        for pair in ((near, far), (far, near)):
            threads.append(threading.Thread(target=carry, args=pair))
            threads[-1].start()

    def to(address):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)
        threads.append(threading.Thread(target=run, args=(listener, address)))
        threads[-1].start()
        return listener.getsockname(), heard

    yield to
    for one in sockets:
        one.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize(("make", "readable"), [(plain, True), (end, False)])
def test_neither_token_nor_spikes_can_be_read_on_the_way(wire, make, readable):
    ends = [make(rank) for rank in range(2)]
    tapped, heard = wire(ends[0].address)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.connect([tapped, ends[1].address]), ends))
    sent = [[NOTHING, ids(100, 1)], [ids(100, 2), NOTHING]]
    for step in range(3):
        received = swap_on_threads(ends, step, sent)
        np.testing.assert_array_equal(received[0][1], sent[1][0])
        np.testing.assert_array_equal(received[1][0], sent[0][1])
    for one in ends:
        one.close()
    for secret in (TOKEN, sent[0][1].tobytes(), sent[1][0].tobytes()):
        assert (secret in heard) == readable
    assert len(heard) > 6 * 400


@pytest.mark.parametrize("false", [0, 1])
def test_each_refuses_one_with_certificates_of_another_cluster(monkeypatch, false):
    other = Security.temporary()
    ends = [end(rank, timeout=0.2, security=other if rank == false else None) for rank in range(2)]
    addresses = [one.address for one in ends]
    with ThreadPoolExecutor(2) as pool:
        going = [pool.submit(one.connect, addresses) for one in ends]
        errors = [one.exception(10) for one in going]
    assert isinstance(errors[0], ExchangeError)  # nobody came whom it takes
    if errors[1] is None:  # it was refused after its own greeting was over
        ends[1].post(0, [NOTHING] * 2)
        with pytest.raises(ExchangeError, match="block 1 lost block 0"):
            ends[1].wait(0)
    else:
        assert "certificate" in str(errors[1]).lower()
    for one in ends:
        one.close()


def knock(raw):
    """Say the token, and neither ask for a certificate nor show one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(raw) as stranger:
        stranger.sendall(HELLO.pack(TOKEN, 1))
        stranger.settimeout(5)
        stranger.recv(1)  # in vain if it was let in


def test_one_that_knows_the_token_but_has_no_certificate_is_refused(monkeypatch):
    monkeypatch.setattr(exchange, "HELLO_TIMEOUT", 0.5)
    ends = [end(rank, timeout=2.0) for rank in range(2)]
    with ThreadPoolExecutor(1) as pool, socket.create_connection(ends[0].address) as raw:
        meeting = pool.submit(connected, ends)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            knock(raw)
        meeting.result(10)
    sent = [[NOTHING, ids(3)], [ids(4), NOTHING]]
    np.testing.assert_array_equal(swap_on_threads(ends, 0, sent)[0][1], ids(4))
    for one in ends:
        one.close()


@pytest.mark.parametrize("kinds", [(end, plain), (plain, end)])
def test_one_that_encrypts_and_one_that_does_not_never_meet(monkeypatch, kinds):
    monkeypatch.setattr(exchange, "HELLO_TIMEOUT", 0.2)
    ends = [make(rank, timeout=0.1) for rank, make in enumerate(kinds)]
    addresses = [one.address for one in ends]

    def meet(one):
        one.connect(addresses)
        one.post(0, [NOTHING] * 2)
        one.wait(0)

    with ThreadPoolExecutor(2) as pool:
        going = [pool.submit(meet, one) for one in ends]
        assert all(isinstance(one.exception(10), ExchangeError) for one in going)
    for one in ends:
        one.close()


def test_one_that_leaves_while_it_waits_for_a_greeting_does_so_at_once():
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        late = end(1, timeout=60.0)
        meeting = pool.submit(late.connect, [silent.getsockname(), late.address])
        time.sleep(0.3)
        start = time.monotonic()
        late.close()
        assert isinstance(meeting.exception(5), ExchangeError)
        assert time.monotonic() - start < 1
