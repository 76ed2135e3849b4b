"""Run T = run t, checkpoint, resume, run T - t, bit for bit, on whatever blocks and workers."""

import json
import logging
import shutil

import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, delayed, make_network
from stores import contents

from dtbdask import schema
from dtbdask.errors import InputError, StoreError, StoreExistsError
from dtbdask.graph.partition import Partition
from dtbdask.rng import TILE
from dtbdask.sim import checkpoint
from dtbdask.sim.block import Block
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.stimuli import Sinusoid

SEED, THEN, REST = 2**63 + 5, 53, 70
STATE = ("v", "ou", "refractory", "j_ampa", "j_nmda", "j_gaba_a", "j_gaba_b")


@pytest.fixture(scope="module")
def network():
    own = {"ou_mean": np.random.default_rng(1).uniform(0.3, 0.6, 1498)}
    return make_network(neurons=1500, degree=40, noise_rate=0.002, neuron=own, **FOUR)


def drive(session):
    """Change parameters of all kinds."""
    factor = np.linspace(0.9, 1.1, 6 * session.members).reshape(session.members, 6)
    session.set("g_gaba_a", factor, how="multiply")
    session.set("g_nmda", 0.0)
    session.set("v_l", -69.0 - factor)
    own = np.random.default_rng(2).uniform(0.4, 0.6, session.network.n_neurons)
    session.set("ou_mean", own, neuron="all")


def seen(session, n_steps):
    """All that a session shows of some steps, and the state at their end."""
    window = vars(session.advance(n_steps, spikes=True))
    state = {name: session.state(name) for name in STATE}
    arrays = {name: values for name, values in window.items() if isinstance(values, np.ndarray)}
    return arrays | state


def same(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype, name
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def scattered(network, n_blocks):
    """Tiles dealt to blocks at random."""
    n_tiles = -(-network.n_neurons // TILE)
    owner = np.random.default_rng(0).permutation(np.arange(n_tiles) % n_blocks)
    return Partition.of_tiles(owner, network.n_neurons)


@pytest.fixture(scope="module")
def kept(network, tmp_path_factory):
    """Checkpoint of a session in three blocks, and what that session saw afterwards."""
    path = tmp_path_factory.mktemp("kept")
    with Session(network, seed=SEED, blocks=3, tr_s=0.02) as session:
        session.advance(20)
        drive(session)
        session.advance(THEN - 20)
        session.checkpoint(path)
        found = seen(session, REST)
    assert found["spike_neuron"].size > 500
    assert found["bold"].shape == (4, 1, 3)
    return path, found


# The law


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("dtype", "t_steps"), [("float32", 1), ("float64", 3)])
def test_a_run_in_two_sessions_is_the_run(network, tmp_path, dtype, t_steps, members):
    options = {"seed": 3, "dtype": dtype, "t_steps": t_steps, "members": members, "dt_ms": 0.5}
    with Session(network, tr_s=0.01, **options) as session:
        drive(session)
        session.advance(THEN)
        undisturbed = seen(session, REST)
    with Session(network, tr_s=0.01, **options) as session:
        drive(session)
        session.advance(THEN)
        session.checkpoint(tmp_path / "kept")
        same(seen(session, REST), undisturbed)
    with Session.resume(tmp_path / "kept", network) as session:
        assert session.step == THEN
        assert {name: getattr(session, name) for name in options} == options
        same(seen(session, REST), undisturbed)


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_checkpoint_resumes_on_any_blocks_and_threads(network, kept, blocks, threads):
    path, meant = kept
    with Session.resume(path, network, blocks=blocks, threads=threads) as session:
        assert session.partition.n_blocks == blocks
        same(seen(session, REST), meant)


def test_a_checkpoint_resumes_on_scattered_tiles(network, kept):
    path, meant = kept
    with Session.resume(path, network, partition=scattered(network, 4)) as session:
        same(seen(session, REST), meant)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.sampled_from([1, 2, 4]))
@settings(max_examples=4, deadline=None)
def test_any_chain_of_checkpoints_is_the_run(network, tmp_path_factory, pieces, blocks):
    path = tmp_path_factory.mktemp("chain")
    with Session(network, seed=7) as session:
        drive(session)
        meant = seen(session, sum(pieces) + 10)
    spikes = []
    with Session(network, seed=7, blocks=blocks) as session:
        drive(session)
        session.checkpoint(path)
    for n in [*pieces, 10]:
        with Session.resume(path, network, blocks=blocks) as session:
            found = seen(session, n)
            session.checkpoint(path)
            spikes.append(found["spike_neuron"])
    np.testing.assert_array_equal(np.concatenate(spikes), meant["spike_neuron"])
    same({name: found[name] for name in STATE}, {name: meant[name] for name in STATE})


def test_worker_processes_and_this_process_resume_each_other(network, kept, tmp_path):
    path, meant = kept
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        with Session.resume(path, network, client) as session:
            assert session.partition.n_blocks == 2
            session.checkpoint(tmp_path / "split")
            same(seen(session, REST), meant)
        with Session(network, client, seed=3, members=3) as session:
            drive(session)
            session.advance(THEN)
            session.checkpoint(tmp_path / "members")
            ensemble = seen(session, REST)
        with Session.resume(tmp_path / "members", network, client) as session:
            same(seen(session, REST), ensemble)
    with Session.resume(tmp_path / "split", network) as session:
        same(seen(session, REST), meant)
    with Session.resume(tmp_path / "members", network) as session:
        same(seen(session, REST), ensemble)


def test_what_is_stored_does_not_depend_on_the_blocks(network, kept, tmp_path):
    with Session.resume(kept[0], network, blocks=4, threads=2) as session:
        session.checkpoint(tmp_path)
    one, other = (
        {k: v for k, v in contents(path / "0.zarr").items() if k.name != "zarr.json"}
        for path in (kept[0], tmp_path)
    )
    assert one == other
    assert len(one) > 10


def test_values_of_single_neurons_that_came_and_went_are_kept(network, tmp_path):
    with Session(network, seed=3) as session:
        session.set("ou_mean", 0.5)
        session.set("g_l", np.linspace(0.02, 0.03, network.n_neurons), neuron="all")
        session.set("g_l", 1.1, how="multiply")
        session.advance(20)
        store = session.checkpoint(tmp_path)
        meant = seen(session, 50)
    assert schema.read_root(store)["by_neuron"] == ["g_l"]
    with Session.resume(tmp_path, network, blocks=2) as session:
        session.checkpoint(tmp_path)
        same(seen(session, 50), meant)
        session.restore(tmp_path)  # what was resumed is kept again
        same(seen(session, 50), meant)


def test_two_futures_branch_from_one_checkpoint(network, kept):
    path, meant = kept
    with Session.resume(path, network) as session:
        session.set("g_ampa", 1.3, how="multiply")
        other = seen(session, REST)
        assert not np.array_equal(other["spike_neuron"], meant["spike_neuron"])
        session.restore(path)  # and back, in the same session
        same(seen(session, REST), meant)
        session.restore(path)
        session.set("g_ampa", 1.3, how="multiply")
        same(seen(session, REST), other)


def test_every_field_of_the_state_is_kept(network, kept):
    """What a block calls its state is what is at rest, by global neuron."""
    group = schema.open_store(kept[0] / "0.zarr", "checkpoint")
    with Session.resume(kept[0], network) as session:
        for name in STATE:
            stored = schema.read(group, f"state/{name}")
            assert stored.shape == (network.n_neurons, 1)
            np.testing.assert_array_equal(stored.T, session.state(name))
    assert schema.root_of(group)["fields"] == ["v", "ou", "refractory", *STATE[3:]]
    assert group["state/v"].attrs["units"] == "mV"


def test_what_is_off_is_not_kept():
    block = Block(BlockSpec.whole(make_network(), 0))
    assert list(block.fields()) == ["v", "ou", "refractory", "j_ampa", "j_gaba_a"]


# Generations


def test_of_two_generations_the_older_is_replaced(network, tmp_path):
    with Session(network) as session:
        names = []
        for _ in range(5):
            session.advance(1)
            names.append(session.checkpoint(tmp_path).name)
            steps = {
                schema.read_root(store)["step"]
                for store in tmp_path.iterdir()
                if schema.open_store(store, "checkpoint")
            }
            assert steps == set(range(max(1, session.step - 1), session.step + 1))
        assert names == ["0.zarr", "1.zarr"] * 2 + ["0.zarr"]
        assert checkpoint.newest(tmp_path).name == "0.zarr"
        session.restore(tmp_path / "1.zarr")
        assert session.step == 4


def torn(store, how):
    if how == "cut short":
        root = json.loads((store / "zarr.json").read_text())
        root["attributes"]["dtbdask"]["status"] = "writing"
        (store / "zarr.json").write_text(json.dumps(root))
    elif how == "a chunk is gone":
        next(p for p in (store / "state").rglob("c/*") if p.is_dir()).joinpath("0").unlink()
    else:
        shutil.rmtree(store)
        store.mkdir()
        (store / "zarr.0123.partial").write_text("{")


@pytest.mark.parametrize("how", ["cut short", "a chunk is gone", "hardly begun"])
def test_a_torn_generation_is_told_ignored_and_replaced(network, tmp_path, caplog, how):
    with Session(network) as session:
        for _ in range(2):
            session.advance(10)
            session.checkpoint(tmp_path)
    torn(tmp_path / "1.zarr", how)
    with caplog.at_level(logging.WARNING), Session.resume(tmp_path, network) as session:
        assert session.step == 10
        assert "1.zarr" in caplog.text
        assert "it is ignored, and 0.zarr is used" in caplog.text
        session.advance(5)
        assert session.checkpoint(tmp_path).name == "1.zarr"
    with Session.resume(tmp_path, network) as session:
        assert session.step == 15


def test_a_damaged_chunk_is_an_error_and_changes_nothing(network, tmp_path):
    with Session(network) as session:
        session.advance(10)
        store = session.checkpoint(tmp_path)
        file = next(p for p in (store / "state" / "ou").rglob("c/*/*") if p.is_file())
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
        session.advance(10)
        before = {name: session.state(name) for name in STATE}
        with pytest.raises(StoreError, match="damaged, array 'state/ou'"):
            session.restore(tmp_path)
        same({name: session.state(name) for name in STATE}, before)
        assert session.step == 20


POINTS = [(checkpoint.shutil, "rmtree"), (schema, "create_store"), (checkpoint, "_write_field"),
          (schema, "commit")]  # fmt: skip


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[1])
def test_wherever_writing_stops_a_whole_generation_is_left(network, tmp_path, monkeypatch, point):
    class Killed(BaseException):
        pass

    def stop(*arguments, **options):
        raise Killed

    with Session(network) as session:
        for _ in range(2):
            session.advance(10)
            session.checkpoint(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(*point, stop)
            with pytest.raises(Killed):
                session.checkpoint(tmp_path)
        assert checkpoint.newest(tmp_path).name == "1.zarr"
        session.checkpoint(tmp_path)
        assert checkpoint.newest(tmp_path).name == "0.zarr"


# Refusals


def test_a_checkpoint_of_another_network_is_refused(kept, network):
    other = make_network(neurons=1500, degree=40, seed=4, **FOUR)
    with pytest.raises(InputError, match=r"another network: its n_synapses was|recipe_sha256 was"):
        Session.resume(kept[0], other)
    with pytest.raises(InputError, match="its n_neurons was 1498, here it is 597"):
        Session.resume(kept[0], make_network())
    wide = make_network(neurons=1500, degree=40, wide=True, noise_rate=0.002, **FOUR,
                        neuron=dict(network.parameters.neuron))  # fmt: skip
    with pytest.raises(InputError, match="another network: its weight_scale was"):
        Session.resume(kept[0], wide)


WRONG = {"members": (2, 1), "dtype": ("float64", "float32"), "seed": (1, SEED),
         "t_steps": (2, 1), "dt_ms": (0.5, 1.0), "tr_s": (0.05, 0.02)}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_session_of_another_kind_is_refused_before_anything_is_touched(network, kept, name):
    now, then = WRONG[name]
    with Session(network, **({"seed": SEED, "tr_s": 0.02} | {name: now})) as session:
        session.advance(3)
        before = session.state("v")
        with pytest.raises(InputError, match=f"its {name} was {then}, here it is {now}"):
            session.restore(kept[0])
        np.testing.assert_array_equal(session.state("v"), before)
        assert session.step == 3


def test_a_newer_format_and_what_is_no_checkpoint_are_refused(network, kept, tmp_path):
    with pytest.raises(StoreError, match="no complete checkpoint: nothing is there"):
        Session.resume(tmp_path, network)
    store = shutil.copytree(kept[0] / "0.zarr", tmp_path / "0.zarr")
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["dtbdask"]["format"] = schema.FORMAT + 1
    (store / "zarr.json").write_text(json.dumps(root))
    told = f"written in format {schema.FORMAT + 1}, this version reads up to {schema.FORMAT}"
    for path in (tmp_path, store):
        with pytest.raises(StoreError, match=told):
            Session.resume(path, network)
    with Session(network) as session:
        before = contents(tmp_path)
        with pytest.raises(StoreExistsError, match="left untouched"):
            session.checkpoint(tmp_path)
        assert contents(tmp_path) == before
        schema.commit(schema.create_store(tmp_path / "other" / "0.zarr", "network", {}))
        with pytest.raises(StoreExistsError, match="a dtbdask network store"):
            session.checkpoint(tmp_path / "other")


# With everything on


def test_delays_currents_and_stimuli_go_on_from_where_they_were(tmp_path):
    """Kicks on their way, currents that began on the way, a stimulus that is half over."""
    network = delayed(make_network(neurons=1500, degree=40), [1, 3, 7, 2, 9, 4])
    tone = Sinusoid(population="E", amplitude=0.1, frequency_hz=30, onset_ms=10, duration_ms=90)
    with Session(network, seed=SEED, blocks=2) as session:
        session.stimulate(tone)
        session.advance(20)
        session.set("g_ahp", 0.02)
        session.set("v_h", -53.0)
        session.set("g_t", 0.001)
        session.advance(THEN - 20)
        session.checkpoint(tmp_path)
        log = session.changes
        meant = {**seen(session, REST), "h_t": session.state("h_t"), "ca": session.state("ca")}
    assert (meant["ca"] > 0).any()
    assert np.unique(meant["h_t"]).size > 2
    with Session(network, seed=SEED) as plain:  # none of it is without effect
        plain.advance(THEN)
        assert plain.advance(REST, spikes=True).spike_neuron.size != meant["spike_neuron"].size
    for options in ({}, {"partition": scattered(network, 3)}, {"blocks": 2, "threads": 2}):
        with Session.resume(tmp_path, network, **options) as session:
            assert session.changes == log
            found = {**seen(session, REST), "h_t": session.state("h_t"), "ca": session.state("ca")}
            same(found, meant)


def test_a_checkpoint_of_a_lesioned_network_is_of_another(network, tmp_path):
    with Session(network, seed=SEED) as session:
        session.checkpoint(tmp_path)
    with pytest.raises(InputError, match="its lesions was"):
        Session.resume(tmp_path, network.lesioned(source="E", scale=0.5))
