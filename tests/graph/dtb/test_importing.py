"""Imported into a store, DTB's blocks are the network that is read into memory."""

import tracemalloc

import numpy as np
import pytest
from dtb_files import (
    CUTS,
    assert_same_blocks,
    assert_same_networks,
    blocks_of,
    edges_of,
    input_block,
    make_network,
    read,
    short_stretches,  # noqa: F401
    write,
)

from dtbdask import schema
from dtbdask.graph.dtb import format as dtb_format
from dtbdask.graph.dtb import survey as dtb_survey
from dtbdask.graph.dtb.blocks import read_dtb
from dtbdask.graph.dtb.exporting import export_dtb
from dtbdask.graph.dtb.folder import open_folder
from dtbdask.graph.dtb.importing import import_dtb
from dtbdask.graph.network import open_network


@pytest.mark.parametrize(
    ("by", "cuts", "kind", "chunk"),
    [
        ("target", CUTS[1], np.uint8, 1000),
        ("source", CUTS[2], np.float16, 7),
        ("none", CUTS[3], np.float64, 50),
    ],
)
def test_the_store_is_the_network_in_memory(tmp_path, by, cuts, kind, chunk):
    folder = write(tmp_path / "dtb", blocks_of(*make_network(4, kind), cuts, by))
    stored, held = import_dtb(folder, tmp_path / "net", chunk=chunk), read_dtb(folder)
    assert_same_networks(stored, held)
    assert held.attributes.items() <= stored.attributes.items()
    assert stored.wiring.weight_dtype == held.wiring.weight_dtype
    assert open_network(tmp_path / "net").attributes == stored.attributes


def test_the_store_says_where_it_came_from(tmp_path):
    folder = write(tmp_path / "dtb", blocks_of(*make_network(kind=np.float64)))
    about = import_dtb(folder, tmp_path / "net").attributes
    assert about["source"] == "DTB blocks dtb"
    assert about["slots"] == ["E", "I"]
    assert (about["members"], about["block_bounds"]) == (1, [0, 10, 18])
    assert about["weight_type"] == "float64"
    assert about["weight_scale"] == 2.0**-24
    assert 0 < about["weight_rounding"] <= 2.0**-25


def test_rounding_is_told(tmp_path, caplog):
    folder = write(tmp_path, blocks_of(*make_network(kind=np.float64)))
    network = read_dtb(folder)
    worst = network.attributes["weight_rounding"]
    assert f"weights were rounded by at most {worst:.2g}, to multiples of 2^-24" in caplog.text


SPIKES = [(7, 2), (0, 1), (7, 0), (3, 4), (7, 2)]


def test_given_spikes_are_kept_and_written_again(tmp_path):
    blocks = input_block(blocks_of(*make_network(), cuts=(0, 6, 10, 18)), SPIKES)
    network = import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")
    group = schema.open_store(tmp_path / "net", "network")
    assert schema.read(group, "spike_source/step").tolist() == [0, 3, 7, 7]
    assert schema.read(group, "spike_source/neuron").tolist() == [1, 4, 0, 2]
    assert network.attributes["scripted_population"] == [0]
    target, source, _ = edges_of(network)
    assert target.min() >= 6
    assert source.min() < 6
    blocks[0]["src_timestamp"] = np.array([0, 3, 7, 7], np.uint32)
    blocks[0]["src_neuron_idx"] = np.array([1, 4, 0, 2], np.uint32)
    assert_same_blocks(read(export_dtb(network, tmp_path / "uint8")), blocks)
    apart = export_dtb(network, tmp_path / "one" / "uint8", blocks=1)
    assert [set(block) & {"weight", "src_timestamp"} for block in read(apart)] == [
        {"src_timestamp"}, {"weight"},
    ]  # fmt: skip


def test_neurons_that_play_are_populations_of_their_own(tmp_path):
    """Block 1 begins in the middle of a population, and only it plays."""
    blocks = input_block(blocks_of(*make_network(), cuts=(0, 4, 18)), [(5, 3)], index=0)
    network = import_dtb(write(tmp_path / "dtb", blocks), tmp_path / "net")
    assert network.populations.size.tolist() == [4, 2, 4, 5, 3]
    assert network.populations.slot.tolist() == [0, 0, 1, 0, 1]
    assert network.attributes["scripted_population"] == [0]


def test_memory_does_not_grow_with_the_synapses(tmp_path, monkeypatch):
    n, degree = 500, 400
    monkeypatch.setattr(dtb_format, "STRETCH", 2000)
    target = np.repeat(np.arange(n), degree)
    properties = np.repeat(make_network()[0][:1], n, axis=0)
    weight = np.ones((target.size, 2), np.float32)
    source = np.tile(np.arange(degree), n)
    blocks = blocks_of(properties, target, source, weight, (0, n))
    folder = write(tmp_path, blocks)
    seen = dtb_survey.survey(open_folder(folder, 2))
    tracemalloc.start()
    again = dtb_survey.survey(open_folder(folder, 2))
    count = sum(source.size for source, _ in again.synapses())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == target.size
    assert seen.by_target.all()
    assert peak < weight.nbytes, f"{peak:,} bytes for a file of 19 bytes a synapse"


@pytest.mark.parametrize("by", ["source", "none"])
def test_a_block_in_another_order_is_sorted(tmp_path, by):
    made = make_network()
    folder = write(tmp_path, blocks_of(*made, by=by))
    assert not dtb_survey.survey(open_folder(folder, 2)).by_target.any()
    target, source, _ = edges_of(read_dtb(folder))
    assert (np.diff(target) >= 0).all()
    assert set(zip(target, source, strict=True)) == set(zip(made[1], made[2], strict=True))
