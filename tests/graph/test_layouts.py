"""Layouts have the published numbers, and a motif that makes no sense is refused in words."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_motifs, make_brain

from dtbdask.errors import InputError
from dtbdask.graph.layouts import (
    HOMOGENEOUS,
    LAYOUTS,
    VOXEL,
    Layout,
    Motif,
    describe,
    layout_of,
)
from dtbdask.graph.population import populate

SLOTS = ("L2/3E", "L2/3I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SYNAPSES = np.array([
    [3554, 804, 881, 45, 431, 0, 136, 0, 1020],
    [1778, 532, 456, 29, 217, 0, 69, 0, 396],
    [417, 84, 1070, 690, 79, 93, 1686, 0, 1489],
    [168, 41, 628, 538, 36, 0, 1028, 0, 790],
    [2550, 176, 765, 99, 621, 596, 363, 7, 1591],
    [1357, 76, 380, 32, 375, 403, 129, 0, 214],
    [643, 46, 549, 196, 327, 126, 925, 597, 2609],
    [80, 8, 92, 3, 159, 11, 76, 499, 1794],
], float)  # fmt: skip
"""On a neuron of each slot (row), from each slot and from other voxels."""
ROW_SUM = [6871, 3477, 5608, 3229, 6768, 2966, 6018, 2722]


def rounded(values, digits):
    return np.round(np.asarray(values, float), digits).tolist()


# The numbers of the column, to the digits printed


@pytest.mark.parametrize("name", ["column", "column-l5", "mixed"])
def test_the_column_has_the_published_sizes_degrees_and_outer_shares(name):
    column = LAYOUTS[name].cortex
    assert column.slots == SLOTS
    assert column.excitatory == (True, False) * 4
    size = np.array(column.size_share)
    assert rounded(size, 5) == [
        0.26793, 0.07557, 0.28374, 0.07093, 0.06333, 0.01390, 0.18641, 0.03818,
    ]  # fmt: skip
    neurons = np.array([33.8 * 78, 33.8 * 22, 34.9 * 80, 34.9 * 20,
                        7.6 * 82, 7.6 * 18, 22.1 * 83, 22.1 * 17])  # fmt: skip
    np.testing.assert_allclose(size, neurons / neurons.sum(), rtol=1e-14)
    assert round(float(size[::2].sum()), 4) == 0.8014
    assert rounded(column.degree_scale, 4) == [
        1.2227, 0.6187, 0.9979, 0.5746, 1.2044, 0.5278, 1.0709, 0.4844,
    ]  # fmt: skip
    assert size @ column.degree_scale == pytest.approx(1.0, abs=1e-14)
    assert rounded(column.outer, 4) == [
        0.1485, 0.1139, 0.2655, 0.2447, 0.2351, 0.0722, 0.4335, 0.6591,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["column", "column-l5", "mixed"])
def test_the_rows_of_the_column_are_the_published_synapses(name):
    column = LAYOUTS[name].cortex
    assert SYNAPSES.sum(axis=1).tolist() == ROW_SUM
    rows = np.column_stack([column.local, column.outer])
    np.testing.assert_allclose(rows * SYNAPSES.sum(axis=1, keepdims=True), SYNAPSES, atol=1e-9)
    assert ((rows == 0) == (SYNAPSES == 0)).all()


@pytest.mark.parametrize(
    ("name", "excitatory"),
    [
        ("column", [0.33432, 0.35405, 0.07903, 0.23261]),
        ("column-l5", [0, 0, 1, 0]),
        ("mixed", [0, 0, 1, 0]),
    ],
)
def test_long_range_axons_leave_excitatory_layers_by_size_or_layer_5_alone(name, excitatory):
    weight = LAYOUTS[name].cortex.long_range
    assert rounded(weight[::2], 5) == excitatory
    assert not any(weight[1::2])
    assert sum(weight) == pytest.approx(1.0, abs=1e-14)


def test_the_voxel_has_the_published_shares():
    for motif in (VOXEL, LAYOUTS["voxel"].cortex, LAYOUTS["mixed"].subcortex):
        assert motif.slots == ("E", "I")
        assert motif.excitatory == (True, False)
        assert motif.size_share == (0.8, 0.2)
        assert motif.degree_scale == motif.long_range[:1] * 2 == (1.0, 1.0)
        assert motif.long_range == (1.0, 0.0)
        rows = np.column_stack([motif.local, motif.outer])
        np.testing.assert_allclose(rows, [[4 / 7, 1 / 7, 2 / 7]] * 2, rtol=1e-15)


def test_the_homogeneous_layout_keeps_to_itself():
    motif = LAYOUTS["homogeneous"].cortex
    assert motif is HOMOGENEOUS
    assert not any(motif.outer)
    assert motif.local == (motif.size_share,) * 2 == ((0.8, 0.2),) * 2


def test_layer_1_has_no_neurons_but_keeps_its_numbers():
    """So DTB's number of a population is 10 voxel + slot, also below the cortex: slots 6 and 7."""
    for name in ("column", "column-l5"):
        layout = LAYOUTS[name]
        assert layout.slots == ("L1E", "L1I", *SLOTS)
        assert layout.dtb_slots == tuple(range(10))
        assert layout.subcortex is None
        made = populate(make_brain(2), 4000, 10, name)
        assert made.slot.tolist() == [*range(2, 10)] * 2
        assert made.voxel.tolist() == [0] * 8 + [1] * 8
    mixed = LAYOUTS["mixed"]
    assert mixed.slots == ("L1E", "L1I", *SLOTS, "E", "I")
    assert mixed.dtb_slots == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 7)
    brain = make_brain(2).assign(is_cortex=("voxel", [False, True]))
    made = populate(brain, 4000, 10, "mixed")
    number = 10 * made.voxel + np.array(mixed.dtb_slots)[made.slot]
    assert number.tolist() == [6, 7, *range(12, 20)]
    assert made.excitatory.tolist() == [True, False] * 5


# Own motifs


@given(drawn_motifs())
@settings(max_examples=50, deadline=None)
def test_a_motif_is_described_by_what_json_holds(motif):
    told = json.loads(json.dumps(describe(motif)))
    assert told["slots"] == list(motif.slots)
    [there] = told["motifs"]
    assert {name: json.loads(json.dumps(value)) for name, value in vars(motif).items()} == there
    assert describe(Layout.of(motif)) == describe(motif)
    assert describe("column") == "column"


@given(data=st.data(), n=st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_a_motif_of_counts_gives_the_counts_back(data, n):
    counts = st.lists(st.integers(0, 900), min_size=n + 1, max_size=n + 1).filter(any)
    synapses = np.array([data.draw(counts) for _ in range(n)], float)
    neurons = np.array(data.draw(st.lists(st.integers(1, 900), min_size=n, max_size=n)), float)
    slots = [f"s{k}" for k in range(n)]
    excites = [True, *data.draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))]
    named = data.draw(st.none() | st.lists(st.sampled_from(slots), min_size=1, unique=True))
    motif = Motif.from_counts(slots, excites, neurons, synapses, named)
    size, scale = np.array(motif.size_share), np.array(motif.degree_scale)
    rows = np.column_stack([motif.local, motif.outer])
    assert size @ scale == pytest.approx(1.0)
    np.testing.assert_allclose(size, neurons / neurons.sum())
    mean = synapses.sum(axis=1) @ size
    np.testing.assert_allclose(rows * (scale * mean)[:, None], synapses, atol=1e-9)
    leaves = [slot in named for slot in slots] if named else excites
    axons = neurons * leaves
    np.testing.assert_allclose(motif.long_range, axons / axons.sum())


GOOD = {
    "slots": ("E", "I"), "excitatory": (True, False), "size_share": (0.8, 0.2),
    "local": ((0.5, 0.2), (0.6, 0.1)), "outer": (0.3, 0.3), "long_range": (1.0, 0.0),
    "degree_scale": (1.5, 0.5),
}  # fmt: skip


def test_a_sensible_motif_is_taken_as_it_is():
    motif = Motif(**GOOD)
    assert vars(motif) == GOOD
    assert Motif(**{**GOOD, "degree_scale": ()}).degree_scale == (1.0, 1.0)
    closed = {**GOOD, "local": ((0.8, 0.2), (0.9, 0.1)), "outer": (0, 0), "long_range": (0, 0)}
    assert Motif(**closed).outer == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"excitatory": (True,)}, "excitatory has 1 entries for 2 slots"),
        ({"size_share": (0.5, 0.3, 0.2)}, "size_share has 3 entries for 2 slots"),
        ({"outer": ()}, "outer has 0 entries for 2 slots"),
        ({"long_range": (1.0,)}, "long_range has 1 entries for 2 slots"),
        ({"degree_scale": (1.0,)}, "degree_scale has 1 entries for 2 slots"),
        ({"local": ((0.5, 0.2),)}, "local has 1 entries for 2 slots"),
        ({"local": ((0.5, 0.1, 0.1), (0.5, 0.1, 0.1))}, "local has rows of 3 entries, not of 2"),
        ({"local": ((0.7,), (0.6, 0.1))}, "local"),
        ({"size_share": (0.7, 0.2)}, "size_share add up to 0.9; they must make 1"),
        ({"size_share": (1.2, -0.2)}, "size_share has -0.2; shares are 0 or more"),
        ({"size_share": (np.nan, 0.2)}, "size_share has nan"),
        ({"size_share": (np.inf, 0.2)}, "size_share has inf"),
        ({"outer": (0.3, 0.2)}, "local and outer of I add up to 0.9; they must make 1"),
        ({"local": ((0.5, 0.2), (-0.6, 1.3))}, "local and outer of I has -0.6"),
        ({"long_range": (0.5, 0.0)}, "long_range add up to 0.5"),
        ({"long_range": (0.0, 0.0)}, "long_range add up to 0"),
        ({"long_range": (1.5, -0.5)}, "long_range has -0.5"),
        ({"degree_scale": (1.0, 0.0)}, r"degree_scale is \(1.0, 0.0\); each must be above 0"),
        ({"degree_scale": (1.0, np.inf)}, r"degree_scale is \(1.0, inf\)"),
        ({"slots": ("E", "E")}, "slots.*E"),
    ],
    ids=lambda wrong: next(iter(wrong)) if isinstance(wrong, dict) else "",
)
def test_a_motif_that_makes_no_sense_is_refused_with_field_and_value(wrong, told):
    with pytest.raises(InputError, match=f"motif: .*{told}"):
        Motif(**{**GOOD, **wrong})


COUNTS = {
    "slots": ("E", "I"), "excitatory": (True, False), "neurons": (8, 2),
    "synapses": ((5, 2, 3), (6, 1, 3)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"neurons": (8,)}, r"neurons has shape \(1,\) .* expected \(2,\)"),
        ({"synapses": ((5, 2), (6, 1))}, r"synapses \(2, 2\); .* and \(2, 3\)"),
        ({"long_range": ("E", "L5E")}, r"long_range names \['L5E'\]; slots are \['E', 'I'\]"),
        ({"long_range": ()}, "long_range"),
        ({"excitatory": (False, False)}, "long_range"),
        ({"excitatory": (True,)}, "excitatory"),
        ({"neurons": (8, 0)}, r"neurons.* 0\b"),
        ({"neurons": (8, -2)}, "neurons.* -2"),
        ({"synapses": ((5, 2, 3), (6, -1, 3))}, "synapses.* -1"),
        ({"synapses": ((5, 2, 3), (0, 0, 0))}, r"synapses.* 0\b"),
        ({"synapses": ((5, 2, 3), (6, np.nan, 3))}, "synapses.* nan"),
    ],
)
def test_counts_that_make_no_motif_are_refused_with_field_and_value(wrong, told):
    with pytest.raises(InputError, match=f"motif: .*{told}"):
        Motif.from_counts(**{**COUNTS, **wrong})


# Layouts by name


def test_a_layout_is_found_by_name_or_is_ones_own():
    for name, layout in LAYOUTS.items():
        assert layout_of(name) is layout
        assert layout_of(layout) is layout
    own = Motif(**GOOD)
    assert layout_of(own) == Layout.of(own) == Layout(("E", "I"), own)
    assert Layout.of(own).dtb_slots == (0, 1)
    assert Layout.of(own).motifs == (own,)
    with pytest.raises(InputError, match=r"'columns'; known are voxel, column, .*Motif"):
        layout_of("columns")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"slots": ("E",), "cortex": VOXEL}, r"\['I'\] of a motif are not among \('E',\)"),
        ({"slots": SLOTS, "cortex": LAYOUTS["column"].cortex, "subcortex": VOXEL}, r"\['E', 'I'\]"),
        ({"slots": ("E", "I"), "cortex": VOXEL, "dtb_slots": (3,)}, r"dtb_slots.*\(3,\)"),
        ({"slots": ("E", "I", "E"), "cortex": VOXEL}, "slots.*E"),
    ],
    ids=["missing", "of subcortex", "dtb_slots", "twice"],
)
def test_a_layout_whose_slots_do_not_fit_is_refused(arguments, told):
    with pytest.raises(InputError, match=f"layout: .*{told}"):
        Layout(**arguments)


def test_a_brain_whose_cortex_is_not_known_has_no_mixed_layout():
    with pytest.raises(InputError, match="no is_cortex"):
        populate(make_brain(), 4000, 10, "mixed")


def test_voxels_that_send_nothing_beside_voxels_that_listen_are_refused():
    """Else the in-edges of the listeners would not add up."""
    brain = make_brain(3).assign(is_cortex=("voxel", [True, True, False]))
    with pytest.raises(InputError, match="long_range"):
        populate(brain, 4000, 10, Layout(("E", "I"), HOMOGENEOUS, VOXEL))
