"""What every text of a peer reads and writes; it runs in the environment of the peer.

python TEXT.py FOLDER THREADS WARM_UP_STEPS STEPS: the network is FOLDER/*.npy and model.json, the
figures go to standard output as the last line, in JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np


def network():
    """Arrays of the network by source, parameters, numbers of the update, arguments of the run."""
    folder, threads, warm_up, steps = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    arrays = {  # mapped: a peer that reads another file is not charged with these
        path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")
    }
    model = json.loads((folder / "model.json").read_text())
    n = arrays["indptr"].size - 1
    return SimpleNamespace(n=n, threads=threads, warm_up=warm_up, steps=steps, **arrays, **model)


def of_type(net, excitatory):
    """Source, target and weight of the edges from neurons of one type."""
    source = np.repeat(np.arange(net.n), np.diff(net.indptr))
    mine = net.excitatory[source] == excitatory
    weight = net.weight[mine].astype(np.float32) / np.float32(255)
    return source[mine], net.target[mine].astype(np.int64), weight


class Clock:
    """Seconds of a block of statements."""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def tell(net, *, seconds, build_seconds, spikes, version, children=False):
    """Print the figures: `spikes` of each neuron, or of all, in the steps that were timed."""
    biological = net.steps * net.dt / 1000
    figures = {
        "seconds_per_biological_second": seconds / biological,
        "build_seconds": build_seconds,
        "rate_hz": float(np.sum(spikes)) / net.n / biological,
        "version": version,
    }
    if np.ndim(spikes):
        for name, mine in (("e", net.excitatory), ("i", ~net.excitatory)):
            figures[f"rate_{name}_hz"] = float(np.mean(np.asarray(spikes)[mine])) / biological
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0])  # what ru_maxrss says may be that of the caller
    if children:
        peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    figures["peak_memory_bytes"] = peak * 1024
    sys.stdout.write(json.dumps(figures) + "\n")
