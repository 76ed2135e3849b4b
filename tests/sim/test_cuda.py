"""A block on a device has every bit of a block on the CPU: state, spikes, counts, recordings."""

import numpy as np
import pytest
from kept import as_import
from networks import FOUR, delayed, make_network

from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import cuda
from dtbdask.sim.block import Block
from dtbdask.sim.quantities import QUANTITIES
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.stimuli import Pulse, Sinusoid, Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda.present(), reason="no CUDA device or no CuPy"),
]

SEED = 2**40 + 3
CURRENTS = {"g_t": 0.06, "g_da": 0.002, "g_ahp": 0.01}
NETWORKS = {
    "default": {},
    "noise": {"noise_rate": 0.01},
    "silent background": {"noise_rate": 0.02, "ou_mean": 0.0, "ou_sigma": 0.0},
    "four receptors": {**FOUR, "noise_rate": 0.01},
    "slow excitation alone": {"g_ampa": 0.0, "g_nmda": 0.001, "noise_rate": 0.02},
    "currents": {**CURRENTS, "noise_rate": 0.01},
    "wide weights": {"wide": True, "noise_rate": 0.01},
    "wide weights, four receptors": {"wide": True, **FOUR, "noise_rate": 0.01},
    "own values": {"neuron": {"g_l": np.linspace(0.02, 0.03, 597)}, "noise_rate": 0.01},
}


def both(network, **options):
    """The same session on the CPU and on the device."""
    on_cpu = Session(network, seed=SEED, device="cpu", **options)
    return on_cpu, Session(network, seed=SEED, device="cuda", **options)


def same(one, other):
    """Spikes, counts, BOLD and every field of the state."""
    for name in ("spike_count", "bold", "spike_step", "spike_neuron"):
        np.testing.assert_array_equal(getattr(one[1], name), getattr(other[1], name))
    fields = one[0]._ask("fields")[0]
    assert fields == other[0]._ask("fields")[0]
    for name in set(fields) - {"pending"}:
        np.testing.assert_array_equal(one[0].state(name), other[0].state(name), err_msg=name)


def advance(session, pieces):
    for n in pieces:
        window = session.advance(n, spikes=True)
    return session, window


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_feature_has_the_bits_of_the_cpu(kind, dtype):
    network = make_network(**NETWORKS[kind])
    pair = [advance(s, [33, 1, 166]) for s in both(network, dtype=dtype)]
    assert pair[0][1].spike_step.size > 100
    same(*pair)


@pytest.mark.parametrize("options", [{"t_steps": 4, "dt_ms": 0.8}, {"members": 3}])
def test_sub_steps_and_members_have_the_bits_of_the_cpu(options):
    network = make_network(**FOUR, **CURRENTS, noise_rate=0.01)
    same(*[advance(s, [50, 50]) for s in both(network, **options)])


@pytest.mark.parametrize("members", [1, 3])
def test_haemodynamics_have_the_bits_of_the_cpu(members):
    """Whatever the windows, and with populations of a voxel apart from each other."""
    network = make_network(voxels=7, neurons=2000, degree=30, noise_rate=0.01)
    network.populations.voxel[:] = np.random.default_rng(2).permutation(network.populations.voxel)
    found = []
    for session in both(network, members=members, tr_s=0.03):
        state = session.balloon()
        state[1:] *= np.linspace(0.5, 2, state.shape[2])
        session.put_balloon(state)
        windows = [session.advance(n, summed=n % 2 == 1) for n in (7, 130, 301)]
        found.append([*[w.bold for w in windows], *[w.spike_count for w in windows],
                      session.balloon()])  # fmt: skip
    assert len(found[0][2]) == 10
    assert np.ptp(found[0][2]) > 0
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_thousand_steps_of_twenty_thousand_neurons():
    network = make_network(voxels=10, neurons=20_000, degree=100)
    pair = [advance(s, [2000]) for s in both(network)]
    assert pair[0][1].spike_step.size > 200_000
    same(*pair)


@pytest.mark.parametrize("blocks", [2, 5])
@pytest.mark.parametrize("late", [False, True])
def test_blocks_of_one_device_are_the_network(blocks, late):
    network = make_network(voxels=4, neurons=2000, degree=30, noise_rate=0.01)
    if late:
        n = network.populations.mixture.far_population.size
        network = delayed(network, np.random.default_rng(1).integers(1, 9, n))
    whole = advance(Session(network, seed=SEED, device="cpu"), [120])
    parts = advance(Session(network, seed=SEED, device="cuda", blocks=blocks), [120])
    same(whole, parts)


@pytest.mark.parametrize("threads", [32, 96, 128, 256])
def test_no_result_depends_on_the_shape_of_a_launch(threads):
    from dtbdask.sim.cuda_block import CudaBlock

    network = make_network(neurons=3000, noise_rate=0.01)
    host = Block(BlockSpec.whole(network, SEED))
    device = CudaBlock(BlockSpec.whole(network, SEED, device="cuda"), threads=threads)
    for _ in range(60):
        host.step()
        device.step()
        np.testing.assert_array_equal(host.global_spikes(), device.global_spikes())
        np.testing.assert_array_equal(host.spikes, device.spikes)
    np.testing.assert_array_equal(host.state.v, device.state.v.get())


def hub(n=3000, degree=40):
    """A network in which every neuron hears neuron 5: a row much longer than a warp delivers."""
    network = make_network(voxels=3, neurons=3 * n, degree=degree, noise_rate=0.02)
    edges = network.wiring.in_edges(0, network.n_neurons)
    source = edges.source.reshape(-1, degree).copy()
    hears = (source == 5).any(axis=1)
    hears[5] = True
    source[~hears, 0] = 5
    weights = InEdges(edges.indptr, source.ravel(), edges.weight)
    return type(network)(
        network.populations, network.parameters, Held(weights, network.wiring.weight_scale),
        network.labels, network.attributes,
    )  # fmt: skip


def test_rows_that_the_grid_shares_have_all_their_edges():
    network = hub()
    device = Session(network, seed=SEED, device="cuda")
    assert device._crew._gang.blocks[0].edges.n_long >= 1
    same(advance(Session(network, seed=SEED, device="cpu"), [150]), advance(device, [150]))


def test_several_tiles_are_one(monkeypatch):
    from dtbdask.sim import cuda_edges

    network = make_network(voxels=4, neurons=4000, degree=50, noise_rate=0.01)
    monkeypatch.setattr(cuda_edges, "_tile_size", lambda n, degree: 640)
    pair = [advance(s, [100]) for s in both(network)]
    assert pair[1][0]._crew._gang.blocks[0].edges.indptr.shape[0] == 7
    same(*pair)


def script(n, seed=0):
    """Spikes in no order, several of one step, some that are never reached."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 80, 500), rng.integers(0, n, 500)


def test_delays_and_scripted_spikes_go_on_where_they_were(tmp_path):
    network = make_network(voxels=4, neurons=1200, degree=30, noise_rate=0.01)
    n = network.populations.mixture.far_population.size
    late = delayed(network, np.random.default_rng(1).integers(1, 9, n))
    scripted = as_import(make_network(neurons=1200), tmp_path / "net", sources=script(1200))
    same(*[advance(s, [7, 1, 92]) for s in both(late)])
    same(*[advance(s, [7, 1, 52]) for s in both(scripted)])


@pytest.mark.parametrize("there", [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_checkpoint_goes_on_on_the_other_device(tmp_path, there):
    network = make_network(voxels=4, neurons=1500, degree=30, **FOUR, **CURRENTS, noise_rate=0.01)
    n = network.populations.mixture.far_population.size
    network = delayed(network, np.random.default_rng(1).integers(1, 9, n))
    undisturbed = advance(Session(network, seed=SEED, device="cpu"), [50, 50])
    first, second = there
    session, _ = advance(Session(network, seed=SEED, device=first), [50])
    session.checkpoint(tmp_path / "kept")
    same(undisturbed, advance(Session.resume(tmp_path / "kept", network, device=second), [50]))


def driven(session):
    """Change and stimulate a session in all ways."""
    session.stimulate(Step(amplitude=0.3, population="region 0", onset_ms=20, duration_ms=50))
    session.stimulate(Sinusoid(amplitude=0.2, frequency_hz=40, duration_ms=500, population="E"))
    advance(session, [40])
    session.set("g_ampa", 0.004, population="region 1")
    session.set("g_l", 0.02, neuron=np.arange(100, 200))
    pulse = {"width_ms": 2, "period_ms": 10, "duration_ms": 30, "onset_ms": 40}
    session.stimulate(Pulse(amplitude=1.0, population="region 2", **pulse))
    return advance(session, [60])


def test_changes_and_stimuli_have_the_bits_of_the_cpu():
    same(*[driven(s) for s in both(make_network(neurons=2000, noise_rate=0.01))])


@pytest.mark.parametrize("blocks", [1, 3])
def test_recordings_have_the_bits_of_the_cpu(tmp_path, blocks):
    network = make_network(neurons=2000, **FOUR, noise_rate=0.01)
    record = list(QUANTITIES)
    found = []
    for device in ("cpu", "cuda"):
        with Session(network, seed=SEED, device=device, blocks=blocks, tr_s=0.05) as session:
            session.stimulate(
                Step(amplitude=0.3, population="region 0", onset_ms=20, duration_ms=50)
            )
            recording = session.run(
                0.2, record=record, to=tmp_path / device, bin_ms=5, samples=np.arange(0, 2000, 97),
                sample_every=2,
            )  # fmt: skip
            found.append(recording.to_xarray().load())
    assert found[0].sizes["spike"] > 100
    for name, values in found[0].variables.items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)
