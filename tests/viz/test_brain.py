"""The brain is drawn where it lies and coloured by what it does."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from dtbdask.brain.aal import AAL90
from dtbdask.brain.aal_xyz import aal_xyz
from dtbdask.errors import InputError
from dtbdask.viz import brain_points, brain_slices, glass_brain
from dtbdask.viz.anatomy import lobe, region_colours, region_xyz

RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")


@pytest.fixture
def values():
    return np.linspace(1.0, 9.0, 90)


def test_left_is_left_and_the_front_is_in_front():
    place = aal_xyz(AAL90)
    assert (place[::2, 0] < place[1::2, 0]).all()
    occipital = [i for i, name in enumerate(AAL90) if name.startswith("Occipital")]
    frontal = [i for i, name in enumerate(AAL90) if name.startswith("Frontal")]
    assert place[occipital, 1].max() < place[frontal, 1].min()
    assert np.isnan(aal_xyz(["nowhere"])).all()


def test_points_hold_every_region_with_a_place_and_a_value(values, backend):
    values[7] = np.nan
    picture = brain_points(values, aal_xyz(AAL90), AAL90, RATE, azimuth_deg=30)
    shown = dict(zip(picture.dimension_values("region"), picture.dimension_values("rate"),
                     strict=True))  # fmt: skip
    assert shown == {n: v for n, v in zip(AAL90, values, strict=True) if v == v}
    hv.render(picture, backend=backend)


def test_turning_keeps_heights_and_distances(values):
    place = aal_xyz(AAL90)
    for angle in (0, 50, 200):
        picture = brain_points(values, place, AAL90, RATE, azimuth_deg=angle)
        order = np.argsort(picture.dimension_values("rate"))
        across, up, depth = (picture.dimension_values(n)[order] for n in ("across", "up", "depth"))
        np.testing.assert_allclose(up, place[:, 2])
        flat = place[:, :2] - place[:, :2].mean(axis=0)
        np.testing.assert_allclose(across**2 + depth**2, (flat**2).sum(axis=1))
        if angle == 0:
            np.testing.assert_allclose(across, flat[:, 0])


def test_glass_brain_draws_the_strongest_connections(values, backend):
    connection = np.zeros((90, 90))
    connection[3, 5], connection[5, 3], connection[8, 1] = 7.0, 2.0, 5.0
    place = aal_xyz(AAL90)
    picture = glass_brain(values, place, AAL90, RATE, connection=connection, edges=5)
    above = picture.values()[0]
    lines = next(x for x in above if isinstance(x, hv.Segments))
    assert len(lines) == 2
    ends = {tuple(lines.dimension_values(i)) for i in range(4)}
    assert ends == {(place[3, 0], place[1, 0]), (place[3, 1], place[1, 1]),
                    (place[5, 0], place[8, 0]), (place[5, 1], place[8, 1])}  # fmt: skip
    hv.render(picture, backend=backend)
    with pytest.raises(InputError, match="connection"):
        glass_brain(values, place, AAL90, RATE, connection=np.zeros((3, 3)))


def test_slices_hold_the_voxels_of_their_plane(backend):
    grid = np.stack(np.meshgrid(*[np.arange(0, 15, 3.0)] * 3, indexing="ij"), axis=-1)
    place = grid.reshape(-1, 3)[np.random.default_rng(0).random(125) < 0.7]
    values = place @ [1.0, 100.0, 10_000.0]
    picture = brain_slices(values, place, RATE, at_mm=(6.0, 3.0, 9.0))
    cut = {"From above": (2, 9.0), "From the left": (0, 6.0), "From behind": (1, 3.0)}
    for panel, (axis, at) in zip(picture, cut.values(), strict=True):
        image = next(x for x in panel if isinstance(x, hv.Image))
        found = image.dimension_values("rate")
        expected = values[place[:, axis] == at]
        np.testing.assert_array_equal(np.sort(found[~np.isnan(found)]), np.sort(expected))
        kept = [a for a in range(3) if a != axis]
        voxel = place[place[:, axis] == at][0]
        assert image[tuple(voxel[kept])] == voxel @ [1.0, 100.0, 10_000.0]
    hv.render(picture, backend=backend)
    with pytest.raises(InputError, match="grid"):
        brain_slices(values, place + np.random.default_rng(1).random(place.shape), RATE)


def test_colours_follow_names_and_not_the_picture():
    colours = dict(zip(AAL90, region_colours(AAL90), strict=True))
    assert {lobe(name) for name in AAL90} == {
        "Frontal", "Limbic", "Occipital", "Parietal", "Subcortical", "Temporal"
    }  # fmt: skip
    assert colours["Thalamus_L"] == colours["Caudate_R"] != colours["Cuneus_L"]
    assert lobe("V1") == "Other"
    assert len(region_colours(["a", "b"])) == 2


def test_places_are_the_brains_own_or_the_atlas_or_an_error():
    label = ("voxel", list(AAL90[:3]))
    brain = xr.Dataset(coords={"label": label})
    np.testing.assert_array_equal(region_xyz(brain), aal_xyz(AAL90[:3]))
    own = brain.assign(xyz=(("voxel", "axis"), np.ones((3, 3))))
    assert (region_xyz(own) == 1).all()
    with pytest.raises(InputError, match="give xyz"):
        region_xyz(xr.Dataset(coords={"label": ("voxel", ["A", "B"])}))
    with pytest.raises(InputError, match="nothing to draw"):
        brain_points([np.nan], np.zeros((1, 3)), ["A"], RATE)
    with pytest.raises(InputError, match="names"):
        brain_points([1.0, 2.0], np.zeros((2, 3)), ["A"], RATE)
