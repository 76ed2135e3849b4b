"""What following a run in the view takes of the run.

    python benchmarks/bench_view.py [--neurons 1e5] [--pairs 12] [--seconds 20] [--page Activity]

A run writes rates and spikes; `dtbdask view` of it is served by another process, and a client has
its page open, as a browser would, but draws nothing itself. That process is stopped and let go on
in turn. Of each stretch the first seconds are left out; told is the median over pairs of stretches
of how much longer a step takes while the view follows. Beside it stands what the view's process
took of all cores meanwhile, which others on the machine do not disturb: a run that keeps all cores
busy cannot be slowed by less, nor, unless its threads wait for one another, by much more.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.graph.network import open_network
from dtbdask.sim.quantities import Request
from dtbdask.sim.record import Recorder
from dtbdask.sim.session import Session

WINDOW = 100
LEFT_OUT_S = 3.0
WAIT_S = 120
SERVER = """
import sys
from dtbdask import viz
viz.serve(viz.Study([sys.argv[1]]), port=int(sys.argv[2]))
"""
CLIENT = """
import sys, time
import panel.models
from bokeh.client import pull_session
from panel.models.tabs import Tabs
session = pull_session(url=f"http://127.0.0.1:{sys.argv[1]}/")
(tabs,) = session.document.select({"type": Tabs})
tabs.active = [panel.title for panel in tabs.tabs].index(sys.argv[2])
print("open", flush=True)
while True:
    session.force_roundtrip()
    time.sleep(1)
"""


class Run:
    """A session that records, window by window."""

    def __init__(self, network, path):
        self.session = Session(network, seed=1, threads=os.cpu_count())
        self.session.run(0.5)
        about = {
            "first_step": self.session.step, "n_steps": 10**7, "dt_ms": 1.0, "seed": 1,
            "n_neurons": network.n_neurons, "frame_steps": 800, "tr_s": 0.8,
        }  # fmt: skip
        request = Request.make(network, ("rate", "spikes"), about["n_steps"], 1.0)
        self._recorder = Recorder.new(path, network, request, about, overwrite=True)

    def step_s(self, seconds):
        """Time of a step in a stretch, without its first seconds."""
        start = time.perf_counter()
        spent, n = 0.0, 0
        while time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            self._recorder.take(self.session.advance(WINDOW, spikes=True))
            if begin - start >= LEFT_OUT_S:
                spent, n = spent + time.perf_counter() - begin, n + WINDOW
        return spent / n


def follow(path, port, page):
    """The view in a process of its own, and one that has its page open."""
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path), str(port)])
    client = None
    for _ in range(WAIT_S):
        time.sleep(1)
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(port), page], stdout=subprocess.PIPE, text=True
        )
        if client.stdout.readline().strip() == "open":
            return server, client
    raise SystemExit("the view did not open")


def measure(run, server, pairs, seconds):
    """How much longer a step takes while followed, and what of all cores that takes, by pairs."""
    ratios, shares = [], []
    process = psutil.Process(server.pid)
    for pair in range(pairs):
        took = {}
        for followed in (True, False) if pair % 2 else (False, True):
            server.send_signal(signal.SIGCONT if followed else signal.SIGSTOP)
            begun, used = time.perf_counter(), sum(process.cpu_times()[:2])
            took[followed] = run.step_s(seconds)
            if followed:
                used = sum(process.cpu_times()[:2]) - used
                shares.append(used / (time.perf_counter() - begun) / os.cpu_count())
        ratios.append(took[True] / took[False] - 1)
    server.send_signal(signal.SIGCONT)
    return ratios, shares


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neurons", type=float, default=1e5)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--page", default="Activity")
    parser.add_argument("--port", type=int, default=5077)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, path = Path(folder) / "net.zarr", Path(folder) / "run.zarr"
        build(synthetic_connectome(), store, neurons=int(given.neurons), degree=100, seed=7)
        run = Run(open_network(store), path)
        run.step_s(10.0)  # until something is there to be seen
        processes = follow(path, given.port, given.page)
        try:
            run.step_s(20.0)
            ratios, shares = measure(run, processes[0], given.pairs, given.seconds)
        finally:
            for process in processes:
                process.kill()
    told = {
        "neurons": int(given.neurons), "page": given.page, "pairs": given.pairs,
        "slower_median_percent": 100 * median(ratios),
        "slower_percent": sorted(round(100 * ratio, 2) for ratio in ratios),
        "of_all_cores_median_percent": 100 * median(shares),
        "of_all_cores_percent": sorted(round(100 * share, 2) for share in shares),
        "load_average": os.getloadavg()[1],
    }  # fmt: skip
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
