"""What is seen of the state is what the oracle shows, for any blocks, and changes nothing."""

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, make_network
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph.partition import Partition
from dtbdask.graph.samples import choose_samples
from dtbdask.kernels import RECEPTORS
from dtbdask.rng import TILE
from dtbdask.sim.quantities import MEANS, QUANTITIES, SAMPLE, Request, bytes_per_second
from dtbdask.sim.session import Session

SEED, STEPS = 5, 60
SAMPLES = [1300, 7, 7, 0, 128, 2390, 1299]
OPTIONS = {"record": (*MEANS, "rate", "sample"), "samples": SAMPLES}


class Watched(Oracle):
    """An oracle whose traces are looked at before the kicks of a step are in them."""

    def substep(self, index):
        fires = super().substep(index)
        self.before_kicks = self.j.astype(np.float64)
        return fires

    def currents(self):
        v = self.v.astype(np.float64)
        g, e = (
            np.stack([self.plain[f"{kind}_{name}"].astype(np.float64) for name in RECEPTORS])
            for kind in "ge"
        )
        return g * (e - v) * self.before_kicks


@pytest.fixture(scope="module")
def network():
    n = 2397
    excluded = np.random.default_rng(1).integers(0, 2, n)
    spread = np.random.default_rng(2).gamma(5, 1 / 5, n)
    return make_network(
        voxels=4, neurons=2400, degree=30, seed=4, noise_rate=0.002, **FOUR,
        neuron={"excluded": excluded, "g_ampa": 0.002 * spread},
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    """Two receptors; nobody of population 2 counts. Run in float64."""
    excluded = np.arange(8) == 2
    return make_network(voxels=4, neurons=2400, degree=30, noise_rate=0.01, excluded=excluded)


def oracle_of(network, dtype):
    """What a recording of the first steps must hold, in plain NumPy."""
    oracle = Watched(network, seed=SEED, dtype=dtype)
    spikes, v, one, ou = [], [], [], []
    for _ in range(STEPS):
        spikes.append(np.isin(np.arange(oracle.n), oracle.step()))
        v.append(oracle.v.astype(np.float64))
        one.append(oracle.currents())
        ou.append(oracle.ou.astype(np.float64))
    return np.array(spikes), np.array(v), np.array(one), np.array(ou), oracle.population


def recorded(network, path, *, dtype="float32", members=1, session=None, **options):
    given = {"partition": "auto", **(session or {})}
    with Session(network, seed=SEED, dtype=dtype, members=members, **given) as running:
        seconds = STEPS / 1000
        return running.run(seconds, to=path, overwrite=True, **OPTIONS | options).to_xarray().load()


@pytest.fixture(scope="module")
def meant(network, tmp_path_factory):
    return recorded(network, tmp_path_factory.mktemp("meant") / "run", bin_ms=5, sample_every=3)


def same(found, meant):
    for name in meant.data_vars:
        np.testing.assert_array_equal(found[name], meant[name], err_msg=name)
    assert set(found.data_vars) == set(meant.data_vars)


@pytest.mark.parametrize("kind", ["network", "plain"])
def test_means_and_samples_are_those_of_plain_numpy(request, tmp_path, kind):
    network = request.getfixturevalue(kind)
    dtype, on = ("float32", [0, 1, 2, 3]) if kind == "network" else ("float64", [0, 2])
    spikes, v, one, ou, population = oracle_of(network, dtype)
    data = recorded(network, tmp_path / "run", dtype=dtype)
    base = network.parameters.population["excluded"][population]
    counted = network.parameters.neuron.get("excluded", base) == 0
    for p in np.unique(population[counted]):
        of = counted & (population == p)
        np.testing.assert_allclose(data.v_mean[:, p], v[:, of].mean(axis=1), rtol=0, atol=1e-9)
        total = one.sum(axis=1)[:, of].mean(axis=1)
        np.testing.assert_allclose(data.current_mean[:, p], total, rtol=0, atol=1e-9)
        each = one[:, on][:, :, of].mean(axis=2)
        np.testing.assert_allclose(data.receptor_current[:, :, p], each, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(data.spike_count[:, p], spikes[:, of].sum(axis=1))
    assert data.receptor.values.tolist() == [RECEPTORS[u] for u in on]
    assert np.isnan(data.v_mean[:, 2]).all() == (kind == "plain")
    np.testing.assert_array_equal(data.sample_neuron, SAMPLES)
    np.testing.assert_array_equal(data.sample_v, v[:, SAMPLES])
    total = ((one[:, 0] + one[:, 1]) + one[:, 2]) + one[:, 3]
    np.testing.assert_array_equal(data.sample_current, total[:, SAMPLES])
    np.testing.assert_array_equal(data.sample_background, ou[:, SAMPLES])
    np.testing.assert_array_equal(data.sample_spike, spikes[:, SAMPLES])
    assert data.sample_spike.sum() > 5
    np.testing.assert_array_equal(data.bin_time_ms, np.arange(1, STEPS + 1))


def test_a_bin_is_the_exact_sum_or_the_mean_of_its_steps(network, tmp_path, meant):
    steps = recorded(network, tmp_path / "run")
    count = steps.spike_count.values.reshape(12, 5, 8).sum(axis=1)
    np.testing.assert_array_equal(meant.bin_spike_count, count)
    for name in MEANS:
        shape = (12, 5, *steps[name].shape[1:])
        mean = steps[name].values.reshape(shape).mean(axis=1)
        np.testing.assert_allclose(meant[name], mean, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(meant.bin_time_ms, np.arange(5, 61, 5))
    struck = steps.sample_spike.values.reshape(20, 3, len(SAMPLES)).sum(axis=1)
    np.testing.assert_array_equal(meant.sample_spike, struck)
    for name in SAMPLE[:3]:
        np.testing.assert_array_equal(meant[name], steps[name][2::3])
    np.testing.assert_array_equal(meant.look_time_ms, np.arange(3, 61, 3))


@given(data=st.data(), threads=st.sampled_from([1, 2]), window=st.sampled_from([1, 7, 500]))
@settings(max_examples=12, deadline=None)
def test_any_partition_threads_and_windows_give_the_same_bits(
    network, meant, tmp_path_factory, data, threads, window
):
    n_tiles, n_blocks = -(-network.n_neurons // TILE), data.draw(st.integers(1, 5))
    owner = data.draw(st.permutations(list(np.arange(n_tiles) % n_blocks)))
    made = Partition.of_tiles(owner, network.n_neurons)
    with dask.config.set({"dtbdask.session.window-steps": window}):
        found = recorded(
            network, tmp_path_factory.mktemp("found") / "run", bin_ms=5, sample_every=3,
            session={"partition": made, "threads": threads},
        )  # fmt: skip
    same(found, meant)


def test_of_an_ensemble_the_first_member_is_looked_at(network, tmp_path, meant):
    same(recorded(network, tmp_path / "run", members=3, bin_ms=5, sample_every=3), meant)


def test_looking_changes_nothing_that_follows(network, tmp_path):
    with Session(network, seed=SEED) as one, Session(network, seed=SEED) as other:
        one.run(0.03, to=tmp_path / "run", bin_ms=10, **OPTIONS)
        other.run(0.03)
        a, b = one.advance(30, spikes=True), other.advance(30, spikes=True)
        np.testing.assert_array_equal(a.spike_neuron, b.spike_neuron)
        for name in ("v", "ou", "refractory", "j_ampa", "j_gaba_b"):
            np.testing.assert_array_equal(one.state(name), other.state(name))


def test_a_parameter_may_change_between_recordings(plain, tmp_path):
    record = ("receptor_current", "current_mean")
    with Session(plain, seed=1, dtype="float64") as session:
        first = session.run(0.02, record=record, to=tmp_path / "first").to_xarray().load()
        session.set("g_ampa", 0.0, how="multiply")
        then = session.run(0.02, record=record, to=tmp_path / "then").to_xarray().load()
    counted = np.arange(8) != 2
    assert (first.receptor_current[-1, 0, counted] > 0).all()
    assert (then.receptor_current[:, 0, counted] == 0).all()
    total = then.receptor_current.sum("receptor", skipna=False)
    np.testing.assert_allclose(then.current_mean, total, rtol=0, atol=1e-8)
    assert then.bin_time_ms[0] == 21


def test_samples_may_be_the_first_of_populations(network):
    first = network.populations.first
    assert choose_samples(network, {"region 1 I": 2, 0: 1}).tolist() == [first[3], first[3] + 1, 0]
    of_each = choose_samples(network, {"E": 2})
    assert of_each.tolist() == [n for p in (0, 2, 4, 6) for n in (first[p], first[p] + 1)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bin_ms": 0.5}, "bin_ms is 0.5; expected a multiple of dt = 1 ms, up to 1000 ms"),
        ({"bin_ms": 7}, "bin_ms is 7, which does not divide the run of 60 ms"),
        ({"bin_ms": 2000}, "up to 1000 ms"),
        ({"record": ["bold"], "samples": None, "bin_ms": 5}, "nothing in it has bins"),
        ({"samples": None}, "give 'sample' and samples, or neither"),
        ({"record": ["rate"]}, "give 'sample' and samples, or neither"),
        ({"record": ["rate"], "samples": None, "sample_every": 2}, "sample_every is 2, but"),
        ({"sample_every": 1.5}, "sample_every is 1.5; expected a multiple"),
        ({"samples": [2397]}, "samples: neuron 2397 is not one of 0 to 2,396"),
        ({"samples": [-1]}, "samples: neuron -1"),
        ({"samples": []}, "samples names 0 neurons"),
        ({"samples": [0.5]}, "samples is float64 of shape"),
        ({"samples": {"E": 10**6}}, "samples of 'E' is 1,000,000, but population 'region 0 E' has"),
        ({"samples": {"E": 0}}, "samples of 'E' is 0; expected 1"),
        ({"samples": {"layer": 1}}, "nothing is named 'layer'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(network, tmp_path, options, told):
    with Session(network) as session, pytest.raises(InputError, match=told):
        session.run(STEPS / 1000, to=tmp_path / "run", **OPTIONS | options)
    assert not (tmp_path / "run").exists()


def test_bins_and_looks_must_share_a_window(network):
    with pytest.raises(InputError, match="bin_ms is 7 and sample_every is 999; they have no"):
        Request.make(network, ("rate", "sample"), 6993, 1.0, bin_ms=7, samples=[0],
                     sample_every=999)  # fmt: skip


def test_the_bytes_foretold_are_those_of_the_arrays(network, tmp_path):
    data = recorded(network, tmp_path / "run", bin_ms=5, sample_every=3)
    told = bytes_per_second(
        ("rate", *MEANS, "sample"), populations=8, voxels=4, neurons=network.n_neurons, bin_ms=5,
        samples=len(SAMPLES), sample_every=3,
    )  # fmt: skip
    names = {"rate": ["bin_spike_count"], "sample": SAMPLE, **{name: [name] for name in MEANS}}
    for quantity, arrays in names.items():
        held = sum(data[name].nbytes for name in arrays)
        assert told[quantity] * STEPS / 1000 == pytest.approx(held)
    assert set(bytes_per_second(QUANTITIES, populations=1, voxels=1, neurons=1)) == set(QUANTITIES)
