"""How fast a raster of very many spikes opens, pans and zooms.

    python benchmarks/bench_raster.py [--spikes 1e8] [--neurons 1e6] [--at FOLDER]

Makes a recording of that many Poisson spikes (once: it is found again in the folder), builds its
pyramid, and measures: opening until the first picture, then pans and zooms, each one from the
change of the range to a rendered Bokeh model, none of them with tiles or spikes at hand.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from dtbdask import schema

STEPS_AT_ONCE = 50


def make(path, n_spikes, n_neurons, n_steps):
    """A recording of Poisson spikes of 100 regions, written piece by piece."""
    rng = np.random.default_rng(0)
    labels = [f"Region {i:02}" for i in range(100)]
    size = np.full(200, n_neurons // 200)
    about = {
        "network": "", "source": "benchmark", "seed": 0, "first_step": 0, "n_steps": n_steps,
        "n_neurons": int(size.sum()), "dt_ms": 1.0, "frame_steps": 800, "bin_steps": 1,
        "binned": False, "sample": [], "sample_steps": 1, "receptors": [], "record": ["spikes"],
        "labels": labels, "population_labels": [f"{x} {k}" for x in labels for k in "EI"],
    }  # fmt: skip
    group = schema.create_store(path, "recording", about)
    for name, values in (("voxel", np.repeat(np.arange(100), 2)), ("size", size),
                         ("excitatory", np.tile([True, False], 100))):  # fmt: skip
        schema.write(group, schema.NETWORK[f"population/{name}"], values)
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(n_steps) / 200)
    n = rng.multinomial(n_spikes, wave / wave.sum())
    schema.write(group, schema.RECORDING["n_spikes"], n, 2000)
    array = schema.create(
        group, schema.RECORDING["spike_neuron"], (n_spikes,), (1 << 20,), compressor="lz4",
        shuffle="shuffle",
    )  # fmt: skip
    held, at = np.empty(0, np.int64), 0
    for start in range(0, n_steps, STEPS_AT_ONCE):
        here = n[start : start + STEPS_AT_ONCE]
        step = np.repeat(np.arange(here.size), here)
        key = np.sort(step * n_neurons + rng.integers(0, size.sum(), step.size))
        held = np.concatenate([held, key % n_neurons])
        whole = held.size if start + STEPS_AT_ONCE >= n_steps else held.size >> 20 << 20
        array[at : at + whole] = held[:whole]
        held, at = held[whole:], at + whole
    schema.commit(group)


def views(n_steps, n_neurons, n, seed=1):
    """Random windows of all sizes, in turn panned by half their width."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        width = [max(4.0, size * 10 ** rng.uniform(-4, 0)) for size in (n_steps, n_neurons)]
        low = [rng.uniform(0, max(0.0, s - 1.5 * w))
               for s, w in zip((n_steps, n_neurons), width, strict=True)]  # fmt: skip
        for pan in (0.0, 0.5):
            yield tuple((a + pan * w, a + (1 + pan) * w) for a, w in zip(low, width, strict=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--spikes", type=float, default=1e8)
    parser.add_argument("--neurons", type=float, default=1e6)
    parser.add_argument("--steps", type=float, default=10_000)
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--at", type=Path, default=Path("/tmp/dtbdask-raster"))
    given = parser.parse_args()
    n_spikes, n_neurons, n_steps = (int(x) for x in (given.spikes, given.neurons, given.steps))
    path = given.at / f"{n_spikes}-{n_neurons}-{n_steps}.zarr"
    given.at.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make(path, n_spikes, n_neurons, n_steps)
    figures = {"spikes": n_spikes, "neurons": n_neurons, "steps": n_steps}

    from dtbdask.sim.pyramid import open_pyramid
    from dtbdask.sim.pyramid_build import build_pyramid

    if open_pyramid(path) is None:
        start = time.perf_counter()
        build_pyramid(path)
        figures["build_s"] = time.perf_counter() - start
    figures["pyramid_mb"] = sum(f.stat().st_size for f in (path / "pyramid").rglob("*")) / 1e6
    figures["recording_mb"] = sum(f.stat().st_size for f in path.rglob("*")) / 1e6

    import holoviews as hv

    from dtbdask.viz.source import SpikeSource
    from dtbdask.viz.zoom import zoom_raster

    renderer = hv.renderer("bokeh")
    renderer.get_plot(zoom_raster(path))  # libraries and their caches
    start = time.perf_counter()
    source = SpikeSource.open(path)
    raster = zoom_raster(source)
    plot = renderer.get_plot(raster)
    figures["open_s"] = time.perf_counter() - start
    took, read = [], []
    for time_range, neuron_range in views(n_steps, n_neurons, given.views):
        seconds = tuple(t * source.dt_s for t in time_range)
        start = time.perf_counter()
        source.read(seconds, neuron_range)
        read.append(time.perf_counter() - start)
    source = SpikeSource.open(path)  # without the tiles of the last
    raster = zoom_raster(source)
    plot = renderer.get_plot(raster)
    for time_range, neuron_range in views(n_steps, n_neurons, given.views):
        seconds = tuple(t * source.dt_s for t in time_range)
        start = time.perf_counter()
        raster.event(x_range=seconds, y_range=neuron_range)
        took.append(time.perf_counter() - start)
    assert plot.state.title.text
    figures["read_median_ms"] = float(np.median(read)) * 1e3
    for name, value in (("median", 50), ("p95", 95), ("max", 100)):
        figures[f"view_{name}_ms"] = float(np.percentile(took, value)) * 1e3
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
