"""DTB's block files are read to the same network, run as DTB runs it, or refused by name."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import DTBDaskError, InputFileError
from dtbdask.graph.dtb_blocks import COLUMNS, read_dtb
from dtbdask.sim.session import Session

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "n2k"
PROPERTY = [0.01, 0, 0.1, 0, 1, 5, 0.03, -75, -50, -65, 5 / 275, 5 / 4000, 3 / 30, 3 / 730,
            0, 0, -70, -100, 2, 40, 10, 50]  # fmt: skip
"""Defaults of DTB's generator."""
SIZES = (6, 4, 5, 3)
"""Of four populations, E and I of two voxels; two stand in each block."""


def make_network(seed=0, kind=np.uint8):
    """Properties of 18 neurons and their synapses: (target, source, weight pair)."""
    rng = np.random.default_rng(seed)
    population = np.repeat(np.arange(4), SIZES)
    properties = np.tile(np.array(PROPERTY, np.float32), (18, 1))
    properties[:, 3] = population
    properties[:, 8] += rng.uniform(-1, 1, 18).astype(np.float32)
    chosen = rng.random((18, 18)) < 0.4
    target, source = np.nonzero(chosen & ~np.eye(18, dtype=bool))
    weight = rng.integers(0, 256, (target.size, 2))
    weight = weight.astype(np.uint8) if kind == np.uint8 else (weight / 255).astype(kind)
    return properties, target, source, weight


def blocks_of(properties, target, source, weight, cuts=(0, 10, 18), by="target", seed=0):
    """Arrays of the block files, synapses in DTB's order or shuffled within it."""
    blocks = []
    shuffled = np.random.default_rng(seed).permutation(target.size)
    target, source, weight = target[shuffled], source[shuffled], weight[shuffled]
    for b, (low, high) in enumerate(pairwise(cuts)):
        mine = np.flatnonzero((target >= low) & (target < high))
        key = target[mine] if by == "target" else source[mine]
        mine = mine[np.argsort(key, kind="stable")]
        owner = np.searchsorted(cuts, source[mine], side="right") - 1
        blocks.append({
            "property": properties[low:high],
            "output_neuron_idx": (target[mine] - low).astype(np.uint32),
            "input_block_idx": (owner - b).astype(np.int16),
            "input_neuron_idx": (source[mine] - np.array(cuts)[owner]).astype(np.uint32),
            "input_channel_offset": (properties[source[mine], 3] % 2 * 2).astype(np.uint8),
            "weight": weight[mine],
        })  # fmt: skip
    return blocks


def write(folder, blocks):
    folder.mkdir(exist_ok=True)
    for index, arrays in enumerate(blocks):
        np.savez(folder / f"block_{index}.npz", **arrays)
    return folder


def edges_of(network):
    edges = network.synapses.in_edges(0, network.n_neurons)
    target = np.repeat(np.arange(network.n_neurons), np.diff(edges.indptr))
    order = np.lexsort((edges.source, target))
    return target[order], edges.source[order], edges.weight[order]


@given(
    by=st.sampled_from(["target", "source"]),
    cuts=st.sampled_from([(0, 18), (0, 10, 18), (0, 6, 10, 15, 18)]),
    kind=st.sampled_from([np.uint8, np.float16, np.float32, np.float64]),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_what_was_written_is_read(tmp_path_factory, by, cuts, kind, seed):
    properties, target, source, weight = given_network = make_network(seed, kind)
    folder = write(tmp_path_factory.mktemp("dtb"), blocks_of(*given_network, cuts, by, seed))
    network = read_dtb(folder)
    order = np.lexsort((source, target))
    found = edges_of(network)
    np.testing.assert_array_equal(found[0], target[order])
    np.testing.assert_array_equal(found[1], source[order])
    scale = network.synapses.weight_scale
    if kind == np.uint8:
        assert (network.synapses.weight_dtype, scale) == (np.uint8, 1 / 255)
        np.testing.assert_array_equal(found[2], weight[order])
    else:
        assert network.synapses.weight_dtype == np.uint32
        error = np.abs(found[2] * scale - weight[order].astype(float)).max()
        assert error <= scale / 2 * (1 + 1e-6) < 1e-7
        most = network.synapses.largest_degree * found[2].max().astype(object)
        assert most < 2**32, "a kick could overflow"
    assert network.synapses.largest_degree == np.bincount(target).max()
    assert network.populations.size.tolist() == list(SIZES)
    assert network.populations.excitatory.tolist() == [True, False, True, False]
    assert network.populations.voxel.tolist() == [0, 0, 1, 1]
    parameters = network.parameters
    for name, column in COLUMNS.items():
        held = parameters.neuron.get(name)
        if held is None:
            held = parameters.population[name][np.repeat(np.arange(4), SIZES)]
        np.testing.assert_array_equal(held, properties[:, column], err_msg=name)
    assert set(parameters.neuron) == {"v_th"}
    assert not parameters.on("ou_mean")
    assert not parameters.on("ou_sigma")


def test_the_columns_are_those_of_dtb():
    names = {0: "noise_rate", 2: "i_ext", 4: "c", 5: "t_ref", 6: "g_l", 7: "v_l", 8: "v_th",
             9: "v_reset", 10: "g_ampa", 13: "g_gaba_b", 14: "e_ampa", 17: "e_gaba_b",
             18: "tau_ampa", 21: "tau_gaba_b"}  # fmt: skip
    assert {COLUMNS[name]: name for name in COLUMNS}.items() >= names.items()
    assert sorted(COLUMNS.values()) == [0, 2, *range(4, 22)]


def test_more_than_ten_blocks_keep_their_order(tmp_path):
    whole = make_network()
    one = read_dtb(write(tmp_path / "one", blocks_of(*whole, (0, 18))))
    many = read_dtb(write(tmp_path / "many", blocks_of(*whole, tuple(range(19)))))
    for a, b in zip(edges_of(one), edges_of(many), strict=True):
        np.testing.assert_array_equal(a, b)


def broken(change):
    """A named way to spoil the arrays of the second of two blocks."""

    def spoil(blocks):
        change(blocks[1])
        return blocks

    return spoil


def put(name, index, value, kind=None):
    def change(block):
        block[name] = block[name].astype(kind or block[name].dtype)
        block[name][index] = value

    return broken(change)


def replace(name, make):
    return broken(lambda block: block.update({name: make(block[name])}))


WRONG = {
    "lacks an array": (broken(lambda block: block.pop("weight")), "lacks weight"),
    "columns": (replace("property", lambda p: p[:, :21]), r"property has shape \(8, 21\)"),
    "one dimension": (replace("property", np.ravel), "property has shape"),
    "lengths": (replace("weight", lambda w: w[:-1]), "length|weight"),
    "one weight": (replace("weight", lambda w: w[:, :1]), "length|weight"),
    "target": (put("output_neuron_idx", 2, 8), r"output_neuron_idx\[2\].* 8; expected 0 to 7"),
    "block": (put("input_block_idx", 3, 1), r"input_block_idx\[3\]"),
    "block before the first": (put("input_block_idx", 3, -2), r"input_block_idx\[3\]"),
    "source": (put("input_neuron_idx", 4, 10), r"input_neuron_idx\[4\] is 10"),
    "negative source": (put("input_neuron_idx", 4, -1, np.int64), r"input_neuron_idx\[4\]"),
    "channel": (put("input_channel_offset", 5, 3), "input_channel_offset"),
    "odd channel": (put("input_channel_offset", 5, 1), "input_channel_offset"),
    "negative weight": (put("weight", (0, 0), -1.0, np.float32), "weight has values"),
    "endless weight": (put("weight", (0, 1), np.inf, np.float32), "weight has values"),
    "no number": (put("weight", (0, 1), np.nan, np.float32), "weight has values"),
    "pickled": (replace("weight", lambda w: w.astype(object)), "pickled"),
    "population": (put("property", (0, 3), -2.0), "population"),
    "fractional population": (put("property", (0, 3), 2.5), "population"),
    "parameter": (put("property", (0, 4), 0.0), "c of neuron 10 is 0"),
    "parameter of nobody": (put("property", (1, 8), np.nan), "v_th of neuron 11 is nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_block_that_contradicts_itself_is_refused_by_name(tmp_path, name):
    spoil, told = WRONG[name]
    folder = write(tmp_path / "dtb", spoil(blocks_of(*make_network())))
    with pytest.raises(DTBDaskError, match=told) as error:
        read_dtb(folder)
    assert isinstance(error.value, InputFileError)
    assert str(folder) in str(error.value)


def test_a_mark_that_contradicts_the_sources_population_is_refused(tmp_path):
    blocks = blocks_of(*make_network())
    offset = blocks[0]["input_channel_offset"]
    offset[7] = 2 - offset[7]
    told = r"synapse 7 .* neuron \d+ is in a population of the other kind"
    with pytest.raises(InputFileError, match=told):
        read_dtb(write(tmp_path / "dtb", blocks))


def test_a_folder_without_all_its_blocks_is_refused(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network(), (0, 6, 10, 18)))
    (folder / "block_1.npz").unlink()
    with pytest.raises(InputFileError, match=r"lacks block_1\.npz"):
        read_dtb(folder)
    for index in (0, 2):
        (folder / f"block_{index}.npz").unlink()
    with pytest.raises(InputFileError, match=r"lacks block_0\.npz"):
        read_dtb(folder)
    with pytest.raises(InputFileError, match="no such folder"):
        read_dtb(tmp_path / "elsewhere")


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -200])
def test_a_truncated_block_is_refused(tmp_path, keep):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    whole = (folder / "block_1.npz").read_bytes()
    (folder / "block_1.npz").write_bytes(whole[:keep])
    with pytest.raises(InputFileError, match=r"block_1\.npz"):
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


@needs_oracle
@pytest.mark.parametrize(("dtype", "blocks"), [("float32", 1), ("float64", 1), ("float64", 2)])
def test_the_network_does_what_dtbs_model_does(reference, dtype, blocks):
    spikes, arrays = reference
    with Session(read_dtb(ORACLE), dtype=dtype, blocks=blocks) as session:
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
def test_the_rates_of_the_populations_are_dtbs(reference):
    spikes, _ = reference
    network = read_dtb(ORACLE)
    assert (network.n_neurons, network.n_synapses) == (1995, 99_750)
    with Session(network) as session:
        count = session.advance(500).spike_count[:, 0].sum(axis=0)
    meant = np.add.reduceat(spikes.sum(axis=0), network.populations.first)
    np.testing.assert_allclose(count, meant, rtol=0.1)
