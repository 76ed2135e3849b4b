"""Names of regions: few on an axis, all of them to be found."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.viz.regions import MAX_TICKS, chosen, region_names, ticks


@settings(deadline=None)
@given(st.integers(0, 2000))
def test_ticks_are_few_and_tell_the_truth(n):
    names = [f"region {i}" for i in range(n)]
    shown = ticks(names)
    assert len(shown) <= MAX_TICKS
    assert all(names[int(place)] == name for place, name in shown)
    assert len(shown) == n or len(shown) >= MAX_TICKS / 2


def test_ticks_stand_where_told():
    assert ticks(["a", "b"], [0.5, 7.0]) == [(0.5, "a"), (7.0, "b")]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 10))
def test_unasked_voxels_are_distinct_and_span_the_brain(n, default):
    shown = chosen([str(i) for i in range(n)], None, default)
    assert len(set(shown)) == min(n, default)
    assert shown[0] == 0
    assert shown[-1] == (n - 1 if default > 1 else 0)


def test_voxels_are_chosen_by_name_or_index():
    assert chosen(["a", "b", "c"], ["c", 0, np.int64(1)], 4).tolist() == [2, 0, 1]


@pytest.mark.parametrize("voxel", ["d", -1, 3])
def test_absent_voxel_is_named(voxel):
    with pytest.raises(InputError, match=repr(voxel)):
        chosen(["a", "b", "c"], [voxel], 4)


def test_names_come_from_coordinates_or_numbers(brain, recording, posterior):
    assert region_names(brain)[0] == "Precentral_L"
    assert region_names(posterior) == posterior["voxel_label"].values.tolist()
    assert region_names(recording) == recording["voxel_label"].values.tolist()
    assert region_names(xr.Dataset({"bold": (("frame", "voxel"), np.zeros((2, 2)))})) == [
        "voxel 0",
        "voxel 1",
    ]
