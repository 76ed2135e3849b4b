"""Runs of the command line that are killed at random moments and resumed until they are finished.

    python killed_runs.py NETWORK FOLDER KILLS SEED

The kernels are compiled once, here; each life is a process forked from this one, which does as
`dtbdask run` or `dtbdask resume` and, sooner or later, is killed. Recordings are numbered 0.zarr,
1.zarr and so on in FOLDER; that of an undisturbed run is meant.zarr. Prints how many there are, and
how many lives had been begun by `resume`.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import dask

from dtbdask.cli import main
from dtbdask.graph.network import open_network
from dtbdask.sim.session import Session

OPTIONS = ("--seconds", "1.5", "--burn-in", "0.1", "--tr", "0.05", "--cluster", "none",
           "--record", "rate,bold,spikes", "--checkpoint-every", "0.07")  # fmt: skip


def begin(*words):
    """Process that does what the command line does with these words."""
    if process := os.fork():
        return process
    status = 1
    try:
        main([str(word) for word in words], standalone_mode=False)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def end_of(process):
    """Exit status of a process; negative that of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def live(words, moment):
    """Whether a process got to its end before it was killed at a moment, s."""
    process = begin(*words)
    time.sleep(moment)
    os.kill(process, signal.SIGKILL)  # one that has ended waits to be asked for its status
    status = end_of(process)
    assert status in (0, -signal.SIGKILL), status
    return status == 0


def kill(network, folder, kills, draw):
    start = time.monotonic()
    assert end_of(begin("run", network, folder / "meant.zarr", *OPTIONS)) == 0
    whole = time.monotonic() - start
    number = resumed = 0
    while kills:
        path = folder / f"{number}.zarr"
        words = ("resume", path, "--cluster", "none")
        if not path.exists():
            words = ("run", network, path, *OPTIONS, "--overwrite")
        resumed += words[0] == "resume"
        finished = live(words, draw.uniform(0.05, 0.7) * whole)
        number, kills = number + finished, kills - (not finished)
    path = folder / f"{number}.zarr"
    if path.exists():
        resumed += 1
        assert end_of(begin("resume", path, "--cluster", "none")) == 0
        number += 1
    return number, resumed


if __name__ == "__main__":
    network, folder, kills, seed = sys.argv[1:]
    with (
        dask.config.set({"dtbdask.progress": "off", "dtbdask.session.window-steps": 40}),
        Session(open_network(network)) as session,
    ):
        session.advance(1)
        numbers = kill(network, Path(folder), int(kills), random.Random(int(seed)))
    sys.stdout.write("{} {}\n".format(*numbers))
