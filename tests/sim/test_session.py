"""A run depends on network, seed and protocol alone: not on blocks, threads, windows or storage."""

import dask
import numpy as np
import pytest
from networks import make_brain, make_network
from oracle import Oracle

from dtbdask import schema
from dtbdask.errors import InputError, SessionError, StoreExistsError
from dtbdask.graph.build import build
from dtbdask.sim.block import Block
from dtbdask.sim.changes import Change
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

RECIPE = {"neurons": 2400, "degree": 30, "seed": 4}
DRIVE = {"noise_rate": 0.002}
SEED, STEPS = 2**50 + 1, 600


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=4, **RECIPE, **DRIVE)


@pytest.fixture(scope="module")
def meant(network):
    """Steps, neurons and counts of the oracle's spikes."""
    oracle = Oracle(network, seed=SEED)
    spikes = [oracle.step() for _ in range(STEPS)]
    steps = np.repeat(np.arange(STEPS), [ids.size for ids in spikes])
    return steps, np.concatenate(spikes), counts_of(network, spikes)


def counts_of(network, spikes):
    owner, n = network.populations.population_of(0, network.n_neurons), 2 * len(network.labels)
    return np.array([np.bincount(owner[ids], minlength=n) for ids in spikes])


def is_meant(window, meant):
    for found, expected in zip(
        (window.spike_step, window.spike_neuron, window.spike_count[:, 0]), meant, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def same_windows(one, other):
    for name in ("spike_count", "bold", "spike_step", "spike_neuron"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize(
    ("blocks", "threads"), [(1, 1), (2, 1), (3, 1), (5, 1), (1, 2), (3, 2), (1, 7)]
)
def test_the_spikes_are_the_oracles_for_any_blocks_and_threads(network, meant, blocks, threads):
    assert network.n_neurons >= 2000
    assert meant[0].size > 10_000
    with Session(network, seed=SEED, blocks=blocks, threads=threads, tr_s=0.1) as session:
        window = session.advance(STEPS, spikes=True)
    is_meant(window, meant)
    assert window.bold.shape == (6, 1, 4)
    with Session(network, seed=SEED, tr_s=0.1) as session:
        same_windows(session.advance(STEPS, spikes=True), window)


@pytest.mark.parametrize(("dt_ms", "t_steps", "dtype"), [(0.5, 2, "float32"), (1.0, 3, "float64")])
def test_the_spikes_are_the_oracles_for_any_steps(network, dt_ms, t_steps, dtype):
    options = {"seed": 3, "dt_ms": dt_ms, "t_steps": t_steps, "dtype": dtype}
    oracle = Oracle(network, **options)
    with Session(network, blocks=3, **options) as session:
        window = session.advance(150, spikes=True)
        np.testing.assert_array_equal(
            window.spike_neuron, np.concatenate([oracle.step() for _ in range(150)])
        )
        np.testing.assert_array_equal(session.state("v")[0], oracle.v)


def test_stored_and_procedural_networks_run_the_same(network, meant, tmp_path):
    for synapses in ("stored", "procedural"):
        built = build(
            make_brain(4), tmp_path / synapses, synapses=synapses, parameters=DRIVE, chunk=10_007,
            **RECIPE,
        )  # fmt: skip
        with Session(built, seed=SEED, blocks=2) as session:
            is_meant(session.advance(STEPS, spikes=True), meant)


def test_another_seed_is_another_run(network, meant):
    with Session(network, seed=SEED + 1) as session:
        window = session.advance(50, spikes=True)
    early = meant[0] < 50
    assert not np.array_equal(window.spike_neuron, meant[1][early])


@pytest.mark.parametrize("pieces", [[1, 599], [37] * 16 + [8], [300, 300]])
def test_a_run_in_pieces_is_the_run(network, meant, pieces):
    """Also when the state is looked at in between."""
    with Session(network, seed=SEED, blocks=2, tr_s=0.1) as session:
        windows = []
        for k, n in enumerate(pieces):
            windows.append(session.advance(n, spikes=True))
            if k % 3 == 0:
                session.state("v")
        assert session.step == STEPS
    for name, expected in zip(("spike_step", "spike_neuron"), meant, strict=False):
        found = np.concatenate([getattr(window, name) for window in windows])
        np.testing.assert_array_equal(found, expected)
    with Session(network, seed=SEED, tr_s=0.1) as session:
        whole = session.advance(STEPS).bold
    np.testing.assert_array_equal(np.concatenate([window.bold for window in windows]), whole)


def test_run_two_seconds_is_run_one_and_one_for_any_windows(network, tmp_path):
    record = ["rate", "bold", "spikes"]
    found = {}
    for name, seconds, window_steps in (("whole", [2.0], 500), ("parts", [1.0, 1.0], 37)):
        with (
            dask.config.set({"dtbdask.session.window-steps": window_steps}),
            Session(network, seed=SEED, tr_s=0.05) as session,
        ):
            parts = [
                session.run(s, record=record, to=tmp_path / f"{name}{k}").to_xarray().load()
                for k, s in enumerate(seconds)
            ]
        found[name] = {
            variable: np.concatenate([part[variable].values for part in parts])
            for variable in (
                "spike_count",
                "bold",
                "spike_step",
                "spike_neuron",
                "time_ms",
                "time_s",
            )
        }
    for variable, values in found["whole"].items():
        np.testing.assert_array_equal(found["parts"][variable], values, err_msg=variable)


def test_the_state_is_that_of_the_oracle_and_looking_changes_nothing(network):
    oracle = Oracle(network, seed=SEED)
    with Session(network, seed=SEED, blocks=3) as session:
        for n in (1, 30, 7):
            session.advance(n)
            for _ in range(n):
                oracle.step()
            for _ in range(2):
                for name, expected in (
                    ("v", oracle.v), ("ou", oracle.ou), ("refractory", oracle.refractory),
                    ("j_ampa", oracle.j[0]), ("j_gaba_a", oracle.j[2]),
                ):  # fmt: skip
                    values = session.state(name)
                    assert values.shape == (1, network.n_neurons)
                    np.testing.assert_array_equal(values[0], expected, err_msg=name)
        values[:] = 0
        assert session.state("v").any()


# Ensembles


def test_each_member_is_the_run_of_its_own_number(network):
    with Session(network, seed=SEED, members=3) as session:
        session.set("g_ampa", np.array([[1.0], [1.1], [0.9]]) * np.ones(8), how="multiply")
        window = session.advance(200, spikes=True)
        v, balloon = session.state("v"), session.balloon()
    assert window.spike_count.shape == (200, 3, 8)
    assert v.shape == (3, network.n_neurons)
    assert balloon.shape == (4, 3, 4)
    for m, factor in enumerate((1.0, 1.1, 0.9)):
        block = Block(BlockSpec.whole(network, SEED, first_member=m))
        block.change(Change("g_ampa", "multiply", np.full((1, 8), factor)))
        for k in range(200):
            block.step()
            np.testing.assert_array_equal(window.spike_count[k, m], block.spikes[0])
        np.testing.assert_array_equal(v[m], block.state.v[0])
    with Session(network, seed=SEED) as alone:
        np.testing.assert_array_equal(alone.advance(200).spike_count, window.spike_count[:, :1])
        assert not np.array_equal(window.spike_count[:, 0], window.spike_count[:, 1])


def test_the_haemodynamic_state_is_put_and_got(network):
    with Session(network, members=2, tr_s=0.01) as session:
        state = session.balloon()
        np.testing.assert_array_equal(state, [np.full((2, 4), x) for x in (0, 1, 1, 1)])
        state = state + np.arange(8.0).reshape(2, 4) / 100
        session.put_balloon(state)
        np.testing.assert_array_equal(session.balloon(), state)
        assert session.advance(10).bold.shape == (1, 2, 4)
        assert (session.balloon() != state).all()
        for wrong in (state[:3], state[:, :1], state[:, :, :2]):
            with pytest.raises(InputError, match=r"balloon|state|shape"):
                session.put_balloon(wrong)


# Parameters on the way


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("how", ["assign", "multiply"])
def test_a_parameter_set_to_zero_and_back_acts_at_once_in_every_block(network, how, blocks):
    base = network.parameters.population["g_gaba_a"] if how == "assign" else 1.0
    oracle, sizes = Oracle(network, seed=SEED), []
    with Session(network, seed=SEED, blocks=blocks) as session:
        for factor in (1.0, 0.0, 1.0):
            session.set("g_gaba_a", factor * base, how=how)
            oracle = oracle.going_on(multiplier={"g_gaba_a": factor})
            found = session.advance(60, spikes=True).spike_neuron
            np.testing.assert_array_equal(found, np.concatenate([oracle.step() for _ in range(60)]))
            sizes.append(found.size)
    assert sizes[1] > 1.2 * sizes[0]


@pytest.mark.parametrize("value", [1.1, [1.1] * 8, [[1.1] * 8], [[1.1]]])
def test_a_value_spreads_over_members_and_populations(network, value):
    with Session(network, members=2) as session, Session(network, members=2) as meant:
        session.set("g_ampa", value, how="multiply")
        meant.set("g_ampa", np.full((2, 8), 1.1), how="multiply")
        same_windows(session.advance(30), meant.advance(30))


@pytest.mark.parametrize("blocks", [1, 2])
def test_neurons_may_be_given_values_of_their_own(blocks):
    own = np.random.default_rng(1).uniform(-51, -48, 597)
    oracle = Oracle(make_network(neuron={"v_th": own}), seed=2)
    start = Oracle(make_network(), seed=2)
    oracle.v = start.v
    with Session(make_network(), seed=2, blocks=blocks) as session:
        session.set("v_th", own, neuron="all")
        for _ in range(60):
            np.testing.assert_array_equal(
                session.advance(1, spikes=True).spike_neuron, oracle.step()
            )


# Refusals

WRONG_SESSIONS = [
    {"seed": -1}, {"seed": 2**64}, {"seed": 0.5}, {"members": 0}, {"members": 2**16},
    {"members": 1.5}, {"dt_ms": 0.0}, {"dt_ms": -1.0}, {"dt_ms": np.nan}, {"dt_ms": 11.0},
    {"t_steps": 0}, {"t_steps": 1001}, {"t_steps": 1.5}, {"dtype": "float16"},
    {"tr_s": 0.0}, {"tr_s": -0.8}, {"tr_s": 0.8005}, {"tr_s": np.nan}, {"tr_s": np.inf},
    {"blocks": 0}, {"blocks": -2}, {"blocks": 10**6}, {"blocks": 1.5}, {"blocks": 2, "members": 2},
    {"threads": 0}, {"threads": 100, "device": "cpu"}, {"threads": 1.5},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_SESSIONS, ids=str)
def test_a_wrong_session_is_refused_by_name(network, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Session(network, **wrong)


@pytest.fixture
def session(network):
    with Session(network, seed=SEED) as session:
        yield session


@pytest.mark.parametrize("seconds", [0, -1.0, 0.0005, 1.00001, np.nan, np.inf])
def test_a_wrong_time_is_refused_and_nothing_is_written(session, tmp_path, seconds):
    with pytest.raises(InputError, match="seconds"):
        session.run(seconds, record=["rate"], to=tmp_path / "there")
    assert session.step == 0
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("record", "to", "told"),
    [
        (["rate"], None, "to is None"),
        ((), "there", "record is"),
        (["rates"], "there", "'rates' is unknown; known are rate, bold, spikes"),
        (["rate", "v"], "there", "'v' is unknown"),
        ("rate", "there", "record"),
        (["rate", "bold", "rate"], "there", "record"),
    ],
)
def test_a_wrong_record_is_refused_and_nothing_is_written(session, tmp_path, record, to, told):
    with pytest.raises(InputError, match=told):
        session.run(0.01, record=record, to=to and tmp_path / to)
    assert session.step == 0
    assert not list(tmp_path.iterdir())


def test_what_is_at_the_place_of_a_recording_is_left_untouched(session, network, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"dear to somebody")
    schema.commit(schema.create_store(tmp_path / "net", "network", {}))
    session.run(0.01, record=["rate"], to=tmp_path / "run")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for name, overwrite in (("photos", True), ("net", True), ("run", False)):
        with pytest.raises(StoreExistsError, match="left untouched"):
            session.run(0.01, record=["rate"], to=tmp_path / name, overwrite=overwrite)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert session.step == 10, "a refused run must not simulate"
    again = session.run(0.02, record=["rate"], to=tmp_path / "run", overwrite=True)
    assert again.to_xarray().sizes["step"] == 20


WRONG_VALUES = [
    ("g_xyz", 1.0, "assign", "unknown parameter 'g_xyz'; known are c,"),
    ("g_ampa", 1.0, "add", "how is 'add'; use 'assign', 'multiply' or 'gamma'"),
    ("g_ampa", [1.0, 2.0], "assign", r"g_ampa: shape \(2,\)"),
    ("g_ampa", np.ones((3, 8)), "multiply", r"g_ampa: shape \(3, 8\)"),
    ("g_ampa", np.nan, "assign", "g_ampa"),
    ("g_ampa", np.inf, "multiply", "g_ampa"),
    ("g_ampa", "much", "assign", "g_ampa"),
    ("g_ampa", -0.001, "assign", "g_ampa"),
    ("g_ampa", -1.0, "multiply", "g_ampa"),
    ("c", 0.0, "assign", "c"),
    ("tau_ampa", 0.0, "multiply", "tau_ampa"),
    ("noise_rate", 1.5, "assign", "noise_rate"),
    ("v_reset", -40.0, "assign", "v_reset"),
]


@pytest.mark.parametrize(("name", "value", "how", "told"), WRONG_VALUES)
def test_a_wrong_value_is_refused_and_changes_nothing(session, network, name, value, how, told):
    with pytest.raises(InputError, match=told):
        session.set(name, value, how=how)
    with Session(network, seed=SEED) as plain:
        same_windows(session.advance(20), plain.advance(20))


@pytest.mark.parametrize(
    ("name", "value"),
    [("g_xyz", 1.0), ("g_ampa", np.ones(3)), ("g_ampa", -1.0), ("v_th", np.nan), ("v_th", "high")],
)
def test_a_wrong_value_of_neurons_is_refused_and_changes_nothing(session, network, name, value):
    with pytest.raises(InputError, match=name):
        session.set(name, value, neuron="all")
    with Session(network, seed=SEED) as plain:
        same_windows(session.advance(20), plain.advance(20))


@pytest.mark.parametrize("name", ["spin", "j_xyz", "j", "kick"])
def test_an_unknown_state_is_refused_with_those_known(session, name):
    with pytest.raises(InputError, match=rf"{name}.*j_ampa"):
        session.state(name)


def test_the_trace_of_a_receptor_that_is_off_is_zero(session, network):
    np.testing.assert_array_equal(session.state("j_nmda"), np.zeros((1, network.n_neurons)))


@pytest.mark.parametrize("n_steps", [0, -1])
def test_a_wrong_number_of_steps_is_refused(session, n_steps):
    with pytest.raises(InputError, match="n_steps"):
        session.advance(n_steps)
    assert session.step == 0
    assert session.advance(3).spike_count.shape[0] == 3


def test_a_closed_session_says_so(network):
    session = Session(network)
    session.close()
    session.close()
    for use in (
        lambda: session.run(0.1), lambda: session.advance(1), lambda: session.state("v"),
        lambda: session.set("g_l", 0.02), lambda: session.set("g_l", 0.02, neuron="all"),
        session.balloon,
    ):  # fmt: skip
        with pytest.raises(SessionError, match="closed"):
            use()


def test_a_run_on_a_closed_session_writes_nothing(network, tmp_path):
    session = Session(network)
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run(0.1, record=["rate"], to=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_error_in_the_body_closes_the_session_and_passes(network):
    with pytest.raises(ZeroDivisionError), Session(network) as session:
        raise ZeroDivisionError
    with pytest.raises(SessionError):
        session.advance(1)
