"""Processes that swap random lists over an exchange, which each of them knows beforehand."""

import hashlib
import importlib.util
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from exchanges import certificates
from gathering import gathered

from dtbdask.errors import ExchangeError
from dtbdask.sim.exchange_choice import opened

BANK = np.random.default_rng(7).integers(0, 2**32, 300_000, dtype=np.uint32)
TIMEOUT = 60.0
NEEDS_UCX = pytest.mark.skipif(importlib.util.find_spec("ucxx") is None, reason="needs UCXX")


def list_of(step, source, target):
    """What is sent in a step, or None; seldom it is longer than a mailbox."""
    pair = 1 + min(source, target) + 3 * max(source, target)
    if (step * pair) % 7 == 3:
        return None
    draw = (step * 2_654_435_761 + source * 40_503 + target * 977) % 2**32
    n = draw % 200_000 if step % 500 == 499 else draw % 60
    return BANK[draw % 100_000 :][:n]


def swap(rank, size, pipe, kind, token, n_steps, security):
    """Be one end: tell the address, learn those of all, swap, and tell how that ended."""
    try:
        end = opened(kind, rank, size, token, TIMEOUT, "127.0.0.1", security)
        pipe.send(end.address)
        end.connect(pipe.recv())
        pipe.send("met")
        for step in range(n_steps):
            end.post(step, [list_of(step, rank, peer) for peer in range(size)])
            for peer, found in enumerate(end.wait(step)):
                meant = list_of(step, peer, rank) if peer != rank else None
                meant = BANK[:0] if meant is None else meant
                assert found.dtype == np.uint32
                assert np.array_equal(found, meant), (step, peer)
        end.close()
    except (ExchangeError, AssertionError) as error:
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send("all as sent")


def ring(kind, size, token, n_steps):
    """Processes that have met and swap, and a pipe to each."""
    return gathered(swap, size, kind, token, n_steps, certificates() if kind == "tls" else None)


def remains(token):
    """Where the shared memory of a session is still held or named."""
    name = f"dtbdask-{hashlib.sha256(token).hexdigest()[:16]}"
    found = [entry for entry in os.listdir("/dev/shm") if "dtbdask" in entry]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if name in (process / "maps").read_text():
                found.append(str(process))
            for file in (process / "fd").iterdir():
                with suppress(FileNotFoundError):  # the one that lists them
                    if name in os.readlink(file):
                        found.append(str(file))
    return found
