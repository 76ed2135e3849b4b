"""A recording holds exactly what happened, lazily and labelled, or it is refused."""

import subprocess
import sys

import dask
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import make_network

from dtbdask import schema
from dtbdask.errors import InputError, StoreError
from dtbdask.sim.quantities import check_record
from dtbdask.sim.record import Column
from dtbdask.sim.recording import Recording, open_recording
from dtbdask.sim.session import Session

DRIVE = {"noise_rate": 0.002}
QUANTITIES = ("rate", "bold", "spikes")
ARRAYS = ("spike_count", "n_spikes", "spike_neuron", "bold")


@pytest.fixture(scope="module")
def network():
    return make_network(**DRIVE)


@pytest.fixture(scope="module")
def recorded(network, tmp_path_factory):
    """Recording of 0.55 s after 0.37 s, frames of 0.1 s, and the same run without one."""
    path = tmp_path_factory.mktemp("record") / "run.zarr"
    with Session(network, seed=3, tr_s=0.1) as session, Session(network, seed=3, tr_s=0.1) as twin:
        session.run(0.37)
        twin.advance(370)
        recording = session.run(0.55, record=QUANTITIES, to=path)
        return recording, twin.advance(550, spikes=True)


@given(
    rows=st.integers(1, 9),
    sizes=st.lists(st.integers(0, 25), max_size=8),
    tail=st.sampled_from([(), (3,)]),
)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_column_holds_what_was_appended_in_whole_chunks(tmp_path, rows, sizes, tail):
    spec = schema.RECORDING["spike_count" if tail else "spike_neuron"]
    group = zarr.create_group(tmp_path / "column", overwrite=True)
    column = Column(group, spec, tail, rows)
    values = np.arange(sum(sizes) * max(1, sum(tail))).reshape(sum(sizes), *tail)
    written = {}
    for piece in np.split(values, np.cumsum(sizes)):
        column.append(piece)
        assert group[spec.name].shape[0] % rows == 0
        for file in (tmp_path / "column" / spec.name / "c").rglob("*"):
            if file.is_file():  # whole chunks are written once
                assert written.setdefault(file, file.stat().st_mtime_ns) == file.stat().st_mtime_ns
    column.finish()
    array = group[spec.name]
    np.testing.assert_array_equal(array[:], values)
    assert array.chunks == (rows, *tail)
    assert array.dtype == spec.dtype
    assert array.nchunks_initialized == array.nchunks


def test_the_arrays_are_lazy_and_opening_computes_nothing(recorded):
    def refuse(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        data = open_recording(recorded[0].path).to_xarray()
        for name in (*ARRAYS, "spike_step"):
            assert dask.is_dask_collection(data[name].data), name
        assert repr(data)


def test_what_was_recorded_is_what_happened(recorded):
    data, window = recorded[0].to_xarray().load(), recorded[1]
    np.testing.assert_array_equal(data.spike_count, window.spike_count[:, 0])
    np.testing.assert_array_equal(data.bold, window.bold[:, 0])
    np.testing.assert_array_equal(data.spike_step, window.spike_step)
    np.testing.assert_array_equal(data.spike_neuron, window.spike_neuron)
    for name in ARRAYS:
        spec = schema.RECORDING[name]
        assert data[name].dtype == spec.dtype
        assert data[name].dims == spec.dims
        assert (data[name].units, data[name].long_name) == (spec.unit, spec.meaning)


def test_the_counts_are_the_histogram_of_the_spikes(recorded):
    data = recorded[0].to_xarray().load()
    edges = np.append(data.first_neuron, data["size"].sum())
    steps = np.arange(370, 921)
    found, _, _ = np.histogram2d(data.spike_step, data.spike_neuron, [steps, edges])
    np.testing.assert_array_equal(data.spike_count, found)
    assert data.spike_count.sum() == data.sizes["spike"] > 1000
    assert (np.diff(data.spike_step) >= 0).all()
    same = np.diff(data.spike_step) == 0
    assert (np.diff(data.spike_neuron)[same] > 0).all()


def test_times_and_labels_are_those_of_the_run(recorded, network):
    data = recorded[0].to_xarray()
    np.testing.assert_allclose(data.time_ms, np.arange(371, 921))
    np.testing.assert_allclose(data.time_s, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert data.population_label.values.tolist() == network.population_labels
    assert data.voxel_label.values.tolist() == list(network.labels)
    np.testing.assert_array_equal(data["size"], network.populations.size)
    np.testing.assert_array_equal(data.first_neuron, network.populations.first)
    np.testing.assert_array_equal(data.excitatory, network.populations.excitatory)
    np.testing.assert_array_equal(data.population_voxel, network.populations.voxel)


def test_the_store_says_how_it_was_made(recorded, network):
    about = recorded[0].to_xarray().attrs
    expected = {"kind": "recording", "status": "complete", "seed": 3, "dt_ms": 1.0, "tr_s": 0.1,
                "first_step": 370, "n_steps": 550, "frame_steps": 100, "record": list(QUANTITIES),
                "n_neurons": network.n_neurons, "n_synapses": network.n_synapses}  # fmt: skip
    assert {name: about[name] for name in expected} == expected
    assert about["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("dt_ms", [0.5, 2.0])
def test_times_follow_the_step(network, tmp_path, dt_ms):
    with Session(network, dt_ms=dt_ms, tr_s=0.01) as session:
        data = session.run(0.04, record=["rate", "bold"], to=tmp_path / "run").to_xarray()
    np.testing.assert_allclose(data.time_ms, np.arange(1, 40 / dt_ms + 1) * dt_ms)
    np.testing.assert_allclose(data.time_s, [0.01, 0.02, 0.03, 0.04])


@pytest.mark.parametrize(
    ("record", "variables"),
    [
        (["rate"], {"spike_count"}),
        (("bold",), {"bold"}),
        (["spikes"], {"n_spikes", "spike_step", "spike_neuron"}),
    ],
)
def test_only_what_is_asked_for_is_recorded(network, tmp_path, record, variables):
    with Session(network, tr_s=0.01) as session:
        data = session.run(0.02, record=record, to=tmp_path / "run").to_xarray()
    assert set(data.data_vars) == variables
    assert all(dask.is_dask_collection(data[name].data) for name in variables)
    data.load()


@pytest.mark.parametrize("window_steps", [37, 1999, 2000, 2001, 10_000])
def test_the_size_of_windows_leaves_no_mark(network, tmp_path, window_steps):
    """The same arrays, in the same chunk files, byte by byte."""
    for name, n in (("meant", 500), ("found", window_steps)):
        with (
            dask.config.set({"dtbdask.session.window-steps": n}),
            Session(network, seed=3, tr_s=0.01) as session,
        ):
            session.run(2.3, record=QUANTITIES, to=tmp_path / name)
    files = {
        name: {
            p.relative_to(tmp_path / name): p.read_bytes()
            for p in (tmp_path / name).rglob("*")
            if p.is_file() and p != tmp_path / name / "zarr.json"
        }
        for name in ("meant", "found")
    }
    assert files["found"] == files["meant"]
    assert len(files["meant"]) > 10


def test_a_quiet_network_and_a_run_short_of_a_frame_leave_empty_arrays(tmp_path):
    network = make_network(i_ext=-0.5)
    with Session(network) as session:
        data = session.run(0.05, record=QUANTITIES, to=tmp_path / "run").to_xarray().load()
    assert data.sizes == {"step": 50, "population": 6, "spike": 0, "frame": 0, "voxel": 3}
    assert not data.spike_count.any()
    assert data.time_s.size == 0


def test_of_an_ensemble_the_first_member_is_recorded(network, tmp_path):
    with Session(network, members=2, seed=3, tr_s=0.1) as session:
        data = session.run(0.2, record=QUANTITIES, to=tmp_path / "run").to_xarray().load()
    with Session(network, seed=3, tr_s=0.1) as session:
        window = session.advance(200, spikes=True)
    np.testing.assert_array_equal(data.spike_count, window.spike_count[:, 0])
    np.testing.assert_array_equal(data.bold, window.bold[:, 0])
    np.testing.assert_array_equal(data.spike_neuron, window.spike_neuron)


def test_an_unfinished_recording_is_refused(network, tmp_path, monkeypatch):
    with Session(network) as session, dask.config.set({"dtbdask.session.window-steps": 50}):
        advance, calls = session.advance, []

        def failing(*arguments, **options):
            calls.append(arguments)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return advance(*arguments, **options)

        monkeypatch.setattr(session, "advance", failing)
        with pytest.raises(KeyboardInterrupt):
            session.run(0.2, record=["rate"], to=tmp_path / "run")
    for opening in (open_recording, lambda path: Recording(path).to_xarray()):
        with pytest.raises(StoreError, match="recording was never completed"):
            opening(tmp_path / "run")


def test_what_is_no_whole_recording_is_refused(network, tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        open_recording(tmp_path / "nothing")
    schema.commit(schema.create_store(tmp_path / "net", "network", {}))
    with pytest.raises(StoreError, match="a dtbdask network store, expected a recording"):
        open_recording(tmp_path / "net")
    with Session(network) as session:
        session.run(2.1, record=["rate"], to=tmp_path / "run")
    (tmp_path / "run" / "spike_count" / "c" / "1" / "0").unlink()
    with pytest.raises(StoreError, match="'spike_count' has 1 of its 2 chunks"):
        open_recording(tmp_path / "run")


def test_numbers_of_numpy_are_recorded_as_numbers(network, tmp_path):
    with Session(network, seed=np.uint64(3), dt_ms=np.float32(1), tr_s=np.float64(0.01)) as session:
        data = session.run(np.float64(0.02), record=["rate"], to=tmp_path / "run").to_xarray()
    assert data.attrs["seed"] == 3


def test_quantities_are_checked_by_name():
    assert tuple(check_record(QUANTITIES)) == QUANTITIES
    with pytest.raises(InputError, match="'volts' is unknown; known are rate, bold, spikes"):
        check_record(("rate", "volts"))


def test_a_recording_is_read_while_it_is_written(network, tmp_path):
    """By another process: what it sees is the beginning of what is written in the end."""
    code = (
        "import sys; from dtbdask.sim.recording import open_recording; "
        "r = open_recording(sys.argv[1], live=True); d = r.to_xarray().load(); "
        "print(int(r.finished), d.sizes['step'], int(d.spike_count.sum()))"
    )
    seen, path = [], tmp_path / "run"

    def look():
        words = [sys.executable, "-c", code, str(path)]
        told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        seen.append([int(word) for word in told.stdout.split()])

    with (
        Session(network, seed=3) as session,
        dask.config.set({"dtbdask.session.window-steps": 2100}),
    ):
        advance, windows = session.advance, []

        def looking(*arguments, **options):
            windows.append(advance(*arguments, **options))
            if len(windows) == 3:
                look()
            return windows[-1]

        session.advance = looking
        data = session.run(6.3, record=["rate"], to=path).to_xarray().load()
    look()
    finished, there, counted = seen[0]
    assert not finished
    assert there in (2000, 4000)  # the second window may still be on its way
    assert counted == int(data.spike_count[:there].sum())
    assert seen[1] == [1, 6300, int(data.spike_count.sum())]


def test_rows_are_there_when_their_chunk_is(network, tmp_path):
    """An array that has grown before its chunk was written shows nothing of it."""
    with Session(network) as session:
        recording = session.run(2.1, record=["rate"], to=tmp_path / "run")
    (tmp_path / "run" / "spike_count" / "c" / "1" / "0").unlink()
    data = open_recording(recording.path, live=True).to_xarray()
    assert data.sizes["step"] == data.time_ms.size == 2000
