"""What went wrong in DTB's programs does not go wrong here: a test for each defect that applies."""

import numpy as np
import pytest
from kept import as_import
from networks import make_network

from dtbdask.sim.block import Block
from dtbdask.sim.recording import open_recording
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

SILENT = {"ou_mean": 0.0, "ou_sigma": 0.0}
ALONE = {**SILENT, "g_ampa": 0.0, "g_gaba_a": 0.0}


def live(network, **options):
    return Block(BlockSpec.whole(network, 1, **{"dtype": "float64", **options}))


@pytest.mark.parametrize("t_steps", [1, 4])
def test_the_background_current_with_one_sub_step_leaves_recurrent_input_alive(t_steps):
    """Spikes of the same block act on its neurons, with the background current on."""
    network = make_network(ou_mean=0.6, ou_sigma=0.2)
    block = live(network, t_steps=t_steps)
    assert block.coefficients.features.background
    while not block.global_spikes().size:
        block.step()
        assert not any(j.any() for j in block.state.j)
    fired = block.global_spikes()
    block.settle()
    edges = network.wiring.in_edges(0, network.n_neurons)
    target = np.repeat(np.arange(network.n_neurons), np.diff(edges.indptr))
    excites = network.populations.excitatory[network.populations.population_of(0, block.n_neurons)]
    acts = np.isin(edges.source, fired) & excites[edges.source]
    meant = np.bincount(target[acts], edges.weight[acts, 0] / 255.0, block.n_neurons)
    np.testing.assert_allclose(block.state.j[0][0], meant, rtol=1e-12)
    assert meant.any()


def test_the_dopamine_current_is_added_once_and_of_the_right_sign():
    """It pulls V towards its reversal potential, and other currents stay as they are."""
    values = {**SILENT, "i_ext": 0.55, "noise_rate": 0.02, "v_th": -40.0}
    without = live(make_network(**values))
    with_it = [live(make_network(**values, g_da=0.003, e_da=e_da)) for e_da in (-90.0, 10.0)]
    for _ in range(30):
        without.step()
    without.settle()
    before = without.state.v.copy()
    for block in with_it:
        block.step_index = without.step_index
        block.state.v[:] = before
        for mine, theirs in zip(block.state.j, without.state.j, strict=True):
            mine[:] = theirs
        assert without.state.j[0].any()
        block.step()
    without.step()
    assert (before > -90.0).all()
    assert (before < 10.0).all()
    for block, e_da in zip(with_it, (-90.0, 10.0), strict=True):
        change = block.state.v - without.state.v
        assert (np.sign(change) == np.sign(e_da)).all()
        np.testing.assert_allclose(change, 0.003 * (e_da - before) / 0.5, rtol=1e-9)


def test_parameters_of_a_request_are_those_of_its_populations():
    """The n-th value goes to the n-th population, in every block, for every current."""
    names = {"g_t": 0.001, "g_da": 0.002, "g_ahp": 0.01, "ou_mean": 0.1}
    value = np.array([0.0, 1.0, 0.0, 3.0, 2.0, 5.0])
    network = make_network(**ALONE, g_l=0.0, ca_init=1.0, v_th=0.0)
    owner = network.populations.population_of(0, network.n_neurons)
    v, ca = (0.0 - 55.0) / 2, 1.0
    for blocks in (1, 3):
        with Session(network, blocks=blocks, dtype="float64") as session:
            for name, scale in names.items():
                session.set(name, scale * value)
            session.advance(1)
            found = session.state("v")[0]
        ou = names["ou_mean"] * value * -np.expm1(-1 / 4.0)
        current = 0.001 * 0.5 * value * (120.0 - v) + 0.002 * value * (0.0 - v)
        current += 0.01 * value * ca * (-80.0 - v) + ou
        np.testing.assert_allclose(found, (v + current / 0.5)[owner], rtol=1e-12)


def test_a_refractory_period_changed_on_the_way_is_in_ms_as_at_the_start():
    """With steps of half a ms, 3 ms are six of them, and 2 ms four."""
    with Session(make_network(**ALONE, i_ext=2.0), dt_ms=0.5, tr_s=0.1) as session:
        for t_ref, steps in ((2.0, 4), (3.0, 6), (1.0, 2)):
            session.set("t_ref", t_ref)
            longest = 0
            for _ in range(30):
                spiked = session.advance(1, spikes=True).spike_neuron
                if spiked.size:
                    longest = session.state("refractory")[0, spiked]
                    assert (longest == steps).all()
            assert np.size(longest) > 1


@pytest.mark.parametrize("t_ref", [0.0, 0.3, 1.0])
def test_a_refractory_period_not_longer_than_a_step_still_resets(t_ref):
    """The neuron is not stuck; the step after a spike begins at the reset potential."""
    block, v, spikes = live(make_network(**ALONE, i_ext=2.0, t_ref=t_ref)), -52.5, 0
    for _ in range(40):
        start = -55.0 if v == -50.0 else v
        v = min(-50.0, start + (0.025 * (-70.0 - start) + 2.0) / 0.5)
        block.step()
        np.testing.assert_allclose(block.state.v, v, rtol=1e-12)
        spikes += block.global_spikes().size
    assert 0 < spikes < 40 * block.n_neurons


@pytest.mark.parametrize("t_steps", [1, 6])
def test_calcium_rises_once_a_spike_and_not_once_a_further_sub_step(t_steps):
    """[Ca] is the sum of what its own spikes left; noise spikes leave nothing."""
    values = {**ALONE, "i_ext": 1.0, "noise_rate": 0.05, "g_ahp": 1e-6, "tau_ca": 40.0}
    block = live(make_network(**values), t_steps=t_steps)
    n, spikes = np.zeros(block.n_neurons), 0
    crossed = np.zeros(block.n_neurons)
    before = block.state.refractory[0].astype(int)
    for _ in range(60):
        block.step()
        after = block.state.refractory[0].astype(int)
        own = after > before  # with a pause longer than a step, at most one crossing in it
        left_since = np.where(own, t_steps * 2 - after, 0)  # sub-steps since the crossing
        decay = np.exp(-1 / t_steps / 40.0)
        n = n * decay**t_steps + own * 0.2 * decay**left_since
        np.testing.assert_allclose(block.state.ca[0], n, rtol=1e-9)
        crossed += own
        spikes += block.global_spikes().size
        before = after
    assert (crossed >= 3).all()
    assert spikes > crossed.sum() * 1.2  # noise spikes there were


@pytest.mark.parametrize("seconds", [[0.02, 0.02], [0.01, 0.03]])
def test_scripted_spikes_do_not_restart_with_a_second_run(tmp_path, seconds):
    """Steps count from the beginning of the session."""
    script = ([0, 3, 15, 25, 39], [7, 1, 2, 8, 3])
    network = as_import(make_network(**SILENT), tmp_path / "net.zarr", sources=script)
    with Session(network, tr_s=0.01) as session:
        for k, s in enumerate(seconds):
            session.run(s, record=["spikes"], to=tmp_path / str(k))
            found = session.step
        assert found == 40
        assert session.advance(40, spikes=True).spike_neuron.size == 0
    found = [open_recording(tmp_path / str(k)).to_xarray() for k in range(2)]
    steps, neurons = (np.concatenate([run[name].values for run in found])
                      for name in ("spike_step", "spike_neuron"))  # fmt: skip
    assert (steps.tolist(), neurons.tolist()) == script


def test_noise_spikes_and_the_background_current_do_not_exclude_each_other():
    """With both on, a step has own spikes and noise spikes."""
    network = make_network(ou_mean=0.6, ou_sigma=0.2, noise_rate=0.02)
    block, own, noise = live(network), 0, 0
    for _ in range(50):
        block.step()
        fired = block.global_spikes()
        shows = block.state.v[0, fired] == -50.0
        own, noise = own + np.count_nonzero(shows), noise + np.count_nonzero(~shows)
    assert own > 50
    assert abs(noise / (50 * block.n_neurons * 0.02) - 1) < 0.2
