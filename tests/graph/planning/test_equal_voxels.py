"""A brain of which only numbers are known is one of equal voxels that is known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.graph.layouts import LAYOUTS
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.planning.audience import audience
from dtbdask.graph.planning.disk import disk_of_equals, disk_of_recipe
from dtbdask.graph.planning.equal_voxels import EqualVoxels, usual_partners
from dtbdask.graph.population import populate
from dtbdask.graph.wiring import Recipe

WITHIN = {"neurons": 1e-3, "synapses": 3e-3, "foreign": 0.05, "sent": 0.05, "met": 0.2}


def equal_brain(voxels, partners, seed=0):
    """Voxels that hear as many others in equal shares."""
    rng = np.random.default_rng(seed)
    fibres = np.zeros((voxels, voxels))
    for v in range(voxels if voxels > 1 else 0):
        fibres[v, rng.choice(np.delete(np.arange(voxels), v), partners, replace=False)] = 1
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), fibres if voxels > 1 else np.ones((1, 1))),
            "grey_matter": ("voxel", np.ones(voxels)),
        },
        coords={"label": ("voxel", [f"voxel {v}" for v in range(voxels)])},
    )


@given(
    voxels=st.sampled_from([1, 40, 100]), layout=st.sampled_from(["voxel", "column"]),
    blocks=st.sampled_from([1, 2, 9, 70, 230]), per_voxel=st.sampled_from([400, 3000]),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_what_blocks_own_and_hear_is_that_of_the_known_brain(voxels, layout, blocks, per_voxel):
    partners = max(1, min(7, voxels - 1))
    neurons = voxels * per_voxel
    populations = populate(equal_brain(voxels, partners), neurons, 20, layout)
    equal = EqualVoxels.make(voxels, neurons, 20, layout, partners=partners)
    assert equal.n_neurons == pytest.approx(populations.n_neurons, rel=1e-3), "but for rounding"
    blocks = min(blocks, equal.n_neurons // 128)
    known, told = audience(populations, blocks), equal.audience(blocks)
    for name in WITHIN:
        there = getattr(known, name).mean()
        assert getattr(told, name).mean() == pytest.approx(there, rel=WITHIN[name], abs=1), name
    assert told.foreign.max() == pytest.approx(known.foreign.max(), rel=0.1, abs=1)


def test_synapses_take_the_room_on_disk_that_they_take_in_the_known_brain():
    brain = equal_brain(50, 6)
    populations = populate(brain, 40_000, 40, "voxel")
    recipe, values = Recipe.make(populations, 1), Parameters.make(100)
    known = disk_of_recipe(populations, recipe, values, brain, slots=("E", "I"), gamma={},
                           chunk=300_000)  # fmt: skip
    equal = EqualVoxels.make(50, 40_000, 40, "voxel", partners=6)
    told = disk_of_equals(equal, weights=(0, 255), gamma={}, chunk=300_000)
    assert told.synapses == pytest.approx(known.synapses, rel=0.05)
    assert told.files == known.files


def test_sources_are_drawn_where_such_a_voxel_has_them_and_the_same_again():
    equal = EqualVoxels.make(200, 200_000, 50, "column", partners=5)
    drawn = equal.draw(0.303, 20_000)
    np.testing.assert_array_equal(drawn, equal.draw(0.303, 20_000))
    assert drawn.max() < equal.n_neurons
    voxel = drawn // np.uint64(equal.size.sum())
    assert 0.5 < (voxel == 60).mean() < 1, "most sources are near"
    assert np.unique(voxel).size <= 6


def test_partners_grow_with_the_root_of_the_voxels_and_stay_below_them():
    assert [usual_partners(v) for v in (1, 2, 90, 22_703)] == [1, 1, 13, 206]
    for voxels in range(1, 50):
        assert 1 <= usual_partners(voxels) <= max(1, voxels - 1)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "mixed"])
def test_every_layout_of_like_voxels_can_be_planned(layout):
    equal = EqualVoxels.make(30, 60_000, 20, layout)
    heard = equal.audience(4)
    assert heard.neurons.sum() == pytest.approx(equal.n_neurons)
    assert heard.synapses.sum() == pytest.approx(equal.n_synapses)
    assert (heard.foreign > 0).all()
    assert (heard.foreign <= heard.met - heard.neurons + 1e-6).all()
