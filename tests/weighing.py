"""Plans, builds and loads a network in a process of its own, and tells what it took.

python weighing.py PATH '[{"voxels": 90, "neurons": 90000}, {"blocks": 2}]'
"""

import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np


def make(network):
    """Brain and arguments of `build`."""
    from dtbdask.brain.synthetic import synthetic_connectome

    given = dict(network)
    brain = synthetic_connectome(given.pop("voxels"), frames=4)
    given["parameters"] = {name: given.pop(name) for name in list(network) if name[:2] == "g_"}
    return brain, given


def measure(path, network, run):
    """Plan, build and load in this process; what was planned and what was measured."""
    import dask

    from dtbdask.graph.build import build
    from dtbdask.graph.planning.plan import plan

    brain, given = make(network)
    with dask.config.set({"num_workers": 2, "dtbdask.progress": "off"}):
        planned = plan(brain, **given, **run)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        built = build(brain, path, **given)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    files = [file.stat().st_size for file in Path(path).rglob("*") if file.is_file()]
    return planned.to_dict(), {
        "peak": 1024 * int(status["VmHWM"].split()[0]),
        "disk": sum(files),
        "files": len(files),
        "neurons": built.n_neurons,
        "synapses": built.n_synapses,
        "blocks": weigh(built, **run),
    }


def weigh(network, blocks, **run):
    """Bytes of the blocks of a network, and the foreign neurons they hear."""
    from dtbdask.graph.partition import Partition
    from dtbdask.sim.block import Block
    from dtbdask.sim.spec import BlockSpec

    Block(BlockSpec(network, np.array([[0, 256]]), 1, **run)).close()  # compiles, loads the codecs
    found = []
    for ranges in Partition.contiguous(network, blocks).ranges:
        tracemalloc.start()
        block = Block(BlockSpec(network, ranges, 1, **run))
        loading = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        block.close()
        edges = arrays(block.edges)
        found.append({
            "edges": edges["target"] + edges.get("weight", 0),
            "held": sum(arrays(block).values()),
            "loading": loading + sum(arrays(network).values()),
            "foreign": int(block.edges.heard.size),
        })  # fmt: skip
    return {name: [block[name] for block in found] for name in found[0]}


def arrays(thing, seen=None, name="itself"):
    """Bytes of every array that an object of ours holds, each once, by name."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return {}
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        return {name: thing.nbytes}
    parts = {}
    if isinstance(thing, dict):
        parts = thing
    elif isinstance(thing, tuple | list):
        parts = dict(enumerate(thing))
    elif type(thing).__module__.startswith("dtbdask."):
        parts = vars(thing)
    held = {}
    for key, part in parts.items():
        for inner, size in arrays(part, seen, key).items():
            held[f"{key}.{inner}" if inner != key else key] = size
    return held


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], *json.loads(sys.argv[2]))))
