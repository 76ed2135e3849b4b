"""On real workers the same spikes; when one dies, an error in time, and the cluster goes on."""

import os
import signal
import threading
import time
from functools import partial

import dask
import numpy as np
import pytest
from networks import delayed, make_brain, make_network, resized
from swapping import NEEDS_UCX

from dtbdask.cluster import connect
from dtbdask.errors import DTBDaskError, InputError, MissingDependencyError
from dtbdask.graph.build import build
from dtbdask.graph.partition import Partition
from dtbdask.sim.session import Session
from dtbdask.sim.stimuli import DBS, Step

RECIPE = {"neurons": 2400, "degree": 30, "seed": 4}
DRIVE = {"noise_rate": 0.002}
SEED = 2**50 + 1


@pytest.fixture
def workers(two_workers):
    """The client, once both workers are there."""
    two_workers.wait_for_workers(2, timeout=60)
    return two_workers


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=4, **RECIPE, **DRIVE)


@pytest.fixture(scope="module")
def meant(network):
    with Session(network, seed=SEED, tr_s=0.1) as session:
        return session.advance(600, spikes=True)


def same(one, other):
    for name in ("spike_count", "bold", "spike_step", "spike_neuron"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def held(client):
    """Gangs and connections on the workers."""

    def count(dask_worker):
        home = dask_worker.plugins["dtbdask"]
        return len(home.gangs) + len(home.exchanges)

    return sum(client.run(count).values())


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("kind", ["in memory", "stored", "procedural"])
def test_spikes_and_bold_are_those_of_one_process(workers, network, meant, tmp_path, kind, blocks):
    if kind != "in memory":
        network = build(make_brain(4), tmp_path / "net", synapses=kind, parameters=DRIVE, **RECIPE)
    with Session(network, workers, seed=SEED, blocks=blocks, tr_s=0.1) as session:
        assert held(workers) == 2 * blocks
        windows = [session.advance(n, spikes=True) for n in (1, 250, 349)]
        assert session.step == 600
    assert meant.spike_neuron.size > 10_000
    for name in ("spike_count", "bold", "spike_step", "spike_neuron"):
        found = np.concatenate([getattr(window, name) for window in windows])
        np.testing.assert_array_equal(found, getattr(meant, name), err_msg=name)
    assert held(workers) == 0, "a closed session left something on the workers"


@pytest.mark.parametrize("exchange", ["shm", "tcp", pytest.param("ucx", marks=NEEDS_UCX)])
def test_any_exchange_gives_the_same_spikes(workers, network, meant, exchange):
    with Session(network, workers, seed=SEED, tr_s=0.1, exchange=exchange) as session:
        assert session.exchange == exchange
        same(session.advance(600, spikes=True), meant)
    assert held(workers) == 0


@pytest.mark.skipif(not NEEDS_UCX.args[0], reason="UCXX is there")
def test_an_exchange_without_its_library_is_an_error_and_leaves_nothing(workers, network):
    with pytest.raises(MissingDependencyError, match="exchange is 'ucx', but UCXX is missing"):
        Session(network, workers, exchange="ucx")
    assert held(workers) == 0


def test_workers_of_one_host_share_memory_unless_there_is_nothing_to_exchange(
    workers, network, caplog
):
    with caplog.at_level("INFO"), Session(network, workers) as session:
        assert session.exchange == "shm"
    assert "blocks exchange spikes by shm: all workers are on one host" in caplog.text
    for alone in ({"blocks": 1}, {"members": 2}):
        with Session(network, workers, **alone) as session:
            assert session.exchange == "loopback"
        with pytest.raises(InputError, match="exchange is 'tcp', but there is one block"):
            Session(network, workers, exchange="tcp", **alone)
    assert held(workers) == 0


@pytest.mark.parametrize("whole_voxels", [True, False])
def test_delays_and_seldom_swaps_are_those_of_one_process(workers, whole_voxels):
    network = make_network(voxels=4, neurons=2400, degree=30, **DRIVE)
    network = resized(delayed(network, np.arange(4, 16)), [384, 128] * 4)
    owner = np.repeat([0, 1], 8) if whole_voxels else np.arange(16) % 2
    made = Partition.of_tiles(owner, network.n_neurons)
    found = []
    for client, partition in ((None, "auto"), (workers, made)):
        with Session(network, client, seed=SEED, partition=partition, tr_s=0.1) as session:
            windows = [session.advance(n, spikes=True) for n in (1, 61)]
            found.append((windows, session.state("j_ampa")))
    (one, j), (other, k) = found
    np.testing.assert_array_equal(j, k)
    assert one[1].spike_neuron.size > 500
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.spike_step, b.spike_step)
        np.testing.assert_array_equal(a.spike_neuron, b.spike_neuron)


def test_spikes_that_travel_over_a_grid_are_the_same(network, meant):
    with (
        dask.config.set({"dtbdask.session.grid-from": 2}),
        connect("local", workers=5, processes=False) as client,
        Session(network, client, seed=SEED, tr_s=0.1) as session,
    ):
        assert session.partition.n_blocks == 5
        same(session.advance(600, spikes=True), meant)


@pytest.mark.parametrize("blocks", [1, 2])
def test_any_tiles_of_a_worker_give_the_same_spikes_state_and_bold(workers, network, meant, blocks):
    owner = np.random.default_rng(blocks).permutation(np.arange(19) % blocks)
    made = Partition.of_tiles(owner, network.n_neurons)
    assert sum(map(len, made.ranges)) > 6 * (blocks - 1)
    with Session(network, workers, seed=SEED, partition=made, tr_s=0.1) as session:
        same(session.advance(600, spikes=True), meant)
        v = session.state("v")
    with Session(network, seed=SEED, tr_s=0.1) as alone:
        alone.advance(600)
        np.testing.assert_array_equal(alone.state("v"), v)


def test_recordings_are_the_same_files(workers, network, tmp_path):
    record = ["rate", "bold", "spikes"]
    for name, client in (("here", None), ("there", workers)):
        with Session(network, client, seed=SEED, tr_s=0.05) as session:
            session.run(0.3)
            session.run(0.4, record=record, to=tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "here") for p in (tmp_path / "here").rglob("c/*"))
    assert files
    for path in files:
        if (tmp_path / "here" / path).is_file():
            assert (tmp_path / "here" / path).read_bytes() == (
                tmp_path / "there" / path
            ).read_bytes()


def test_members_are_divided_among_the_workers_and_stay_who_they_are(workers, network):
    factor = np.array([[1.0], [1.2], [0.8]]) * np.ones(8)
    found = {}
    for client in (None, workers):
        with Session(network, client, seed=SEED, members=3, tr_s=0.1) as session:
            first = session.advance(100, spikes=True)
            session.set("g_ampa", factor, how="multiply")
            session.put_balloon(session.balloon() * np.array([1.0, 1.1, 0.9])[:, None])
            found[client is None] = (
                first, session.advance(100, spikes=True), session.state("v"), session.balloon(),
            )  # fmt: skip
    for one, other in zip(found[True][:2], found[False][:2], strict=True):
        same(one, other)
    for one, other in zip(found[True][2:], found[False][2:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("members", [1, 3])
def test_changes_of_some_stimuli_and_lesions_are_the_same_there(workers, network, members):
    hurt = network.lesioned(source="region 0", target="I", scale=0.4)
    found = {}
    for client in (None, workers):
        with Session(hurt, client, seed=SEED, members=members) as session:
            session.set("g_ampa", 1.3, population="region 1", member=members - 1, how="multiply")
            session.set("g_gaba_a", 4.0, population="E", how="gamma")
            session.set("v_th", -49.0, neuron=[3, 2000])
            with pytest.raises(InputError, match="t_ref"):
                session.set("t_ref", 1e6, neuron=[network.n_neurons - 1])
            session.stimulate(
                DBS(population="region 2", amplitude=2, frequency_hz=130, pulse_width_ms=1,
                    onset_ms=10, duration_ms=60),
                Step(population="E", amplitude=0.2, onset_ms=30, duration_ms=100),
            )  # fmt: skip
            windows = [session.advance(n, spikes=True) for n in (25, 75)]
            found[client is None] = [*windows, session.state("v")]
            assert len(session.changes) == 5
    for one, other in zip(found[True][:2], found[False][:2], strict=True):
        same(one, other)
    np.testing.assert_array_equal(found[True][2], found[False][2])


def test_parameters_and_state_are_the_same_there(workers, network):
    found = {}
    for client in (None, workers):
        with Session(network, client, seed=SEED) as session:
            session.set("g_ampa", np.linspace(0.9, 1.1, 8), how="multiply")
            session.set("noise_rate", 0.004)
            session.advance(50)
            states = [session.state(name) for name in ("v", "ou", "j_ampa", "refractory")]
            session.set("g_gaba_a", np.full(8, 0.012))
            last = session.advance(50, spikes=True)
            found[client is None] = [
                *states,
                last.spike_count,
                last.spike_neuron,
                session.state("v"),
            ]
    for here, there in zip(found[True], found[False], strict=True):
        np.testing.assert_array_equal(here, there)


def test_more_blocks_than_workers_are_refused_with_both_numbers(workers, network, meant):
    with pytest.raises(InputError, match="blocks is 3, but the cluster has 2 workers"):
        Session(network, workers, blocks=3)
    assert held(workers) == 0
    with Session(network, workers, seed=SEED, tr_s=0.1) as session:
        same(session.advance(600, spikes=True), meant)


def test_a_session_refused_on_the_workers_leaves_nothing_there(workers, network):
    with pytest.raises(InputError, match="threads is 100"):
        Session(network, workers, threads=100)
    assert held(workers) == 0


@pytest.mark.parametrize(
    "refused",
    [
        lambda session: session.set("g_ampa", np.ones(3), neuron="all"),
        lambda session: session.set("t_ref", 1e6),
        lambda session: session.state("spin"),
    ],
    ids=["length", "counter", "name"],
)
def test_what_is_refused_there_does_not_end_the_session(workers, network, meant, refused):
    with Session(network, workers, seed=SEED, tr_s=0.1) as session:
        with pytest.raises(InputError):
            refused(session)
        same(session.advance(600, spikes=True), meant)


def test_sessions_live_side_by_side(workers, network, meant):
    ensemble = partial(Session, network, seed=SEED, members=2, tr_s=0.1)
    with (
        Session(network, workers, seed=SEED, tr_s=0.1) as one,
        Session(network, workers, seed=SEED + 1, tr_s=0.1) as other,
        ensemble(workers) as many,
    ):
        parts = [(one.advance(300, spikes=True), other.advance(300), many.advance(300))]
        parts.append((one.advance(300, spikes=True), other.advance(300), many.advance(300)))
        summed = one.advance(50, summed=True), many.advance(50, summed=True)
    count = np.concatenate([part[0].spike_count for part in parts])
    np.testing.assert_array_equal(count, meant.spike_count)
    assert not np.array_equal(np.concatenate([part[1].spike_count for part in parts]), count)
    members = np.concatenate([part[2].spike_count for part in parts])
    np.testing.assert_array_equal(members[:, :1], meant.spike_count)
    np.testing.assert_array_equal(summed[0].spike_count, summed[1].spike_count[:, :1])
    assert summed[0].spike_count.shape == (1, 1, count.shape[2])
    assert summed[0].spike_count.any()


# A worker dies


def kill_one_of(client, after_s):
    """Kill one of the worker processes as an operator's mistake or a lack of memory would."""
    pid = client.run(os.getpid)[max(client.scheduler_info()["workers"])]
    timer = threading.Timer(after_s, os.kill, (pid, signal.SIGKILL))
    timer.start()
    return timer


def short():
    return dask.config.set({"dtbdask.session.timeout": "5 s"})


def test_a_worker_that_dies_in_a_run_is_an_error_in_time_and_the_cluster_goes_on(
    workers, network, meant
):
    with Session(network, workers, seed=SEED) as session:  # the kernels are compiled
        session.advance(1)
    with short(), Session(network, workers, seed=SEED) as session:
        session.advance(1)
        timer, start = kill_one_of(workers, 0.5), time.monotonic()
        with pytest.raises(DTBDaskError, match="lost") as error:
            session.advance(1_000_000)
        assert time.monotonic() - start < 20
        assert "block" in str(error.value) or "session" in str(error.value)
        timer.join()
        for use in (
            lambda: session.advance(1), lambda: session.set("g_ampa", 1.1, how="multiply"),
            lambda: session.state("v"),
        ):  # fmt: skip
            with pytest.raises(DTBDaskError):
                use()
    workers.wait_for_workers(2, timeout=60)
    with Session(network, workers, seed=SEED, tr_s=0.1) as session:
        same(session.advance(600, spikes=True), meant)


def test_a_member_that_is_lost_is_an_error_and_never_the_run_of_another(workers, network):
    with Session(network, workers, seed=SEED, members=2) as session:
        session.advance(1)
        timer, start = kill_one_of(workers, 0.3), time.monotonic()
        with pytest.raises(DTBDaskError, match="lost"):
            session.advance(20_000)
        assert time.monotonic() - start < 60
        timer.join()
        with pytest.raises(DTBDaskError):
            session.state("v")


def test_means_and_samples_are_those_of_one_process(workers, network, tmp_path):
    options = {"record": ("rate", "v_mean", "receptor_current", "sample", "spikes"), "bin_ms": 10,
               "samples": [2000, 3, 3, 900]}  # fmt: skip
    found = {}
    for name, client, members in (("here", None, 1), ("split", workers, 1), ("many", workers, 2)):
        with Session(network, client, seed=SEED, members=members) as session:
            made = session.run(0.1, to=tmp_path / name, **options)
            found[name] = made.to_xarray().load()
    for name in ("split", "many"):
        for array in found["here"].data_vars:
            np.testing.assert_array_equal(found[name][array], found["here"][array], err_msg=array)
