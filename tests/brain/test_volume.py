"""Voxels of an image lie where its affine says and carry what its images hold."""

import gzip
import struct
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy.io
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import volume
from dtbdask.brain.volume import read_volume
from dtbdask.errors import InputError, InputFileError, MissingDependencyError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SHEN = DATA / "shen268_mask_3mm_12358.nii.gz"
needs_shen = pytest.mark.skipif(not SHEN.exists(), reason=f"no {SHEN.name} beside the repository")

AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3, 0.5, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
LABELS = np.zeros((2, 3, 4))
LABELS[0, 1, 2], LABELS[1, 0, 3], LABELS[1, 2, 0] = 7, 2, 7


def image(path, values=LABELS, affine=AFFINE, unit="mm", kind=nibabel.Nifti1Image):
    made = kind(np.asarray(values, np.float32), affine)
    made.header.set_xyzt_units(unit)
    nibabel.save(made, path)
    return path


@given(seed=st.integers(0, 99), suffix=st.sampled_from([".nii", ".nii.gz"]))
@settings(deadline=None, max_examples=20)
def test_every_labelled_voxel_lies_where_the_affine_says(tmp_path_factory, seed, suffix):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rng.integers(1, 6, 3))
    labels.flat[0] = 1
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4)) * 5
    voxels = read_volume(
        image(tmp_path_factory.mktemp("nii") / f"a{suffix}", labels, affine), names={1: "a", 2: "b"}
    )
    assert voxels.sizes["voxel"] == np.count_nonzero(labels)
    at = tuple(voxels.index.values.T)
    np.testing.assert_array_equal(labels[at], [{"a": 1, "b": 2}[r] for r in voxels.region.values])
    stored = np.float64(np.float32(affine))
    expected = nibabel.affines.apply_affine(stored, voxels.index.values)
    np.testing.assert_allclose(voxels.xyz, expected, atol=1e-4)
    assert len(set(voxels.label.values)) == voxels.sizes["voxel"]


def test_a_small_image(tmp_path):
    grey = np.arange(24.0).reshape(2, 3, 4) / 8
    voxels = read_volume(image(tmp_path / "l.nii"), image(tmp_path / "g.nii", grey))
    assert voxels.region.values.tolist() == ["7", "2", "7"]
    assert voxels.label.values.tolist() == ["7 1", "2 1", "7 2"]
    assert voxels.index.values.tolist() == [[0, 1, 2], [1, 0, 3], [1, 2, 0]]
    np.testing.assert_array_equal(voxels.grey_matter, [6 / 8, 15 / 8, 20 / 8])
    np.testing.assert_allclose(voxels.xyz[0], [90, -126 + 3 + 1, -72 + 6])
    assert "note" not in voxels.grey_matter.attrs
    alone = read_volume(tmp_path / "l.nii")
    assert alone.grey_matter.values.tolist() == [1, 1, 1]
    assert "uniform" in alone.grey_matter.attrs["note"]
    assert len({voxels.sha256, alone.sha256}) == 2


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1), ("meter", 1000), ("micron", 1e-3)])
def test_coordinates_are_millimetres(tmp_path, unit, scale):
    voxels = read_volume(image(tmp_path / "a.nii", unit=unit))
    np.testing.assert_allclose(voxels.xyz[0], np.array([90, -122, -66]) * scale)
    assert "note" not in voxels.xyz.attrs
    unknown = read_volume(image(tmp_path / "b.nii", unit="unknown"))
    assert "taken for mm" in unknown.xyz.attrs["note"]


def test_nifti_2_and_a_fourth_dimension_of_one_are_read(tmp_path):
    path = image(tmp_path / "a.nii", LABELS[..., None], kind=nibabel.Nifti2Image)
    assert read_volume(path).sizes["voxel"] == 3


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (LABELS - 8, InputFileError, "a voxel has label -8.0; expected whole numbers from 0"),
        (LABELS / 2, InputFileError, "a voxel has label 3.5; expected whole"),
        (np.full((2, 2, 2), np.nan), InputFileError, "a voxel has label nan"),
        (np.zeros((2, 2, 2)), InputError, "no voxel has a label above 0"),
        (np.ones((2, 2)), InputFileError, r"an image of shape \(2, 2\); expected three dim"),
        (np.ones((2, 2, 2, 2)), InputFileError, r"an image of shape \(2, 2, 2, 2\)"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, values, error, message):
    with pytest.raises(error, match=message):
        read_volume(image(tmp_path / "a.nii", values))


def test_labels_without_a_name_are_listed(tmp_path):
    with pytest.raises(InputError, match=r"names has none for the labels \[7\] of its voxels"):
        read_volume(image(tmp_path / "a.nii"), names={2: "b"})


def test_grey_matter_must_lie_on_the_same_grid(tmp_path):
    labels = image(tmp_path / "l.nii")
    for grey in (
        image(tmp_path / "a.nii", LABELS[:1]),
        image(tmp_path / "b.nii", LABELS, AFFINE * 2),
    ):
        with pytest.raises(InputFileError, match="the same grid: resample it"):
            read_volume(labels, grey)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_damaged_and_foreign_files_are_told(tmp_path, name):
    path = tmp_path / name
    whole = image(path).read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) - 9], b"not an image" * 50):
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=r"the file is empty|damaged, or not a NIfTI"):
            read_volume(path)
    with pytest.raises(InputFileError, match="No such file"):
        read_volume(tmp_path / "absent.nii")
    (tmp_path / "a.mgz").write_bytes(whole)
    with pytest.raises(InputFileError, match=r"whose name ends in \.nii or \.nii\.gz"):
        read_volume(tmp_path / "a.mgz")


def test_sizes_are_looked_at_first(tmp_path, monkeypatch):
    path = image(tmp_path / "a.nii")
    header = bytearray(path.read_bytes())
    header[40:48] = struct.pack("<4h", 3, 30000, 30000, 30000)
    path.write_bytes(header)
    with pytest.raises(InputFileError, match=r"shape \(30000, 30000, 30000\).*at most 134,217,728"):
        read_volume(path)
    far = bytearray(image(tmp_path / "b.nii").read_bytes())
    far[108:112] = struct.pack("<f", 1e9)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(far)))
    with pytest.raises(InputFileError, match=r"its values begin at byte 1e\+09"):
        read_volume(tmp_path / "b.nii.gz")
    monkeypatch.setattr(volume, "VOLUME_LIMIT", 23)
    with pytest.raises(InputFileError, match="at most 23 voxels"):
        read_volume(image(tmp_path / "c.nii"))


def test_an_affine_that_places_nothing_is_refused(tmp_path):
    path = image(tmp_path / "a.nii")
    for number in (0.0, np.nan):
        header = bytearray(path.read_bytes())
        header[312:328] = struct.pack("<4f", number, 0, number, 0)  # the third row
        path.write_bytes(header)
        with pytest.raises(InputFileError, match="its affine does not place voxels"):
            read_volume(path)


def test_without_nibabel_the_error_tells_how_to_get_it(tmp_path, monkeypatch):
    path = image(tmp_path / "a.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[formats\]'"):
        read_volume(path)


@needs_shen
def test_the_shen_atlas_in_the_order_of_its_archive():
    voxels = read_volume(SHEN)
    archive = scipy.io.loadmat(DATA / "shen268_atlas_region.mat")
    assert dict(voxels.sizes) == {"voxel": 12_358, "axis": 3}
    assert len(set(voxels.region.values)) == 217
    assert (
        voxels.region.values.tolist() == archive["atlas_region"].astype(int).astype(str)[0].tolist()
    )
    low, high = voxels.xyz.values.min(axis=0), voxels.xyz.values.max(axis=0)
    assert (low > [-80, -115, -60]).all()  # within the brain of MNI space
    assert (high < [80, 80, 90]).all()
    assert isinstance(voxels, xr.Dataset)
