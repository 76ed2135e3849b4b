"""The figures are those of the default network, whose spikes the stopwatch does not change."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from networks import make_network

from dtbdask import bench, cli
from dtbdask.brain.connectome import write_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.sim.block import Block
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

STATED = {"seconds_per_biological_second", "ns_per_neuron_step", "ns_per_synaptic_event",
          "synapses_per_second", "stored_synapses_per_second",
          "stored_and_transposed_synapses_per_second", "peak_memory_bytes", "mean_rate_hz",
          "copy_bandwidth_bytes_per_second", "neuron_step_over_bandwidth_floor",
          "ns_per_random_add_in_cache", "ns_per_random_add_in_memory",
          "synaptic_event_over_cached_add"}  # fmt: skip
SIZE = {"neurons": 2000, "degree": 20}


@pytest.fixture(scope="module")
def brain():
    return synthetic_connectome(6, frames=4, seed=2)


@pytest.fixture(scope="module")
def run(brain, tmp_path_factory):
    """Figures that the command prints, and what it left in the folder for temporary files."""
    folder = tmp_path_factory.mktemp("bench")
    write_connectome(brain, folder / "brain.npz")
    scratch = folder / "scratch"
    scratch.mkdir()
    words = ["bench", "--data", str(folder / "brain.npz"), "--neurons", "2000", "--degree", "20",
             "--threads", "1", "--repeats", "1", "--json"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), list(scratch.iterdir())


def test_the_figures_are_all_there_and_positive(run):
    figures, left = run
    assert set(figures) == STATED
    assert all(isinstance(value, float) and 0 < value < np.inf for value in figures.values())
    assert left == []


def test_the_figures_fit_each_other_and_this_machine(run):
    """Loosely, as nothing here is about speed: units are right to a factor of some tens."""
    figures, _ = run
    used = psutil.Process().memory_info().rss
    assert used / 4 < figures["peak_memory_bytes"] < psutil.virtual_memory().total
    steps_s = figures["ns_per_neuron_step"] * 1e-9 * 1990 * 1000
    events_s = figures["ns_per_synaptic_event"] * 1e-9 * 1990 * 20 * figures["mean_rate_hz"]
    assert 0.05 < figures["seconds_per_biological_second"] / (steps_s + events_s) < 20
    floor = bench.BYTES_PER_NEURON_STEP / figures["copy_bandwidth_bytes_per_second"] * 1e9
    expected = figures["ns_per_neuron_step"] / floor
    assert figures["neuron_step_over_bandwidth_floor"] == pytest.approx(expected)
    over = figures["ns_per_synaptic_event"] / figures["ns_per_random_add_in_cache"]
    assert figures["synaptic_event_over_cached_add"] == pytest.approx(over)


def test_the_rate_is_that_of_the_network_it_names(run, brain, tmp_path):
    network = build(brain, tmp_path / "net.zarr", seed=1, **SIZE)
    with Session(network, seed=1) as session:
        session.advance(bench.WARM_UP_STEPS)
        spikes = int(session.advance(bench.STEPS).spike_count.sum())
    assert run[0]["mean_rate_hz"] == pytest.approx(
        spikes / network.n_neurons / (bench.STEPS / 1000)
    )


def test_a_timed_block_is_a_block():
    network = make_network()
    spec = BlockSpec.whole(network, seed=5)
    timed, plain = bench.TimedBlock(spec), Block(spec)
    spent = []
    for _ in range(60):
        timed.step()
        plain.step()
        np.testing.assert_array_equal(timed.global_spikes(), plain.global_spikes())
        spent.append((timed.deliver_s, timed.integrate_s))
    assert plain.global_spikes().size
    assert (np.diff(spent, axis=0) > 0).all()


def test_a_random_add_counts_every_event():
    kick, target = np.zeros(4, np.uint16), np.array([1, 3, 1, 1], np.uint32)
    bench._add(kick, target)
    np.testing.assert_array_equal(kick, [0, 3, 0, 1])


def test_cores_are_those_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert bench.cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert bench.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_nothing_is_written_where_one_stands(brain, tmp_path, monkeypatch):
    """Also when it fails half-way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(bench, "_run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.measure(brain, threads=1, repeats=1, **SIZE)
    assert list(Path().iterdir()) == []
