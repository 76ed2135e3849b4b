"""DTB's voxel archives become brains, whichever way their arrays lie."""

import dask.array as da
import numpy as np
import pytest
from matfiles import mat73

from dtbdask.brain import rows
from dtbdask.brain.aal import AAL90, AAL92, SUBCORTICAL
from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import InputFileError

N = 6
FIBRES = np.random.default_rng(0).integers(0, 99, (N, N)) + np.ones((N, N))
REST = np.random.default_rng(1).normal(size=(4, N))
AAL = np.array([1.0, 37, 38, 90, 92, 78])
WHOLE = {
    "dti_net_full": FIBRES,
    "dti_xyz": np.arange(3.0 * N).reshape(N, 3),
    "dti_aal_label": AAL,
    "dti_grey_matter": np.linspace(0.1, 0.6, N),
    "Resting_state": REST,
}
SHEN = {
    "dti_net_full": FIBRES,
    "grey_matter_size": np.linspace(0.1, 0.6, N),
    "rest_state_bold": REST,
    "MID_task_bold": REST[:3],
    "SST_task_bold": REST[:2],
    "atlas_region": np.array([3.0, 3, 5, 9, 5, 3]),
    "uni_region": np.array([9.0, 3, 5]),
    "is_cortex": np.array([0, 1, 1], np.uint8),
    "voxel_label": np.array([3.0, 5, 9, 10, 11, 17390]),
}
NPZ = {
    "conn_prob": FIBRES / FIBRES.sum(axis=1, keepdims=True),
    "block_size": np.linspace(0.1, 0.6, N),
    "divide_point": np.array(4),
    "aal_region": np.array([0, 36, 37, 89, 91, 77]),
    "rest_bold": REST.T,
}


def read(path, variables, **changes):
    """The brain of some variables, less those changed to None."""
    variables = {k: v for k, v in (variables | changes).items() if v is not None}
    if path.suffix == ".npz":
        np.savez(path, **variables)
        return read_connectome(path)
    return read_connectome(mat73(path, **variables))


def test_the_whole_brain(tmp_path):
    brain = read(tmp_path / "a.mat", WHOLE)
    np.testing.assert_array_equal(brain.connection, FIBRES)
    np.testing.assert_array_equal(brain.grey_matter, WHOLE["dti_grey_matter"])
    np.testing.assert_array_equal(brain.xyz, WHOLE["dti_xyz"])
    np.testing.assert_array_equal(brain.bold_rest, REST)
    names = ["Precentral_L", "Hippocampus_L", "Hippocampus_R", "Temporal_Inf_R", "Nucleus_92"]
    assert brain.region.values.tolist()[:5] == names
    assert brain.is_cortex.values.tolist() == [True, False, False, True, False, False]
    assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (0.8, False)
    assert brain.source == "DTB voxels a.mat"


@pytest.mark.parametrize("name", ["dti_xyz", "Resting_state", "dti_aal_label", "dti_grey_matter"])
def test_either_way_round_is_the_same_brain(tmp_path, name):
    straight = read(tmp_path / "a.mat", WHOLE)
    turned = read(tmp_path / "b.mat", WHOLE, **{name: np.atleast_2d(WHOLE[name]).T})
    assert straight.drop_attrs(deep=False).identical(turned.drop_attrs(deep=False))


def test_the_psychiatry_cohort(tmp_path):
    brain = read(tmp_path / "a.mat", SHEN)
    assert brain.region.values.tolist() == ["3", "3", "5", "9", "5", "3"]
    assert brain.is_cortex.values.tolist() == [True, True, True, False, True, True]
    assert brain.label.values.tolist() == ["3", "5", "9", "10", "11", "17390"]
    assert brain.bold_rest.attrs["tr_s"] == brain.bold_task.attrs["tr_s"] == 2.2
    np.testing.assert_array_equal(brain.bold_task, REST[:3])
    assert brain.bold_task.attrs["note"].startswith("MID_task_bold; ")
    assert brain.bold_task.attrs["note"].endswith("the file also has SST_task_bold")
    alone = read(tmp_path / "b.mat", SHEN, MID_task_bold=None)
    np.testing.assert_array_equal(alone.bold_task, REST[:2])
    assert "also" not in alone.bold_task.attrs["note"]


def test_cortex_may_be_told_of_voxels_or_of_sorted_regions(tmp_path):
    each = np.array([1, 0, 1, 0, 1, 0], np.uint8)
    brain = read(tmp_path / "a.mat", SHEN, is_cortex=each)
    np.testing.assert_array_equal(brain.is_cortex, each > 0)
    brain = read(tmp_path / "b.mat", SHEN, uni_region=None)
    assert brain.is_cortex.values.tolist() == [False, False, True, True, True, False]


def test_the_npz_of_the_whole_brain(tmp_path):
    brain = read(tmp_path / "whole_brain_voxel_info.npz", NPZ)
    np.testing.assert_array_equal(brain.connection, NPZ["conn_prob"])
    np.testing.assert_array_equal(brain.grey_matter, NPZ["block_size"])
    np.testing.assert_array_equal(brain.bold_rest, REST)
    assert brain.connection.attrs["units"] == "1"
    assert brain.is_cortex.values.tolist() == [True] * 4 + [False] * 2
    expected = [AAL92[number] for number in NPZ["aal_region"]]
    assert brain.region.values.tolist() == expected
    from_one = read(tmp_path / "b.npz", NPZ, aal_region=NPZ["aal_region"] + 1)
    assert from_one.region.values.tolist() == expected


def test_what_tells_cortex_goes_by_rank(tmp_path):
    parts = np.array([200.0, 205, 200, 210, 220, 200])
    by_part = read(tmp_path / "a.mat", WHOLE, dti_brainPart_label=parts)
    assert by_part.is_cortex.values.tolist() == [True, False, True, False, False, True]
    more = {"dti_brainPart_label": parts, "divide_point": np.array(1.0)}
    by_point = read(tmp_path / "b.mat", WHOLE, **more)
    assert by_point.is_cortex.values.tolist() == [True] + [False] * 5
    assert by_point.is_cortex.attrs["note"] == "the first divide_point voxels"


def test_subcortical_regions_are_the_paired_grey_nuclei():
    names = {AAL92[number - 1].rpartition("_")[0] for number in SUBCORTICAL}
    nuclei = {"Hippocampus", "Amygdala", "Caudate", "Putamen", "Pallidum", "Thalamus", "Nucleus"}
    assert names == nuclei
    assert len(AAL90) == 90


@pytest.mark.parametrize("name", ["a.mat", "a.npz"])
def test_large_archives_stay_in_their_file(tmp_path, monkeypatch, name):
    variables = WHOLE if name == "a.mat" else NPZ
    small = read(tmp_path / name, variables)
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    large = read_connectome(tmp_path / name)
    assert isinstance(large.connection.data, da.Array)
    assert large.compute().identical(small)


@pytest.mark.parametrize(
    ("variables", "changes", "message"),
    [
        (WHOLE, {"dti_aal_label": AAL * 0}, r"dti_aal_label\[0\] is 0; expected the number of an"),
        (WHOLE, {"dti_aal_label": AAL + 1}, r"dti_aal_label\[4\] is 93; .* 1 to 92"),
        (WHOLE, {"dti_aal_label": AAL / 2}, "'dti_aal_label' holds 0.5; expected whole numbers"),
        (WHOLE, {"dti_aal_label": AAL[:4]}, "'dti_aal_label' has 4 values for 6 voxels"),
        (WHOLE, {"divide_point": np.array(7.0)}, "divide_point is .7.; expected one from 0 to 6"),
        (SHEN, {"is_cortex": np.ones(4)}, "'is_cortex' has 4 values; .* 6 voxels, .* 3 regions"),
        (SHEN, {"uni_region": np.array([1.0, 3, 5])}, "'is_cortex' has 3 values; expected one for"),
        (SHEN, {"atlas_region": np.full(6, np.nan)}, "'atlas_region' holds nan"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, variables, changes, message):
    with pytest.raises(InputFileError, match=message):
        read(tmp_path / "a.mat", variables, **changes)
