"""Exchange among workers by TCP, encrypted with the certificates that they show each other in Dask.

Both ends of a connection show a certificate and ask for one, before the session token is sent. An
end that cannot encrypt is not made, so nothing ever travels in plain text instead.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection
from ssl import SSLContext, SSLSocket
from typing import Any

from dtbdask.errors import InputError
from dtbdask.sim.exchange import Ids, Tcp, shut


class Tls(Tcp):
    """Exchange by TCP and TLS: one connection for each pair of blocks, opened once a session.

    Parameters
    ----------
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    host : str
        Interface to listen on.
    timeout : float
        Seconds that any one wait may take.
    security : distributed.security.Security
        Of the worker, whose certificate and authority count.

    Raises
    ------
    InputError
        It has no certificate.
    """

    def __init__(
        self, rank: int, size: int, token: bytes, host: str, timeout: float, security: Any
    ) -> None:
        self._asks = _context(security.get_connection_args("worker"))
        self._answers = _context(security.get_listen_args("worker"))
        self._answers.num_tickets = 0  # nobody comes back
        self._busy = threading.Lock()
        self._greeting: SSLSocket | None = None
        super().__init__(rank, size, token, host, timeout)

    def connect(
        self, addresses: list[tuple[str, int]], peers: Collection[int] | None = None
    ) -> None:
        """Connect to every lower rank and accept every higher one, as `Tcp.connect`."""
        with self._busy:
            super().connect(addresses, peers)

    def _secured(self, sock: socket.socket, seconds: float, *, accepted: bool) -> socket.socket:
        """The connection once both ends have seen a certificate that they trust."""
        context = self._answers if accepted else self._asks
        sock.settimeout(max(seconds, 0.001))
        try:
            sock.getpeername()  # who has gone already would be wrapped in vain
            sock = self._greeting = context.wrap_socket(
                sock, server_side=accepted, do_handshake_on_connect=False
            )
            self._stay()
            self._greeting.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Send a list to each peer; what the socket does not take at once goes out in `wait`."""
        with self._busy:
            super().post(step, outgoing)

    def wait(self, step: int) -> list[Ids]:
        """Receive the list of each peer, sending on what is left to be sent."""
        with self._busy:
            return super().wait(step)

    def leave(self) -> None:
        """Shut every connection, from any thread: whoever waits on one gets an error at once."""
        super().leave()
        if self._greeting is not None:
            shut(self._greeting)

    def close(self) -> None:
        """Leave and free the sockets, once nobody is at work with them: keys go with them."""
        self.leave()
        with self._busy:
            super().close()


def _context(given: dict[str, Any]) -> SSLContext:
    """What a worker connects or listens with."""
    context = given["ssl_context"]
    if context is None:
        raise InputError(
            "exchange is 'tls', but a worker has no certificates; start the cluster with "
            "protocol='tls', or use exchange='auto'"
        )
    assert isinstance(context, SSLContext)
    return context
