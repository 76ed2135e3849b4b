"""The connectome of voxels adds up to that of their regions, and is never held whole."""

import csv
import pickle
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.io
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import rows
from dtbdask.brain.connectome import read_connectome, validate_connectome, write_connectome
from dtbdask.brain.expansion import expand
from dtbdask.brain.volume import read_volume
from dtbdask.errors import InputError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SHEN = DATA / "shen268_mask_3mm_12358.nii.gz"
needs_shen = pytest.mark.skipif(not SHEN.exists(), reason=f"no {SHEN.name} beside the repository")

PAIR = ("voxel", "voxel_source")


def regions(n, seed=0, diagonal=False):
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(size=(n, n))
    if not diagonal:
        np.fill_diagonal(weight, 0)
    return xr.Dataset(
        {
            "connection": (PAIR, weight),
            "grey_matter": ("voxel", np.ones(n)),
            "tract_length": (PAIR, rng.random((n, n)) * 100),
            "is_cortex": ("voxel", np.arange(n) % 2 == 0),
        },
        coords={"label": ("voxel", [f"R{i}" for i in range(n)])},
        attrs={"source": "regions", "licence": "terms"},
    )


def voxels(region, seed=0):
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "region": ("voxel", [f"R{i}" for i in region]),
            "grey_matter": ("voxel", rng.random(len(region)) + 0.1),
            "xyz": (("voxel", "axis"), rng.normal(size=(len(region), 3)) * 20),
        },
        attrs={"source": "volume"},
    )


@st.composite
def cases(draw):
    """A connectome of regions, voxels of all of them in any order, and the options."""
    n = draw(st.integers(2, 5))
    region = draw(st.permutations([*range(n), *draw(st.lists(st.integers(0, n - 1), max_size=8))]))
    seed, diagonal = draw(st.integers(0, 99)), draw(st.booleans())
    options = {"within": draw(st.floats(0, 0.99)), "length_mm": draw(st.floats(0.01, 1000))}
    return regions(n, seed, diagonal), voxels(region, seed), np.array(region), options


@given(case=cases(), chunk=st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_every_pair_follows_the_rule(case, chunk):
    whole, cells, region, options = case
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(rows, "CHUNK", chunk)
        brain = expand(whole, cells, **options)
        assert isinstance(brain.connection.data, da.Array)
        found = brain.connection.values
        length = brain.tract_length.values
    weight, grey = whole.connection.values, cells.grey_matter.values
    distance = np.linalg.norm(cells.xyz.values[:, None] - cells.xyz.values, axis=-1)
    own = np.diag(weight)
    if not own.any():
        outside = weight.sum(axis=1)
        own = options["within"] * outside / (1 - options["within"])
    expected = np.zeros_like(distance)
    for i, r in enumerate(region):
        others = np.flatnonzero((region == r) & (np.arange(region.size) != i))
        if others.size:
            near = distance[i, others] - distance[i, others].min()
            near = np.exp(-near / options["length_mm"])
            expected[i, others] = own[r] * near / near.sum()
        for j in np.flatnonzero(region != r):
            expected[i, j] = weight[r, region[j]] * grey[j] / grey[region == region[j]].sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-30)
    same = region[:, None] == region
    between = whole.tract_length.values[np.ix_(region, region)]
    np.testing.assert_allclose(length, np.where(same, distance, between), rtol=1e-6, atol=1e-6)


@given(case=cases())
@settings(deadline=None, max_examples=30)
def test_voxels_hear_each_region_as_their_region_does(case):
    whole, cells, region, options = case
    found = expand(whole, cells, **options).connection.values.astype(np.float64)
    sums = np.stack([found[:, region == s].sum(axis=1) for s in range(region.max() + 1)], axis=1)
    weight = whole.connection.values
    own = sums[np.arange(region.size), region]
    alone = np.bincount(region)[region] == 1
    assert (own[alone] == 0).all()
    if np.diag(weight).any():
        np.testing.assert_allclose(own[~alone], np.diag(weight)[region][~alone], rtol=1e-5)
    else:
        share = own / sums.sum(axis=1)
        np.testing.assert_allclose(share[~alone], options["within"], rtol=1e-5, atol=1e-12)
    sums[np.arange(region.size), region] = weight[region, region]
    np.testing.assert_allclose(sums, weight[region], rtol=1e-5)
    assert not np.diag(found).any()


def test_the_brain_keeps_what_is_known_of_its_voxels(tmp_path):
    whole, cells = regions(3), voxels([2, 0, 1, 2])
    brain = expand(whole, cells)
    assert brain.region.values.tolist() == ["R2", "R0", "R1", "R2"]
    assert brain.is_cortex.values.tolist() == [True, True, False, True]
    np.testing.assert_array_equal(brain.grey_matter, cells.grey_matter)
    np.testing.assert_array_equal(brain.xyz, cells.xyz)
    assert (brain.source, brain.licence) == ("regions in the voxels of volume", "terms")
    assert "within=0.5, length_mm=10" in brain.connection.attrs["note"]
    mine = expand(whole, cells.assign(is_cortex=("voxel", [False] * 4)))
    assert not mine.is_cortex.any()
    validate_connectome(brain)
    write_connectome(brain, tmp_path / "a.zarr")
    back = read_connectome(tmp_path / "a.zarr")
    np.testing.assert_array_equal(back.connection, brain.connection)
    assert back.region.values.tolist() == brain.region.values.tolist()


def test_the_digest_follows_what_went_in():
    whole, cells = regions(3), voxels([2, 0, 1, 2])
    digests = {
        expand(whole, cells).sha256,
        expand(whole, cells, within=0.4).sha256,
        expand(regions(3, seed=1), cells).sha256,
        expand(whole, cells.assign_attrs(sha256="x")).sha256,
    }
    assert len(digests) == 4
    assert expand(whole, cells).sha256 in digests


def test_a_lazy_connection_pickles():
    brain = expand(regions(3), voxels([2, 0, 1, 2]))
    again = pickle.loads(pickle.dumps(brain.connection.data))
    np.testing.assert_array_equal(again, brain.connection)


@pytest.mark.parametrize(
    ("whole", "cells", "options", "message"),
    [
        (regions(3), voxels([0, 1]), {}, "1 regions of the connectome have no voxels: 'R2'"),
        (regions(2), voxels([0, 1, 7]), {}, "1 regions of voxels are not in the connectome: 'R7'"),
        (regions(3), voxels([0, 7]), {}, "2 regions .* no voxels: 'R1', 'R2'; 1 regions .* 'R7'"),
        (regions(2), voxels([0, 1]).drop_vars("xyz"), {}, r"voxels lack \['xyz'\]; get them"),
        (regions(2), voxels([0, 1]), {"within": 1.0}, "within is 1.0; expected a share from 0"),
        (regions(2), voxels([0, 1]), {"within": np.nan}, "within is nan; expected a share"),
        (regions(2), voxels([0, 1]), {"length_mm": 0}, "length_mm is 0; expected a length above 0"),
        (
            regions(2),
            voxels([0, 1]).assign(grey_matter=("voxel", [0.0, 1])),
            {},
            "1 regions have no grey matter in their voxels: 'R0'",
        ),
        (
            regions(2),
            voxels([0, 1]).assign(grey_matter=("voxel", [-1.0, 1])),
            {},
            "grey_matter of the voxels must be finite and not negative",
        ),
        (regions(2).drop_vars("connection"), voxels([0, 1]), {}, "connection is missing"),
    ],
)
def test_what_does_not_fit_is_refused_and_listed(whole, cells, options, message):
    with pytest.raises(InputError, match=message):
        expand(whole, cells, **options)


@needs_shen
def test_the_shen_atlas_at_12358_voxels():
    archive = scipy.io.loadmat(DATA / "shen268_atlas_region.mat")
    with (DATA / "shen_268.csv").open(encoding="utf-8-sig", newline="") as file:
        table = {int(row["ROI"]): row for row in csv.DictReader(file)}
    number = archive["uni_region"][0].astype(int)
    names = {n: f"{n} {table[n]['Hemisphere']} {table[n]['BA']}" for n in number}
    whole = regions(217).drop_vars("tract_length")
    whole = whole.assign_coords(label=("voxel", [names[n] for n in number]))
    whole["is_cortex"] = ("voxel", archive["is_cortex"][0] > 0)
    cells = read_volume(SHEN, names=names)
    brain = expand(whole, cells, within=0.3)
    connection = brain.connection.data
    assert connection.shape == (12_358, 12_358)
    assert max(connection.chunks[0]) * 12_358 * 4 <= rows.CHUNK
    assert 0 < (~brain.is_cortex).sum() < 12_358
    sample = np.random.default_rng(0).choice(12_358, 20, replace=False)
    region = np.array([[*names.values()].index(name) for name in brain.region.values])
    for i in sample:
        row = connection[i].compute().astype(np.float64)
        sums = np.bincount(region, row)
        assert row[i] == 0
        assert abs(sums[region[i]] / sums.sum() - 0.3) < 1e-4
        outside = np.arange(217) != region[i]
        np.testing.assert_allclose(
            sums[outside], whole.connection.values[region[i]][outside], rtol=1e-4
        )
