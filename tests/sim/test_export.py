"""Exported spikes are the spikes: read back by each library that is there."""

import sys

import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import InputError, MissingDependencyError, StoreExistsError
from dtbdask.sim import export
from dtbdask.sim.export import export_spikes
from dtbdask.sim.session import Session


@pytest.fixture(scope="module")
def network():
    return make_network(noise_rate=0.002)


@pytest.fixture(scope="module")
def recorded(network, tmp_path_factory):
    """Path of a recording that starts late, and its spikes: time in ms and neuron."""
    path = tmp_path_factory.mktemp("record") / "run.zarr"
    with Session(network, seed=3, dt_ms=0.5) as session:
        session.run(0.01)
        data = session.run(0.2, record=["rate", "spikes"], to=path).to_xarray().load()
    return path, (data.spike_step.values + 1) * 0.5, data.spike_neuron.values


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    monkeypatch.setattr(export, "AT_ONCE", 100)


def test_sonata_holds_times_nodes_and_their_order(recorded, network, tmp_path):
    h5py = pytest.importorskip("h5py")
    path, time, neuron = recorded
    assert neuron.size > 300
    made = export_spikes(path, tmp_path / "spikes.h5")
    with h5py.File(made) as file:
        group = file["spikes/brain"]
        np.testing.assert_array_equal(group["timestamps"][:], time)
        np.testing.assert_array_equal(group["node_ids"][:], neuron)
        assert group["node_ids"].dtype == np.uint64
        assert group["timestamps"].attrs["units"] == "ms"
        sorting = group.attrs.get_id("sorting").dtype
        assert h5py.check_enum_dtype(sorting)["by_time"] == group.attrs["sorting"]
        labels = file["dtbdask/population_label"].asstr()[:].tolist()
        assert labels == network.population_labels
        np.testing.assert_array_equal(file["dtbdask/first_neuron"], network.populations.first)


def test_an_archive_of_numpy_holds_the_same_without_objects(recorded, network, tmp_path):
    path, time, neuron = recorded
    with np.load(export_spikes(path, tmp_path / "s.npz", "npz"), allow_pickle=False) as found:
        np.testing.assert_array_equal(found["time_ms"], time)
        np.testing.assert_array_equal(found["neuron"], neuron)
        assert found["population_label"].tolist() == network.population_labels
        assert found["voxel_label"].tolist() == list(network.labels)
        np.testing.assert_array_equal(found["size"], network.populations.size)


def test_parquet_holds_the_same_with_names(recorded, network, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path, time, neuron = recorded
    table = parquet.read_table(export_spikes(path, tmp_path / "s.parquet", "parquet"))
    np.testing.assert_array_equal(table["time_ms"].to_numpy(), time)
    np.testing.assert_array_equal(table["neuron"].to_numpy(), neuron)
    of = network.populations.population_of(0, network.n_neurons)[neuron]
    labels = np.array(network.population_labels)[of]
    assert table["population"].to_pylist() == labels.tolist()


def test_nwb_holds_the_times_of_every_neuron(recorded, network, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    path, time, neuron = recorded
    made = export_spikes(path, tmp_path / "s.nwb", "nwb")
    with pynwb.NWBHDF5IO(str(made), "r") as file:
        units = file.read().units
        assert len(units) == network.n_neurons
        for n in range(network.n_neurons):
            np.testing.assert_allclose(units["spike_times"][n], time[neuron == n] / 1000)
        assert units["population"][0] == network.population_labels[0]


def test_neo_holds_a_train_of_each_neuron_that_spiked(recorded, tmp_path):
    neo = pytest.importorskip("neo")
    path, time, neuron = recorded
    made = export_spikes(path, tmp_path / "s.nix", "neo")
    trains = neo.NixIO(str(made), "ro").read_block().segments[0].spiketrains
    assert len(trains) == np.unique(neuron).size
    for train in trains:
        meant = time[neuron == train.annotations["neuron"]] / 1000
        np.testing.assert_allclose(train.magnitude, meant)


@pytest.mark.parametrize(
    ("form", "module"),
    [("sonata", "h5py"), ("parquet", "pyarrow"), ("nwb", "pynwb"), ("neo", "neo")],
)
def test_a_library_that_is_absent_is_named_with_what_gets_it(
    recorded, tmp_path, monkeypatch, form, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"^{module} .* pip install 'dtbdask\["):
        export_spikes(recorded[0], tmp_path / "out", form)
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays_unless_told_otherwise(recorded, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreExistsError, match="pass overwrite"):
        export_spikes(recorded[0], tmp_path / "out", "npz")
    assert (tmp_path / "out").read_text() == "mine"
    export_spikes(recorded[0], tmp_path / "out", "npz", overwrite=True)
    assert (tmp_path / "out").read_bytes()[:2] == b"PK"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_spikes_or_with_an_unknown_format_it_is_refused(recorded, network, tmp_path):
    with pytest.raises(InputError, match="format is 'mat'; known are sonata, npz"):
        export_spikes(recorded[0], tmp_path / "out", "mat")
    with Session(network, dt_ms=0.5) as session:
        session.run(0.01, record=["rate"], to=tmp_path / "run")
    with pytest.raises(InputError, match=r"record is \['rate'\]; spikes can be exported where"):
        export_spikes(tmp_path / "run", tmp_path / "out")


def test_a_quiet_recording_makes_an_empty_file(tmp_path):
    with Session(make_network(i_ext=-0.5, noise_rate=0), dt_ms=0.5) as session:
        session.run(0.01, record=["spikes"], to=tmp_path / "run")
    with np.load(export_spikes(tmp_path / "run", tmp_path / "out", "npz")) as found:
        assert found["neuron"].size == found["time_ms"].size == 0
