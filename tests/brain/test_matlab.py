"""The same variables make the same brain, whichever version of MATLAB saved them."""

import dask.array as da
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import xarray as xr
from matfiles import mat73

from dtbdask.brain import rows
from dtbdask.brain.connectome import read_connectome
from dtbdask.brain.matlab import load_mat
from dtbdask.errors import InputError, InputFileError

N = 5
CONNECTION = np.random.default_rng(0).integers(1, 99, (N, N)).astype(float)
BOLD = np.random.default_rng(1).normal(size=(4, N))
OURS = {
    "connection": CONNECTION,
    "grey_matter": np.arange(1.0, N + 1),
    "tract_length": CONNECTION / 7,
    "xyz": np.arange(3.0 * N).reshape(N, 3),
    "is_cortex": np.array([1, 1, 0, 1, 0], np.uint8),
    "bold_rest": BOLD,
    "tr_s": np.array(2.2),
}
REGIONS = {
    "net_sum": CONNECTION.astype(np.uint16),
    "roi_grey": np.ones((N, 1)),
    "roi_rest_state": BOLD,
    "roi_task_evaulation_reward": BOLD[:2],
}


def saved(folder, version, **variables):
    """A file of either version."""
    path = folder / f"{version}" / "brain.mat"
    path.parent.mkdir()
    if version == 73:
        return mat73(path, **variables)
    scipy.io.savemat(path, variables)
    return path


def both(folder, **variables):
    """The brains that the two versions make, less their digests."""
    return [read_connectome(saved(folder, v, **variables)).drop_attrs(deep=False) for v in (5, 73)]


@pytest.mark.parametrize("variables", [OURS, REGIONS])
def test_both_versions_make_the_same_brain(tmp_path, variables):
    old, new = both(tmp_path, **variables)
    xr.testing.assert_identical(old, new)
    np.testing.assert_array_equal(new.connection, CONNECTION)
    np.testing.assert_array_equal(new.bold_rest, BOLD)


def test_our_names_are_read_with_names_of_voxels_and_regions(tmp_path):
    names = ["a", "bb", "c", "d", "e"]
    old = saved(tmp_path, 5, **OURS, label=np.array(names), region=np.array([1.0, 1, 2, 2, 2]))
    new = saved(tmp_path, 73, **OURS, label=names, region=np.array([1.0, 1, 2, 2, 2]))
    for brain in map(read_connectome, (old, new)):
        assert brain.label.values.tolist() == names
        assert brain.region.values.tolist() == ["1", "1", "2", "2", "2"]
        assert brain.is_cortex.values.tolist() == [True, True, False, True, False]
        assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (2.2, True)


def test_a_large_matrix_of_version_73_stays_in_its_file_and_is_checked(tmp_path, monkeypatch):
    small = read_connectome(saved(tmp_path, 73, **OURS))
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    path = tmp_path / "73" / "brain.mat"
    large = read_connectome(path)
    assert isinstance(large.connection.data, da.Array)
    assert isinstance(large.tract_length.data, da.Array)
    assert isinstance(large.xyz.data, np.ndarray)
    xr.testing.assert_identical(large.compute(), small)
    for values in (CONNECTION, scipy.sparse.csc_array(CONNECTION)):
        values = values.copy()
        values[3, 1] = np.nan
        with pytest.raises(InputError, match=r"connection\[3 '3', 1 '1'\] is nan; it must be"):
            read_connectome(mat73(path, **(OURS | {"connection": values})))


def test_what_is_missing_is_told_with_what_would_do(tmp_path):
    for version in (5, 73):
        path = saved(tmp_path, version, x=CONNECTION)
        message = r"lacks 'net_sum', 'roi_grey'; .*'dti_net_full'.*'connection'.*found are 'x'"
        with pytest.raises(InputFileError, match=message):
            read_connectome(path)
    with pytest.raises(InputError, match="grey_matter is missing"):
        read_connectome(mat73(path, connection=CONNECTION))


def test_bold_needs_a_repetition_time(tmp_path):
    variables = {name: OURS[name] for name in ("connection", "grey_matter", "bold_rest")}
    with pytest.raises(InputError, match="bold_rest: tr_s is None"):
        read_connectome(saved(tmp_path, 73, **variables))


def test_a_reader_of_version_5_says_which_version_it_wants(tmp_path):
    with pytest.raises(InputFileError, match=r"MATLAB v7\.3, expected version 5 to 7"):
        load_mat(saved(tmp_path, 73, x=CONNECTION), ["x"])
