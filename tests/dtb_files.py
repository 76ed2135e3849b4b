"""Small folders of DTB block files: whole ones, and what is in them."""

from itertools import pairwise

import numpy as np
import pytest

from dtbdask.graph.dtb import folder as dtb_folder
from dtbdask.graph.dtb import format as dtb_format
from dtbdask.graph.dtb import property as dtb_property
from dtbdask.graph.dtb import survey as dtb_survey
from dtbdask.graph.dtb import weights as dtb_weights

PROPERTY = [0.01, 0, 0.1, 0, 1, 5, 0.03, -75, -50, -65, 5 / 275, 5 / 4000, 3 / 30, 3 / 730,
            0, 0, -70, -100, 2, 40, 10, 50]  # fmt: skip
"""Defaults of DTB's generator."""
SIZES = (6, 4, 5, 3)
"""Of four populations, E and I of two voxels."""
IDS = {2: (0, 1, 2, 3), 10: (2, 3, 14, 17)}
"""Their population ids, by the ids a voxel has."""
CUTS = [(0, 18), (0, 10, 18), (0, 6, 10, 15, 18), (0, 1, 8, 9, 18), tuple(range(19))]
"""First neuron of each block; some split populations, also the first."""
KINDS = [np.uint8, np.float16, np.float32, np.float64]


@pytest.fixture(scope="module", autouse=True)
def short_stretches():
    """Read seven synapses and five neurons at a time, so that small files have seams too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (dtb_folder, dtb_format, dtb_survey, dtb_weights):
            patch.setattr(module, "STRETCH", 7)
        patch.setattr(dtb_property, "ROWS", 5)
        yield


def make_network(seed=0, kind=np.uint8, slots=2):
    """Properties of 18 neurons and their synapses: (target, source, weight pair)."""
    rng = np.random.default_rng(seed)
    properties = np.tile(np.array(PROPERTY, np.float32), (18, 1))
    properties[:, 3] = np.repeat(IDS[slots], SIZES)
    properties[:, 10] *= np.repeat([1, 2, 3, 4], SIZES)
    properties[:, 8] += rng.uniform(-1, 1, 18).astype(np.float32)
    properties[:, 1] = rng.random(18) < 0.3
    chosen = rng.random((18, 18)) < 0.4
    target, source = np.nonzero(chosen & ~np.eye(18, dtype=bool))
    if kind == np.uint8:
        weight = rng.integers(0, 256, (target.size, 2), dtype=np.uint8)
    else:
        weight = rng.random((target.size, 2), np.float32 if kind != np.float64 else kind)
    return properties, target, source, weight.astype(kind)


def blocks_of(properties, target, source, weight, cuts=(0, 10, 18), by="target", seed=0):
    """Arrays of the block files; synapses in DTB's order, by source, or in none."""
    blocks = []
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(target.size)
    target, source, weight = target[shuffled], source[shuffled], weight[shuffled]
    for b, (low, high) in enumerate(pairwise(cuts)):
        mine = np.flatnonzero((target >= low) & (target < high))
        owner = np.searchsorted(cuts, source[mine], side="right") - 1
        keys = {"target": (owner, target[mine]), "source": (source[mine],), "none": ()}[by]
        order = np.lexsort(keys) if keys else np.arange(mine.size)
        mine, owner = mine[order], owner[order]
        blocks.append({
            "property": properties[low:high],
            "output_neuron_idx": (target[mine] - low).astype(np.uint32),
            "input_block_idx": (owner - b).astype(np.int16),
            "input_neuron_idx": (source[mine] - np.array(cuts)[owner]).astype(np.uint32),
            "input_channel_offset": (properties[source[mine], 3] % 2 * 2).astype(np.uint8),
            "weight": weight[mine],
        })  # fmt: skip
    return blocks


def input_block(blocks, spikes, index=0):
    """Blocks of which one plays back given spikes; what ends on it is lost."""
    blocks = [dict(block) for block in blocks]
    step, neuron = (np.array(values, np.uint32) for values in zip(*spikes, strict=True))
    blocks[index] = {
        "property": blocks[index]["property"], "src_timestamp": step, "src_neuron_idx": neuron,
    }  # fmt: skip
    return blocks


def write(folder, blocks, first=0):
    """A folder with these blocks, numbered from `first`."""
    folder.mkdir(exist_ok=True, parents=True)
    for index, arrays in enumerate(blocks, first):
        np.savez(folder / f"block_{index}.npz", **arrays)
    return folder


def read(folder):
    """Arrays of all block files of a folder, in their order."""
    count = len(list(folder.glob("block_*.npz")))
    blocks = []
    for index in range(count):
        with np.load(folder / f"block_{index}.npz", allow_pickle=False) as file:
            blocks.append({name: file[name] for name in file})
    return blocks


def assert_same_blocks(found, meant):
    """The same arrays in the same blocks: types, shapes and every byte."""
    assert len(found) == len(meant)
    for mine, theirs in zip(found, meant, strict=True):
        assert set(mine) == set(theirs)
        for name, values in theirs.items():
            assert (mine[name].dtype, mine[name].shape) == (values.dtype, values.shape), name
            assert mine[name].tobytes() == values.tobytes(), name


def edges_of(network):
    """Target, source and weight of the synapses, as they are stored."""
    edges = network.wiring.in_edges(0, network.n_neurons)
    target = np.repeat(np.arange(network.n_neurons), np.diff(edges.indptr))
    return target, edges.source.astype(np.int64), edges.weight * network.wiring.weight_scale


def sorted_edges(target, source, weight):
    """Synapses in an order that says nothing; no two have both neurons in common."""
    order = np.lexsort((source, target))
    return target[order], source[order], weight[order]


def value_of(network, name):
    """A parameter of every neuron."""
    own = network.parameters.neuron.get(name)
    return np.repeat(network.parameters.population[name], network.populations.size) if (
        own is None) else own  # fmt: skip


def assert_same_networks(one, other):
    """The same populations, parameters, synapses in the same order."""
    for name in ("voxel", "slot", "excitatory", "size", "degree"):
        mine, theirs = getattr(one.populations, name), getattr(other.populations, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    for name in one.parameters:
        np.testing.assert_array_equal(value_of(one, name), value_of(other, name), err_msg=name)
    assert set(one.parameters.neuron) == set(other.parameters.neuron)
    for mine, theirs in zip(edges_of(one), edges_of(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.labels == other.labels
