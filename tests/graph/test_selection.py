"""Names, indices and masks choose the same; what means nothing, or two things, is refused."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import make_brain, make_network

from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import populate
from dtbdask.graph.selection import choose, choose_populations, tell
from dtbdask.graph.synapses import Procedural
from dtbdask.graph.wiring import Recipe


@pytest.fixture(scope="module")
def voxels():
    return make_network()


@pytest.fixture(scope="module")
def columns():
    populations = populate(make_brain(), 20_000, 20, "column")
    labels = ("E", "Thalamus_L", "<b>")
    slots = ("L1E", "L1I", "L2/3E", "L2/3I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
    recipe = Procedural(Recipe.make(populations, 0))
    values = Parameters.make(populations.size.size)
    return Network(populations, values, recipe, labels, {"slots": slots, "seed": 0})


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        (None, [0, 1, 2, 3, 4, 5]), ("region 1 E", [2]), ("region 2", [4, 5]), ("I", [1, 3, 5]),
        (["region 0 I", "region 0", "region 2 E"], [0, 1, 4]), ([5, 0], [5, 0]), (3, [3]),
        (np.array([True, False, False, True, False, False]), [0, 3]),
        (np.uint8([2]), [2]),
    ],
)  # fmt: skip
def test_populations_by_name_index_and_mask(voxels, name, chosen):
    assert choose_populations(voxels, name).tolist() == chosen


def test_slots_and_signs_of_columns(columns):
    assert choose_populations(columns, "L5E").tolist() == [4, 12, 20]
    assert choose_populations(columns, "Thalamus_L L2/3I").tolist() == [9]
    assert choose_populations(columns, "I").tolist() == list(range(1, 24, 2))
    assert choose_populations(columns, "<b>").size == 8
    with pytest.raises(InputError, match="'E' is the name of a voxel and a sign; give indices"):
        choose_populations(columns, "E")
    with pytest.raises(InputError, match=r"nothing is named 'L1E'.*slot of"):
        choose_populations(columns, "L1E")


def test_a_slot_of_the_name_of_a_sign_is_the_slot(voxels):
    """As in a mixed brain, where the voxels below the cortex have slots E and I."""
    table = dataclasses.replace(voxels.populations, slot=np.array([0, 1, 2, 1, 2, 1]))
    about = {**voxels.attributes, "slots": ("E", "I", "L4E")}
    mixed = dataclasses.replace(voxels, populations=table, attributes=about)
    assert choose_populations(mixed, "E").tolist() == [0]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ([], "none is chosen"), ([7], "7 is chosen; there are 0 to 6"), ([-1], "-1 is"),
        ([1, 1], "1 is chosen twice"), ([0.5], "float64 of shape"),
        ([True, False], "bool of shape"),
        (np.zeros(7, bool), "none is chosen"), ([[1]], r"of shape \(1, 1\)"), (["a"], "expected"),
    ],
)  # fmt: skip
def test_a_wrong_selection_is_refused(chosen, told):
    with pytest.raises(InputError, match=f"neuron.*({told})"):
        choose("neuron", chosen, 7)


@given(st.sets(st.integers(0, 30), min_size=1))
def test_a_mask_and_its_indices_are_the_same(index):
    mask = np.zeros(31, bool)
    mask[list(index)] = True
    assert choose("neuron", mask, 31).tolist() == sorted(index)
    assert choose("neuron", sorted(index), 31).tolist() == sorted(index)


def test_few_numbers_are_told_and_many_by_their_digest():
    assert [tell(v) for v in (None, "E", ["a", "b"], 2, 0.5, [1.0, 2.0])] == [
        "all", "E", ["a", "b"], 2, 0.5, [1.0, 2.0],
    ]  # fmt: skip
    values = np.linspace(0, 1, 100)
    assert tell(values) == {
        "count": 100, "low": 0.0, "high": 1.0,
        "sha256": hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
    }  # fmt: skip
