"""A folder holds one network or an ensemble, and which blocks of it belong together is found."""

import numpy as np
import pytest
from dtb_files import (
    CUTS,
    SIZES,
    assert_same_networks,
    blocks_of,
    edges_of,
    make_network,
    read,
    short_stretches,  # noqa: F401
    write,
)

from dtbdask.errors import InputError, InputFileError
from dtbdask.graph.dtb.blocks import read_dtb
from dtbdask.graph.dtb.exporting import export_dtb
from dtbdask.graph.dtb.folder import open_folder
from dtbdask.graph.dtb.importing import import_dtb


def ensemble(folder, members, blocks, link=False):
    """Copies of the blocks of a network, or links to them."""
    for member in range(members):
        if not (link and member):
            write(folder, blocks, member * len(blocks))
            continue
        for index in range(len(blocks)):
            copy = folder / f"block_{member * len(blocks) + index}.npz"
            copy.symlink_to(f"block_{index}.npz")
    return folder


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("cuts", CUTS[:4])
@pytest.mark.parametrize("slots", [2, 10])
def test_members_that_are_alike_are_one_network(tmp_path, slots, cuts, link):
    blocks = blocks_of(*make_network(slots=slots), cuts)
    alone = read_dtb(write(tmp_path / "one", blocks), slots=slots)
    many = read_dtb(ensemble(tmp_path / "many", 3, blocks, link), slots=slots)
    assert_same_networks(alone, many)
    assert (alone.attributes["members"], many.attributes["members"]) == (1, 3)
    assert many.attributes["block_bounds"] == list(cuts)


def test_an_ensemble_is_stored_once_and_written_again(tmp_path):
    blocks = blocks_of(*make_network())
    folder = ensemble(tmp_path / "given", 3, blocks)
    network = import_dtb(folder, tmp_path / "net")
    assert (network.n_neurons, network.attributes["members"]) == (18, 3)
    export_dtb(network, tmp_path / "uint8", members=3)
    links = sorted(file.name for file in (tmp_path / "uint8").iterdir() if file.is_symlink())
    assert links == [f"block_{index}.npz" for index in (2, 3, 4, 5)]
    assert len(read(tmp_path / "uint8")) == 6
    again = read_dtb(tmp_path / "uint8")
    assert again.attributes["members"] == 3
    assert_same_networks(again, network)
    with pytest.raises(InputError, match=r"members is 3: .* block 1 does; give other blocks"):
        export_dtb(network, tmp_path / "other", members=3, blocks=[0, 3, 18])
    assert not (tmp_path / "other").exists()


def change(name, index, value):
    """Change one value of the second block of the second of three members."""

    def spoil(folder):
        with np.load(folder / "block_3.npz") as file:
            arrays = {key: file[key] for key in file}
        arrays[name] = arrays[name].copy()
        arrays[name][index] = value
        np.savez(folder / "block_3.npz", **arrays)

    return spoil


def shorten(folder):
    with np.load(folder / "block_3.npz") as file:
        arrays = {key: file[key] for key in file}
    np.savez(folder / "block_3.npz", **{k: v if k == "property" else v[:-1]
                                       for k, v in arrays.items()})  # fmt: skip


DIFFERENT = {
    "a property": (change("property", (2, 10), 0.125),
                   r"property\[2, 10\], g_ampa, is 0.125, in block_1.npz it is 0.\d+"),
    "the sign of a zero": (change("property", (3, 14), -0.0), r"property is not that of block_1"),
    "a weight": (change("weight", (4, 1), 77), r"weight is not that of block_1\.npz"),
    "a synapse less": (shorten, r"block_3\.npz has \d+ synapses, block_1\.npz has \d+"),
    "a block": (lambda folder: (folder / "block_5.npz").unlink(),
                r"block_4\.npz begins a member of 1 blocks, block_0.npz one of 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_members_that_differ_are_told_and_one_can_be_chosen(tmp_path, name):
    spoil, told = DIFFERENT[name]
    blocks = blocks_of(*make_network())
    blocks[1]["weight"][4, 1] = 78
    folder = ensemble(tmp_path / "dtb", 3, blocks)
    spoil(folder)
    with pytest.raises(InputFileError, match=told) as error:
        read_dtb(folder)
    assert "choose one with member=0 to 2" in str(error.value)
    if name == "a block":
        return
    chosen = [read_dtb(folder, member=k) for k in range(3)]
    assert_same_networks(chosen[0], chosen[2])
    assert [network.attributes["members"] for network in chosen] == [1, 1, 1]
    if name == "a property":
        assert chosen[1].parameters.neuron["g_ampa"][12] == 0.125
    if name == "a weight":
        assert (edges_of(chosen[0])[2] != edges_of(chosen[1])[2]).sum() == 1


@pytest.mark.parametrize("member", [-1, 3, 1.5])
def test_a_member_that_is_not_there_is_refused(tmp_path, member):
    folder = ensemble(tmp_path / "dtb", 3, blocks_of(*make_network()))
    with pytest.raises(InputError, match=rf"member is {member}"):
        read_dtb(folder, member=member)


def test_one_network_whose_blocks_repeat_their_first_population_is_one(tmp_path):
    """Its blocks look like members, but synapses join them."""
    properties, *synapses = make_network()
    properties[:, 3] = np.repeat([0, 1, 0, 1], SIZES)
    network = read_dtb(write(tmp_path, blocks_of(properties, *synapses)))
    assert (network.n_neurons, network.attributes["members"]) == (18, 1)


def test_one_network_whose_populations_were_mapped_is_one(tmp_path):
    """The first id of a brain begins its second block, but no id comes twice."""
    properties, target, source, weight = make_network()
    properties[:, 3] = np.repeat([2, 3, 0, 1], SIZES)
    apart = (target < 10) == (source < 10)
    blocks = blocks_of(properties, target[apart], source[apart], weight[apart])
    network = read_dtb(write(tmp_path, blocks))
    assert network.attributes["members"] == 1
    assert network.populations.voxel.tolist() == [1, 1, 0, 0]


def test_the_files_of_links_are_read_once(tmp_path, monkeypatch):
    opened = []
    from dtbdask.graph.dtb import folder as dtb_folder

    def counted(path):
        opened.append(path.name)
        return read_block(path)

    read_block = dtb_folder.read_block
    monkeypatch.setattr(dtb_folder, "read_block", counted)
    ensemble(tmp_path / "dtb", 20, blocks_of(*make_network()), link=True)
    assert open_folder(tmp_path / "dtb", 2).members == 20
    assert opened == ["block_0.npz", "block_1.npz"]


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


@pytest.mark.parametrize("name", ["block_01.npz", "block_2 (copy).npz", "block_-1.npz"])
def test_a_file_that_might_be_a_block_is_told(tmp_path, name):
    folder = write(tmp_path, blocks_of(*make_network()))
    (folder / name).write_bytes((folder / "block_1.npz").read_bytes())
    with pytest.raises(InputFileError, match="not the name of a block") as error:
        read_dtb(folder)
    assert name in str(error.value)


def test_a_link_to_nowhere_is_told(tmp_path):
    folder = write(tmp_path, blocks_of(*make_network()))
    (folder / "block_2.npz").symlink_to("gone.npz")
    with pytest.raises(InputFileError, match=r"block_2\.npz: cannot be read: No such file"):
        read_dtb(folder)


@pytest.mark.parametrize("slots", [3, 0, "two"])
def test_slots_that_dtb_does_not_have_are_refused(tmp_path, slots):
    with pytest.raises(InputError, match=rf"slots is '?{slots}'?; expected one of 2, 10"):
        read_dtb(write(tmp_path, blocks_of(*make_network())), slots=slots)
