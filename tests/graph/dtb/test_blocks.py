"""DTB's block files are read to the same network, and run as DTB runs it."""

from pathlib import Path

import numpy as np
import pytest
from dtb_files import (
    CUTS,
    IDS,
    KINDS,
    SIZES,
    assert_same_networks,
    blocks_of,
    edges_of,
    input_block,
    make_network,
    short_stretches,  # noqa: F401
    sorted_edges,
    value_of,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.graph.dtb.blocks import COLUMNS, read_dtb
from dtbdask.sim.session import Session

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "n2k"


@given(
    by=st.sampled_from(["target", "source", "none"]),
    cuts=st.sampled_from(CUTS),
    kind=st.sampled_from(KINDS),
    slots=st.sampled_from([2, 10]),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_what_was_written_is_read(tmp_path_factory, by, cuts, kind, slots, seed):
    properties, target, source, weight = made = make_network(seed, kind, slots)
    folder = write(tmp_path_factory.mktemp("dtb"), blocks_of(*made, cuts, by, seed))
    network = read_dtb(folder, slots=slots)
    found, meant = sorted_edges(*edges_of(network)), sorted_edges(target, source, weight)
    np.testing.assert_array_equal(found[0], meant[0])
    np.testing.assert_array_equal(found[1], meant[1])
    if kind == np.uint8:
        assert (network.wiring.weight_dtype, network.wiring.weight_scale) == (kind, 1 / 255)
        np.testing.assert_array_equal(found[2], meant[2] * (1 / 255))
    else:
        error = np.abs(found[2] - meant[2].astype(float)).max()
        assert error == network.attributes["weight_rounding"]
        assert (error == 0) == (kind != np.float64), "these are multiples of 2^-24"
    assert network.wiring.largest_degree == np.bincount(target).max()
    assert network.populations.size.tolist() == list(SIZES)
    assert network.populations.excitatory.tolist() == [True, False, True, False]
    ids = slots * network.populations.voxel + network.populations.slot
    assert ids.tolist() == list(IDS[slots])
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(value_of(network, name), properties[:, column], err_msg=name)
    assert set(network.parameters.neuron) == {"v_th", "excluded"}
    assert not network.parameters.on("ou_mean")
    assert not network.parameters.on("ou_sigma")
    assert (len(network.slots), len(network.labels)) == (slots, 2)


def test_synapses_of_one_target_keep_the_order_of_the_file(tmp_path):
    blocks = blocks_of(*make_network(), by="none")
    target, source, _ = edges_of(read_dtb(write(tmp_path, blocks)))
    for i, block in enumerate(blocks):
        meant = block["input_neuron_idx"] + np.array([0, 10])[block["input_block_idx"] + i]
        for t in np.unique(block["output_neuron_idx"]):
            mine = block["output_neuron_idx"] == t
            np.testing.assert_array_equal(source[target == t + 10 * i], meant[mine])


def test_the_columns_are_those_of_dtb():
    names = {0: "noise_rate", 1: "excluded", 2: "i_ext", 4: "c", 5: "t_ref", 6: "g_l", 7: "v_l",
             8: "v_th", 9: "v_reset", 10: "g_ampa", 13: "g_gaba_b", 14: "e_ampa", 17: "e_gaba_b",
             18: "tau_ampa", 21: "tau_gaba_b"}  # fmt: skip
    assert {COLUMNS[name]: name for name in COLUMNS}.items() >= names.items()
    assert sorted(COLUMNS.values()) == [0, 1, 2, *range(4, 22)]


@pytest.mark.parametrize("cuts", CUTS)
def test_populations_do_not_depend_on_the_blocks(tmp_path, cuts):
    whole = make_network()
    one = read_dtb(write(tmp_path / "one", blocks_of(*whole, (0, 18), by="source")))
    many = read_dtb(write(tmp_path / "many", blocks_of(*whole, cuts, by="source")))
    assert_same_networks(one, many)


def test_a_population_in_two_places_is_two(tmp_path):
    properties, *synapses = make_network()
    properties[:, 3] = np.repeat([0, 1, 0, 1], SIZES)
    network = read_dtb(write(tmp_path, blocks_of(properties, *synapses)))
    assert network.populations.voxel.tolist() == [0, 0, 0, 0]
    assert network.populations.slot.tolist() == [0, 1, 0, 1]
    assert network.labels == ("voxel 0",)


def test_zeros_of_both_signs_are_not_the_same(tmp_path):
    properties, *synapses = make_network()
    properties[2:4, 2] = -0.0, 0.0
    network = read_dtb(write(tmp_path, blocks_of(properties, *synapses)))
    signs = np.signbit(value_of(network, "i_ext"))
    np.testing.assert_array_equal(signs, np.arange(18) == 2)


def test_given_spikes_need_a_store(tmp_path):
    folder = write(tmp_path, input_block(blocks_of(*make_network()), [(3, 1)], index=1))
    with pytest.raises(InputError, match=r"block_1\.npz: an input block.* import_dtb"):
        read_dtb(folder)


@pytest.mark.parametrize("synapses", [0, 40])
def test_a_network_without_synapses_or_of_one_block_runs(tmp_path, synapses):
    properties, target, source, weight = make_network()
    properties[:, [0, 11, 12, 13]], properties[:, 8] = 0.0, -50.0  # AMPA alone, no noise
    keep = slice(0, synapses)
    folder = write(
        tmp_path / "dtb",
        blocks_of(properties, target[keep], source[keep], weight[keep], (0, 18)),
    )
    with Session(read_dtb(folder), seed=1) as session:
        assert session.advance(20).spike_count.shape == (20, 1, 4)


# DTB's own model on a network of its own kind

needs_oracle = pytest.mark.skipif(not ORACLE.is_dir(), reason="DTB's oracle network is not here")


@pytest.fixture(scope="module")
def reference():
    """What DTB's CPU model did: spikes (500, n), and the arrays of `ref.npz`."""
    arrays = np.load(ORACLE / "ref.npz", allow_pickle=False)
    n = int(arrays["n"])
    return np.unpackbits(arrays["spikes"], axis=1)[:, :n].astype(bool), arrays


@pytest.fixture(scope="module")
def network(short_stretches):  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dtbdask.graph.dtb.format.STRETCH", 10_007)
        return read_dtb(ORACLE)


@needs_oracle
@pytest.mark.parametrize(("dtype", "blocks"), [("float32", 1), ("float64", 1), ("float64", 2)])
def test_the_network_does_what_dtbs_model_does(network, reference, dtype, blocks):
    spikes, arrays = reference
    with Session(network, dtype=dtype, blocks=blocks) as session:
        for step in range(50):
            window = session.advance(1, spikes=True)
            np.testing.assert_array_equal(window.spike_neuron, np.flatnonzero(spikes[step]))
            assert np.abs(session.state("v")[0] - arrays["V_first"][step]).max() <= 1e-3
        rest = session.advance(450, spikes=True)
    total = spikes[:50].sum() + rest.spike_neuron.size
    assert total == pytest.approx(spikes.sum(), rel=0.02)
    if dtype == "float64":
        for k in range(50, 150):  # in double precision the spikes stay together for longer
            mine = rest.spike_neuron[rest.spike_step == k]
            np.testing.assert_array_equal(mine, np.flatnonzero(spikes[k]))


@needs_oracle
def test_the_rates_of_the_populations_are_dtbs(network, reference):
    spikes, _ = reference
    assert (network.n_neurons, network.n_synapses) == (1995, 99_750)
    with Session(network) as session:
        count = session.advance(500).spike_count[:, 0].sum(axis=0)
    meant = np.add.reduceat(spikes.sum(axis=0), network.populations.first)
    np.testing.assert_allclose(count, meant, rtol=0.1)
