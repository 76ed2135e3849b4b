"""What is exported to DTB is the network: imported again it is the same, byte for byte."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dtb_files import (
    CUTS,
    assert_same_blocks,
    assert_same_networks,
    blocks_of,
    edges_of,
    read,
    short_stretches,  # noqa: F401
    value_of,
    write,
)
from dtb_files import make_network as make_dtb
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, make_network

from dtbdask.errors import InputError, StoreExistsError
from dtbdask.graph.dtb.blocks import read_dtb
from dtbdask.graph.dtb.exporting import export_dtb
from dtbdask.graph.dtb.importing import import_dtb
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import AUXILIARY
from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges
from dtbdask.sim.verify import compare

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "n2k"
EXACT = [np.uint8, np.float16, np.float32]


def in_blocks(network, cuts):
    """Synapses of a network in DTB's order: by target, then by block of the source."""
    target, source, weight = edges_of(network)
    order = np.lexsort((np.searchsorted(cuts, source, side="right"), target))
    return target[order], source[order], weight[order]


@given(
    cuts=st.sampled_from(CUTS),
    kind=st.sampled_from(EXACT),
    slots=st.sampled_from([2, 10]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_blocks_come_back_byte_for_byte(tmp_path_factory, cuts, kind, slots, seed):
    path = tmp_path_factory.mktemp("dtb")
    blocks = blocks_of(*make_dtb(seed, kind, slots), cuts, seed=seed)
    network = read_dtb(write(path / "given", blocks), slots=slots)
    assert_same_blocks(read(export_dtb(network, path / "found")), blocks)


@given(
    by=st.sampled_from(["target", "source", "none"]),
    kind=st.sampled_from(EXACT),
    cuts=st.sampled_from(CUTS),
    other=st.sampled_from(CUTS) | st.integers(1, 18),
    dtype=st.sampled_from([None, "float32", "float64"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_a_network_comes_back_from_any_blocks(tmp_path_factory, by, kind, cuts, other, dtype, seed):
    path = tmp_path_factory.mktemp("dtb")
    network = read_dtb(write(path / "given", blocks_of(*make_dtb(seed, kind), cuts, by, seed)))
    dtype = None if kind == np.uint8 else dtype
    folder = export_dtb(network, path / "found", blocks=other, dtype=dtype)
    again = read_dtb(folder)
    bounds = again.attributes["block_bounds"]
    assert len(bounds) - 1 == (other if isinstance(other, int) else len(other) - 1)
    for mine, theirs in zip(edges_of(again), in_blocks(network, bounds), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in network.parameters:
        np.testing.assert_array_equal(value_of(again, name), value_of(network, name))
    assert again.populations.size.tolist() == network.populations.size.tolist()
    export_dtb(again, path / "twice")
    assert_same_networks(read_dtb(path / "twice"), again)


@given(
    wide=st.booleans(),
    blocks=st.integers(1, 12),
    own=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=10, deadline=None)
def test_a_network_of_ours_is_the_same_in_dtbs_files(tmp_path_factory, wide, blocks, own, seed):
    rng = np.random.default_rng(seed)
    network = make_network(neurons=120, degree=9, seed=seed, **FOUR, ou_mean=0, ou_sigma=0)
    if own:
        n = network.n_neurons
        values = {"i_ext": rng.normal(size=n).astype(np.float32),
                  "excluded": rng.integers(0, 2, n)}  # fmt: skip
        values = network.parameters.with_neuron(values, n)
        network = Network(network.populations, values, network.wiring, network.labels,
                          network.attributes)  # fmt: skip
    if wide:
        network = with_weights(network, 2.0**-20)
    path = tmp_path_factory.mktemp("dtb")
    again = read_dtb(export_dtb(network, path / "found", blocks=blocks))
    for mine, theirs in zip(
        edges_of(again), in_blocks(network, again.attributes["block_bounds"]), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("voxel", "slot", "excitatory", "size"):
        mine, theirs = getattr(again.populations, name), getattr(network.populations, name)
        np.testing.assert_array_equal(mine, theirs)
    for name in network.parameters:
        meant = value_of(network, name)
        if name not in AUXILIARY:  # DTB's files have no column for these
            meant = meant.astype(np.float32)
        if name != "ou_tau":
            np.testing.assert_array_equal(value_of(again, name), meant, err_msg=name)


def with_weights(network, scale, value=None):
    """The same with fixed-point weights of 20 bits, or all of one value."""
    edges = network.wiring.in_edges(0, network.n_neurons)
    weight = edges.weight.astype(np.uint32) << 12 | edges.weight[:, ::-1]
    weight = weight if value is None else np.full_like(weight, value)
    held = Held(InEdges(edges.indptr, edges.source, weight), scale)
    return Network(network.populations, network.parameters, held, network.labels,
                   network.attributes)  # fmt: skip


def test_synapses_stand_as_dtb_has_them(tmp_path):
    network = make_network(neurons=120, degree=9)
    for index, block in enumerate(read(export_dtb(network, tmp_path / "uint8", blocks=5))):
        kinds = {"property": "float32", "output_neuron_idx": "uint32", "input_block_idx": "int16",
                 "input_neuron_idx": "uint32", "input_channel_offset": "uint8",
                 "weight": "uint8"}  # fmt: skip
        assert {name: values.dtype.name for name, values in block.items()} == kinds
        key = block["output_neuron_idx"].astype(int) * 100 + block["input_block_idx"] + index
        assert (np.diff(key) >= 0).all()
        assert block["property"].shape[1] == 22


def test_slots_get_the_numbers_of_dtb(tmp_path):
    network = make_network(neurons=120, degree=9)
    mixed = {"slots": ["a", "b", "E", "I"], "dtb_slots": [0, 1, 6, 7]}
    populations = network.populations
    object.__setattr__(populations, "slot", np.array([0, 1, 2, 3, 0, 1]))
    changed = Network(populations, network.parameters, network.wiring, network.labels, mixed)
    (block,) = read(export_dtb(changed, tmp_path / "uint8"))
    ids = block["property"][populations.first, 3]
    assert ids.tolist() == [0, 1, 8 + 6, 8 + 7, 16, 17]


# what DTB's files cannot hold


@pytest.mark.parametrize(
    ("value", "scale", "dtype", "told"),
    [
        (3, 2.0**-1, "uint8", r"is 3 x 0.5, .* exact is float16, float32, float64"),
        (2**11 + 1, 2.0**-12, "float16", r"is 2049 x 0.000244140625, .* exact is float32, float64"),
        (2**24 + 1, 2.0**-24, "float32", r"is 16777217 x .* exact is float64"),
        (1, 1e-3, "float64", r"is 1 x 0.001, .* exact is none of DTB's types"),
        (1, 2.0**-30, "float16", r"is 1 x .* exact is float32, float64"),
        (2**17, 1.0, "float16", r"is 131072 x 1, .* exact is float32, float64"),
    ],
)
def test_a_type_that_does_not_hold_the_weights_is_refused(tmp_path, value, scale, dtype, told):
    network = with_weights(make_network(neurons=120, degree=9), scale, value)
    with pytest.raises(InputError, match=rf"dtype is '{dtype}', but weight\[0, 0\] {told}"):
        export_dtb(network, tmp_path / "out", dtype=dtype)
    assert not (tmp_path / "out").exists()


def test_the_whole_and_the_half_of_one_are_exact_in_other_types(tmp_path):
    network = with_weights(make_network(neurons=120, degree=9), 2.0**-24, 2**24)
    for dtype in ("uint8", "float16", "float32", "float64"):
        (block,) = read(export_dtb(network, tmp_path / dtype, dtype=dtype))
        assert (block["weight"] == (255 if dtype == "uint8" else 1)).all()


def test_a_255th_is_no_binary_number(tmp_path):
    told = r"dtype is 'float32', but weight\[.*, which it does not hold exactly; exact is uint8"
    with pytest.raises(InputError, match=told):
        export_dtb(make_network(neurons=120, degree=9), tmp_path / "out", dtype="float32")
    with pytest.raises(InputError, match=r"dtype is 'int8'; expected one of uint8, float16"):
        export_dtb(make_network(neurons=120, degree=9), tmp_path / "out", dtype="int8")


@pytest.mark.parametrize("name", ["single", "double_2", "half", "single/uint8"])
def test_a_path_that_tells_dtb_another_type_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"dtype is 'uint8', but because of '(single|double|half)"):
        export_dtb(make_network(neurons=120, degree=9), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_path_that_tells_dtb_no_type_is_warned_of(tmp_path, caplog):
    export_dtb(make_network(neurons=120, degree=9, ou_mean=0, ou_sigma=0), tmp_path / "out")
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "DTB's server finds the type of the weights in the path: let a folder of it be called uint8"
    ]


def test_what_dtbs_files_do_not_hold_is_warned_of(tmp_path, caplog):
    export_dtb(make_network(neurons=120, degree=9, ou_sigma=0), tmp_path / "uint8")
    assert [record.message for record in caplog.records] == [
        "DTB's files do not hold ou_mean; tell its client"
    ]


def test_a_block_that_looks_like_a_new_member_is_warned_of(tmp_path, caplog):
    made = make_dtb()
    made[0][:, 3] = np.repeat([0, 1, 0, 1], (6, 4, 5, 3))
    network = read_dtb(write(tmp_path / "given", blocks_of(*made, (0, 18))))
    export_dtb(network, tmp_path / "uint8", blocks=[0, 3, 10, 18])
    assert [record.message for record in caplog.records] == [
        "block 2 begins with population 0, by which DTB's client knows a new member of an "
        "ensemble; tell it allow_rebase=False"
    ]


@pytest.mark.parametrize(
    "blocks", [[0], [0, 120], [1, 119], [0, 30, 30, 119], [0, 60, 30, 119], 0, 120, 2**15 + 1, 1.5]
)
def test_blocks_that_are_none_are_refused(tmp_path, blocks):
    network = make_network(neurons=120, degree=9)
    with pytest.raises(InputError, match="blocks is "):
        export_dtb(network, tmp_path / "uint8", blocks=blocks)
    assert not (tmp_path / "uint8").exists()


def test_more_blocks_than_16_bits_tell_apart_are_refused(tmp_path):
    network = make_network(neurons=40_000, degree=1)
    with pytest.raises(InputError, match=r"blocks: 32,769 of them; at most 32,768 .* 16 bits"):
        export_dtb(network, tmp_path / "uint8", blocks=[*range(32_769), network.n_neurons])


def test_populations_of_the_wrong_parity_are_refused(tmp_path):
    network = make_network(neurons=120, degree=9)
    network.populations.excitatory[1] = True
    told = r"population 1 \(region 0 I\) would have DTB's id 1, and DTB takes odd ids for inhib"
    with pytest.raises(InputError, match=told):
        export_dtb(network, tmp_path / "uint8")


# folders


def test_what_is_in_the_way_is_left_alone(tmp_path):
    network, folder = make_network(neurons=120, degree=9), tmp_path / "uint8"
    export_dtb(network, folder, blocks=4)
    before = read(folder)
    with pytest.raises(StoreExistsError, match=r"holds 'block_0.npz', .* pass overwrite"):
        export_dtb(network, folder, blocks=2)
    (folder / "ref.npz").write_bytes(b"precious")
    with pytest.raises(StoreExistsError, match=r"holds 'ref.npz'; .* choose another folder"):
        export_dtb(network, folder, blocks=2, overwrite=True)
    assert_same_blocks(read(folder), before)
    (folder / "ref.npz").unlink()
    (folder / "block_3.npz.part").write_bytes(b"left by an interruption")
    export_dtb(network, folder, blocks=2, overwrite=True)
    assert sorted(file.name for file in folder.iterdir()) == ["block_0.npz", "block_1.npz"]
    with pytest.raises(StoreExistsError, match="is no folder"):
        export_dtb(network, folder / "block_0.npz")


def test_an_interrupted_export_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    from dtbdask.graph.dtb import exporting as dtb_export

    whole = np.savez

    def break_off(file, **arrays):
        if "block_1" in file.name:
            raise OSError(28, "No space left on device")
        whole(file, **arrays)

    monkeypatch.setattr(dtb_export.np, "savez", break_off)
    with pytest.raises(OSError, match=r"block_1\.npz: cannot be written: No space"):
        export_dtb(make_network(neurons=120, degree=9), tmp_path / "uint8", blocks=4)
    assert sorted(p.name for p in (tmp_path / "uint8").iterdir()) == ["block_2.npz", "block_3.npz"]
    with pytest.raises(OSError, match=r"lacks block_0\.npz"):
        read_dtb(tmp_path / "uint8")


@pytest.mark.skipif(not ORACLE.is_dir(), reason="DTB's oracle network is not here")
def test_dtbs_own_network_goes_out_and_in_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr("dtbdask.graph.dtb.format.STRETCH", 10_007)
    monkeypatch.setattr("dtbdask.graph.dtb.property.ROWS", 301)
    network = import_dtb(ORACLE, tmp_path / "net")
    folder = export_dtb(network, tmp_path / "uint8")
    assert_same_blocks(read(folder), read(ORACLE))
    other = export_dtb(network, tmp_path / "five" / "uint8", blocks=5)
    for kept, cuts in ((folder, network.attributes["block_bounds"]), (other, None)):
        again = import_dtb(kept, tmp_path / f"net {kept.parent.name}")
        cuts = again.attributes["block_bounds"]
        for mine, theirs in zip(edges_of(again), in_blocks(network, cuts), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    shutil.copy(ORACLE / "ref.npz", other)
    assert compare(other) == compare(ORACLE)
