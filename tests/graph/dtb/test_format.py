"""A block that is damaged, hostile, or contradicts itself or another is refused by name."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dtb_files import (
    blocks_of,
    input_block,
    make_network,
    short_stretches,  # noqa: F401
    write,
)

from dtbdask.errors import InputFileError, StoreError
from dtbdask.graph.dtb import format as dtb_format
from dtbdask.graph.dtb.importing import import_dtb
from dtbdask.schema import read_root


def put(name, index, value, kind=None):
    """Spoil one value of the second of two blocks."""

    def spoil(blocks):
        blocks[1][name] = blocks[1][name].astype(kind or blocks[1][name].dtype)
        blocks[1][name][index] = value
        return blocks

    return spoil


def replace(name, make):
    def spoil(blocks):
        blocks[1][name] = make(blocks[1][name])
        return blocks

    return spoil


def drop(name):
    def spoil(blocks):
        blocks[1].pop(name)
        return blocks

    return spoil


WRONG = {
    "lacks an array": (drop("weight"), r"lacks weight; found are 'property', "),
    "lacks the properties": (drop("property"), "lacks property"),
    "columns": (replace("property", lambda p: p[:, :21]),
                r"property is float32 of shape \(8, 21\); expected float32 \(neuron, 22\)"),
    "one dimension": (replace("property", np.ravel), r"property is float32 of shape \(176,\)"),
    "whole properties": (replace("property", lambda p: p.astype(int)), "property is int64"),
    "no neurons": (replace("property", lambda p: p[:0]), "property has no rows"),
    "lengths": (replace("input_neuron_idx", lambda s: s[:-1]),
                r"differ in length: output_neuron_idx has (\d+), .*, input_neuron_idx has (?!\1)"),
    "weights": (replace("weight", lambda w: w[:-1]), r"weight is uint8 of shape \(\d+, 2\); exp"),
    "one weight": (replace("weight", lambda w: w[:, :1]), r"weight is uint8 of shape \(\d+, 1\)"),
    "signed weights": (replace("weight", lambda w: w.astype(np.int16)), "weight is int16"),
    "indices of fractions": (replace("output_neuron_idx", lambda t: t.astype(float)),
                             "output_neuron_idx is float64 of shape .*; expected whole numbers"),
    "target": (put("output_neuron_idx", 2, 8), r"output_neuron_idx\[2\] is 8; expected 0 to 7"),
    "huge target": (put("output_neuron_idx", 9, 2**64 - 1, np.uint64),
                    r"output_neuron_idx\[9\] is 18446744073709551615; expected 0 to 7"),
    "block": (put("input_block_idx", 3, 1), r"input_block_idx\[3\] is 1; expected -1 to 0"),
    "block before the first": (put("input_block_idx", 8, -2),
                               r"input_block_idx\[8\] is -2; expected -1 to 0"),
    "source": (put("input_neuron_idx", 4, 10),
               r"input_neuron_idx\[4\] is 10, but its block, block_\d.npz, has \d+ neurons"),
    "negative source": (put("input_neuron_idx", 11, -1, np.int64),
                        r"input_neuron_idx\[11\] is -1; expected 0 to 4294967295"),
    "channel": (put("input_channel_offset", 15, 3),
                r"input_channel_offset\[15\] is 3; expected 0 .* or 2"),
    "odd channel": (put("input_channel_offset", 5, 1), r"input_channel_offset\[5\] is 1;"),
    "pickled": (replace("weight", lambda w: w.astype(object)), r"weight.npy holds pickled"),
    "population": (put("property", (0, 3), -2.0),
                   r"property\[0, 3\], population, is -2; expected a whole number from 0 to 4,194"),
    "fractional population": (put("property", (6, 3), 2.5),
                              r"property\[6, 3\], population, is 2.5; expected a whole number"),
    "endless population": (put("property", (5, 3), 1e30), r"property\[5, 3\], population, is 1e"),
    "half excluded": (put("property", (4, 1), 0.5),
                      r"property\[4, 1\], excluded, is 0.5; expected a whole number from 0 to 1"),
    "parameter": (put("property", (0, 4), 0.0),
                  r"property\[0, 4\], c, is 0; expected a finite number from 1e-09"),
    "no number": (put("property", (7, 8), np.nan),
                  r"property\[7, 8\], v_th, is nan; expected a finite number"),
    "rate": (put("property", (1, 0), 1.5), r"noise_rate, is 1.5; expected .* from 0 to 1"),
    "reset": (put("property", (6, 9), -40.0),
              r"property\[6, 9\], v_reset, is -40 mV; expected one below its v_th of -\d"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_itself_is_told_by_file_field_and_value(tmp_path, name):
    spoil, told = WRONG[name]
    folder = write(tmp_path / "dtb", spoil(blocks_of(*make_network())))
    with pytest.raises(InputFileError, match=told) as error:
        import_dtb(folder, tmp_path / "net")
    assert str(error.value).startswith(f"{folder / 'block_1.npz'}: ")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("value", "told"), [(-0.5, "-0.5"), (np.inf, "inf"), (np.nan, "nan")])
def test_a_floating_weight_that_is_none_is_told(tmp_path, kind, value, told):
    blocks = blocks_of(*make_network(kind=kind))
    blocks[1]["weight"][11, 1] = value
    folder = write(tmp_path / "dtb", blocks)
    with pytest.raises(InputFileError, match=rf"weight\[11, 1\] is {told}; expected 0 to 65,504"):
        import_dtb(folder, tmp_path / "net")


def test_blocks_with_weights_of_two_types_are_refused(tmp_path):
    blocks = blocks_of(*make_network())
    blocks[1]["weight"] = blocks[1]["weight"].astype(np.float32)
    told = r"block_1\.npz: weight is float32, in block_0.npz it is uint8"
    with pytest.raises(InputFileError, match=told):
        import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")


def test_a_block_without_synapses_may_have_weights_of_any_type(tmp_path):
    blocks = blocks_of(*make_network(), (0, 10, 18))
    for name in dtb_format.SYNAPSE:
        blocks[1][name] = blocks[1][name][:0]
    blocks[1]["weight"] = np.zeros((0, 2))
    network = import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")
    assert network.wiring.weight_dtype == np.uint8


@pytest.mark.parametrize("said", [0, 2])
def test_a_channel_that_contradicts_the_sources_population_is_refused(tmp_path, said):
    blocks = blocks_of(*make_network())
    offset = blocks[0]["input_channel_offset"]
    place = int(np.flatnonzero(offset == 2 - said)[-1])
    offset[place] = said
    told = (
        rf"block_0\.npz: input_channel_offset\[{place}\] is {said}, but its source, neuron "
        rf"\d+ of block_\d.npz, is in a population whose id is .*; expected {2 - said}"
    )
    with pytest.raises(InputFileError, match=told):
        import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")


SPIKES = [(7, 2), (0, 1), (7, 0), (3, 4), (7, 2)]
WRONG_SPIKES = {
    "one of two": (drop("src_neuron_idx"), "lacks src_neuron_idx"),
    "lengths": (replace("src_timestamp", lambda t: t[:-1]), "src_timestamp has 4, src_n.* has 5"),
    "nobody": (put("src_neuron_idx", 3, 8), r"src_neuron_idx\[3\] is 8; expected 0 to 7"),
    "before the first": (put("src_timestamp", 1, -1, np.int64), r"src_timestamp\[1\] is -1; exp"),
    "fraction": (replace("src_timestamp", lambda t: t / 2), "src_timestamp is float64"),
    "both": (lambda blocks: [blocks[0], {**blocks[0], **blocks[1]}],
             "holds src_timestamp, given spikes, and output_neuron_idx, synapses"),
    "without neurons": (drop("property"), "lacks property"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SPIKES)
def test_an_input_block_that_contradicts_itself_is_refused(tmp_path, name):
    spoil, told = WRONG_SPIKES[name]
    folder = write(tmp_path / "dtb", spoil(input_block(blocks_of(*make_network()), SPIKES, 1)))
    with pytest.raises(InputFileError, match=told) as error:
        import_dtb(folder, tmp_path / "net")
    assert str(error.value).startswith(f"{folder / 'block_1.npz'}: ")


# whole files


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -200])
def test_a_truncated_block_is_refused(tmp_path, keep):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    whole = (folder / "block_1.npz").read_bytes()
    (folder / "block_1.npz").write_bytes(whole[:keep])
    with pytest.raises(InputFileError, match=r"block_1\.npz"):
        import_dtb(folder, tmp_path / "net")


def test_a_flipped_bit_of_any_array_is_told(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    whole = bytearray((folder / "block_1.npz").read_bytes())
    with zipfile.ZipFile(folder / "block_1.npz") as file:
        places = {info.filename: info.header_offset for info in file.infolist()}
        sizes = {info.filename: info.file_size for info in file.infolist()}
    for name in places:
        changed = bytearray(whole)
        changed[places[name] + sizes[name]] ^= 1  # near the end of its values
        (folder / "block_1.npz").write_bytes(changed)
        with pytest.raises(InputFileError, match=r"block_1\.npz"):
            import_dtb(folder, tmp_path / "net")


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    with zipfile.ZipFile(folder / "block_1.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("property.npy", npy(np.zeros((2**19, 22), np.float32)))
    with pytest.raises(InputFileError, match=r"block_1\.npz.* would unpack to 46,137"):
        import_dtb(folder, tmp_path / "net")


def test_a_header_that_lies_is_refused(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    content = npy(np.zeros((8, 22), np.float32)).replace(b"(8, 22)", b"(9, 22)")
    with zipfile.ZipFile(folder / "block_1.npz", "w") as file:
        file.writestr("property.npy", content)
    with pytest.raises(InputFileError, match=r"property\.npy announces 792 bytes, 704 are there"):
        import_dtb(folder, tmp_path / "net")


class Armed:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return Path("ran").touch, ()


def test_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of(*make_network())
    blocks[0]["property"] = np.array([Armed()], dtype=object)
    with pytest.raises(InputFileError, match="holds pickled Python objects"):
        import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")
    assert not Path("ran").exists()


def test_packed_files_and_other_byte_and_array_orders_are_read(tmp_path):
    blocks = blocks_of(*make_network(kind=np.float32))
    plain = import_dtb(write(tmp_path / "plain", blocks), tmp_path / "one")
    (tmp_path / "other").mkdir()
    for index, block in enumerate(blocks):
        turned = {
            name: np.asfortranarray(values.astype(values.dtype.newbyteorder(">")))
            for name, values in block.items()
        }
        np.savez_compressed(tmp_path / "other" / f"block_{index}.npz", **turned)
    other = import_dtb(tmp_path / "other", tmp_path / "two")
    for mine, theirs in zip(
        plain.wiring.in_edges(0, 18).__dict__.values(),
        other.wiring.in_edges(0, 18).__dict__.values(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_store_in_the_way_is_told_before_the_blocks_are_read(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network()))
    import_dtb(folder, tmp_path / "net")
    with pytest.raises(StoreError, match="pass overwrite"):
        import_dtb(tmp_path / "nothing here", tmp_path / "net")
    made = read_root(tmp_path / "net")["block_bounds"]
    write(tmp_path / "dtb", blocks_of(*make_network(), (0, 9, 18)))
    import_dtb(folder, tmp_path / "net", overwrite=True)
    assert (made, read_root(tmp_path / "net")["block_bounds"]) == ([0, 10, 18], [0, 9, 18])
