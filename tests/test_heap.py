"""What a process holds: nothing that it does not use, and little once something was freed."""

import json
import os
import subprocess
import sys

import pytest

from dtbdask import heap

MB = 1 << 20
UNUSED = ("xarray", "pandas", "dask.array", "distributed")
"""Some 50 MB that a session on this process can do without."""
KEPT = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from dtbdask import heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

heap.share()
together = threading.Barrier(4)

def work(part):
    together.wait()
    arrays = [np.ones(12_000) for _ in range(100)]  # too small for a mapping of their own
    together.wait()
    return arrays[:1]  # what is free lies above it

with ThreadPoolExecutor(4) as pool:
    before = resident()
    kept = list(pool.map(work, range(4)))
    heap.give_back()
    print(resident() - before)
"""
ARENAS = """
import ctypes, threading
from dtbdask import heap
asked = []
heap._glibc = lambda: type("Library", (), {"mallopt": lambda *given: asked.append(given[-2:])})()
heap.share()
print(asked)
"""


def run(code, environment=None):
    """What code prints in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def test_a_session_is_opened_without_what_it_does_not_use():
    code = (
        "import json, sys; from dtbdask import Session, open_network\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert set(UNUSED).isdisjoint(json.loads(run(code)))


@pytest.mark.skipif(heap._glibc() is None, reason="needs glibc")
def test_what_threads_free_is_given_back():
    """Four threads hold 9.6 MB each; 0.1 MB of it are kept."""
    lazy = {**os.environ, "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
    assert int(run(KEPT, lazy)) < 6 * MB


@pytest.mark.parametrize(("given", "asked"), [("3", "[]"), (None, "[(-8, 1)]")])
def test_threads_share_an_arena_unless_the_environment_says_how_many(given, asked):
    known = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    told = {} if given is None else {"MALLOC_ARENA_MAX": given}
    assert run(ARENAS, environment=known | told).strip() == asked
