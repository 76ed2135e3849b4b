"""Damaged, foreign and hostile files are told as what they are; none is read, and none is run."""

import io
import json
import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import xarray as xr
import zarr

from dtbdask import schema
from dtbdask.brain import guard
from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import DTBDaskError, InputError, InputFileError, StoreError

CONNECTION = np.array([[0, 3, 1], [2, 0, 7], [5, 4, 0]])
GREY = np.array([0.5, 0.25, 1.0])
BOLD = np.arange(12.0).reshape(4, 3) ** 2


def mat(path, **changes):
    """A file with the keys of DTB's."""
    keys = {"net_sum": CONNECTION.astype(np.uint16), "roi_grey": GREY[:, None]}
    keys |= {"roi_rest_state": BOLD, "roi_task_evaulation_reward": BOLD[:2]}
    keys = {key: value for key, value in (keys | changes).items() if value is not None}
    scipy.io.savemat(path, keys, do_compression=True)
    return path


def npz(path, **changes):
    keys = {"connection": CONNECTION, "grey_matter": GREY, "bold_rest": BOLD, "tr_s": 2.2}
    np.savez_compressed(path, **(keys | changes))
    return path


def npy(values):
    """Bytes of an .npy file."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def archive(path, entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


class Armed:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return Path("ran").touch, ()


# whole files


def test_a_mat_file_of_any_number_of_regions(tmp_path):
    brain = read_connectome(mat(tmp_path / "brain.MAT"))
    np.testing.assert_array_equal(brain.connection, CONNECTION)
    np.testing.assert_array_equal(brain.grey_matter, GREY)
    np.testing.assert_array_equal(brain.bold_rest, BOLD)
    np.testing.assert_array_equal(brain.bold_task, BOLD[:2])
    assert brain.label.values.tolist() == ["0", "1", "2"]
    assert brain.source == "DTB regions brain.MAT"
    assert brain.bold_task.attrs["tr_known"] is False
    bare = mat(tmp_path / "bare.mat", roi_rest_state=None, roi_task_evaulation_reward=None)
    assert set(read_connectome(bare).data_vars) == {"connection", "grey_matter"}


def test_the_digest_is_that_of_the_bytes_of_the_file(tmp_path):
    path = npz(tmp_path / "brain.npz")
    assert read_connectome(path).sha256 == guard.digest(path)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert guard.digest(empty) == known
    assert guard.digest(path, empty) == guard.digest(path) != known


def test_a_hand_made_npz_tells_its_repetition_time(tmp_path):
    brain = read_connectome(npz(tmp_path / "brain.npz", label=np.array(["a", "b", "c"])))
    assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (2.2, True)
    assert brain.label.values.tolist() == ["a", "b", "c"]
    with pytest.raises(InputError, match=r"bold_rest: tr_s is array\(\[1., 2.\]\)"):
        read_connectome(npz(tmp_path / "two.npz", tr_s=[1.0, 2.0]))


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_a_group_that_xarray_wrote(tmp_path):
    whole = read_connectome(npz(tmp_path / "brain.npz", label=np.array(["a", "ü", "c"])))
    whole.to_zarr(tmp_path / "brain.zarr", zarr_format=3)
    back = read_connectome(tmp_path / "brain.zarr")
    xr.testing.assert_identical(back.assign_attrs(sha256=whole.sha256), whole)


def test_a_group_that_anybody_wrote_in_a_directory_of_any_name(tmp_path):
    group = zarr.create_group(tmp_path / "brain", zarr_format=3)
    group.create_array("connection", data=CONNECTION)
    group.create_array("grey_matter", data=GREY)
    np.testing.assert_array_equal(read_connectome(tmp_path / "brain").connection, CONNECTION)


# files that are not what they claim


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mat", b"", r"the file is empty \(0 bytes\)"),
        ("a.npz", b"", r"the file is empty \(0 bytes\)"),
        ("a.mat", b"col1,col2\n1,2\n" * 50, "not a MATLAB 5 file: it starts with b'col1,col2"),
        ("a.mat", b"MATLAB 7.3 MAT-file, Platform" + b" " * 600, r"damaged, .* MATLAB v7\.3 file"),
        ("a.mat", b"\x89HDF\r\n\x1a\n" + b" " * 600, r"damaged, or not a MATLAB v7\.3 file"),
        ("a.mat", b"MATLAB 5.0 MAT-file" + b"\xff" * 600, "damaged, or not a MATLAB 5 file"),
        ("a.npz", b"\x93NUMPY\x01\x00v", "not a zip archive, which every .npz is"),
        ("a.npz", b"PK\x03\x04 and then nothing", "damaged, or not an .npz archive"),
        ("a.npz", npy(CONNECTION), "not a zip archive"),
        ("a.zarr", b"text", "not a Zarr v3 group"),
    ],
)
def test_a_file_of_another_kind(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=message) as caught:
        read_connectome(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("name", ["absent.mat", "absent.npz", "absent.zarr"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(InputFileError, match=f"{name}: cannot be read: No such file"):
        read_connectome(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mat", "a.npz"])
def test_a_file_that_may_not_be_read(tmp_path, name, monkeypatch):
    path = tmp_path / name
    path.write_bytes(b"PK")
    path.chmod(0)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read what nobody may
    with pytest.raises(InputFileError, match=f"{name}: cannot be read: Permission denied"):
        read_connectome(path)


def test_a_directory_that_is_no_file_and_no_store(tmp_path):
    (tmp_path / "a.mat").mkdir()
    with pytest.raises(InputFileError, match="Is a directory"):
        read_connectome(tmp_path / "a.mat")
    with pytest.raises(InputFileError, match="not a Zarr v3 group"):
        read_connectome(tmp_path)
    zarr.create_group(tmp_path / "old.zarr", zarr_format=2)
    with pytest.raises(InputFileError, match="not a Zarr v3 group"):
        read_connectome(tmp_path / "old.zarr")
    zarr.create_array(tmp_path / "array.zarr", data=CONNECTION)
    with pytest.raises(InputFileError, match="not a Zarr v3 group"):
        read_connectome(tmp_path / "array.zarr")
    zarr.create_group(tmp_path / "empty.zarr", zarr_format=3)
    with pytest.raises(InputError, match=r"connection is missing; found are \[\]"):
        read_connectome(tmp_path / "empty.zarr")


def test_a_store_of_another_kind_or_uncommitted(tmp_path):
    schema.create_store(tmp_path / "network.zarr", "network", {})
    with pytest.raises(StoreError, match="a dtbdask network store, expected a connectome store"):
        read_connectome(tmp_path / "network.zarr")
    schema.create_store(tmp_path / "brain.zarr", "connectome", {"attributes": {}})
    with pytest.raises(StoreError, match="never completed"):
        read_connectome(tmp_path / "brain.zarr")


def test_an_absent_chunk_of_a_foreign_group_is_not_zeros(tmp_path):
    group = zarr.create_group(tmp_path / "brain.zarr", zarr_format=3)
    group.create_array("connection", data=CONNECTION, chunks=(1, 3))
    group.create_array("grey_matter", data=GREY)
    (tmp_path / "brain.zarr" / "connection" / "c" / "1" / "0").unlink()
    with pytest.raises(StoreError, match="'connection' has 2 of its 3 chunks"):
        read_connectome(tmp_path / "brain.zarr")


# missing and odd content


def test_missing_keys_are_told_with_those_found(tmp_path):
    with pytest.raises(InputFileError, match=r"lacks 'roi_grey'; needed are .*found are 'net_sum'"):
        read_connectome(mat(tmp_path / "a.mat", roi_grey=None))
    scipy.io.savemat(tmp_path / "b.mat", {"sc": CONNECTION})
    with pytest.raises(InputFileError, match=r"lacks 'net_sum', 'roi_grey'.*found are 'sc'"):
        read_connectome(tmp_path / "b.mat")
    np.savez(tmp_path / "c.npz", matrix=CONNECTION)
    with pytest.raises(InputError, match=r"(?s)\['matrix'\] are not part.*connection is missing"):
        read_connectome(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz")
    with pytest.raises(InputError, match=r"connection is missing; found are \[\]"):
        read_connectome(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"a": 1}, "struct"),
        (np.array([CONNECTION, "x"], dtype=object), "cell"),
        ("text", "char"),
        (scipy.sparse.csc_array(CONNECTION.astype(float)), "sparse"),
    ],
)
def test_a_mat_variable_that_is_no_full_matrix(tmp_path, values, kind):
    path = mat(tmp_path / "a.mat", net_sum=values)
    with pytest.raises(InputFileError, match=f"'net_sum' is of MATLAB class '{kind}'"):
        read_connectome(path)


@pytest.mark.parametrize("shape", [(3, 2), (3, 3, 3)])
def test_a_mat_matrix_of_another_shape(tmp_path, shape):
    with pytest.raises(InputError, match="expected a square matrix"):
        read_connectome(mat(tmp_path / "a.mat", net_sum=np.ones(shape)))


# damage


@pytest.mark.parametrize("make", [mat, npz])
def test_a_file_cut_anywhere_is_an_error_of_ours(tmp_path, make):
    suffix = f".{make.__name__}"
    whole = make(tmp_path / f"whole{suffix}").read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for size in np.linspace(0, len(whole) - 1, 60).astype(int):
        cut.write_bytes(whole[:size])
        try:
            brain = read_connectome(cut)
        except DTBDaskError:
            continue
        # cut between two variables: what is left is a smaller whole file, without the optional
        np.testing.assert_array_equal(brain.connection, CONNECTION)
        assert make is mat
        assert "bold_task" not in brain


@pytest.mark.parametrize("make", [mat, npz])
def test_a_file_with_a_flipped_byte_is_an_error_of_ours_or_reads_on(tmp_path, make):
    suffix = f".{make.__name__}"
    whole = make(tmp_path / f"whole{suffix}").read_bytes()
    flipped = tmp_path / f"flipped{suffix}"
    told = 0
    for place in np.linspace(0, len(whole) - 1, 120).astype(int):
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_connectome(flipped)
        except DTBDaskError:
            told += 1
    assert told > 60


# hostile archives


def test_pickled_objects_are_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Armed()))
    assert Path("ran").exists()  # it is armed
    Path("ran").unlink()
    np.savez(tmp_path / "a.npz", connection=np.array([Armed()], dtype=object), grey_matter=GREY)
    with pytest.raises(InputFileError, match=r"connection\.npy holds pickled Python objects"):
        read_connectome(tmp_path / "a.npz")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "name",
    ["../../evil.npy", "/etc/evil.npy", "a/b.npy", "readme.txt", "evil\n.npy", "é.npy", ".npy"],
)
def test_entries_that_are_no_plain_names_are_refused(tmp_path, name):
    path = archive(tmp_path / "a.npz", [("connection.npy", npy(CONNECTION)), (name, npy(GREY))])
    with pytest.raises(InputFileError, match=r"its entry .* is no array"):
        read_connectome(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_entries_of_one_name_is_refused(tmp_path):
    entry = ("connection.npy", npy(CONNECTION))
    with pytest.raises(InputFileError, match="have the same name"):
        read_connectome(archive(tmp_path / "a.npz", [entry, entry]))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    size = 4 * guard.SMALL
    zeros = npy(np.zeros(size // 8))
    path = archive(tmp_path / "a.npz", [("connection.npy", zeros)])
    del zeros
    assert size > guard.RATIO_LIMIT * path.stat().st_size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputFileError, match=r"would unpack to .* more than 200 times"):
        read_connectome(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**14  # KiB
    scipy.io.savemat(
        tmp_path / "a.mat",
        {"net_sum": np.zeros((3000, 3000)), "roi_grey": GREY},
        do_compression=True,
    )
    with pytest.raises(InputFileError, match="more than 200 times"):
        read_connectome(tmp_path / "a.mat")


def test_small_things_may_pack_well(tmp_path):
    """A sparse connectome of a few hundred voxels packs better than the ratio, and is harmless."""
    ring = np.roll(np.eye(500), 1, axis=0)
    path = npz(
        tmp_path / "a.npz",
        connection=ring,
        grey_matter=np.ones(500),
        bold_rest=BOLD[:, :1] + ring[:4],
    )
    assert ring.nbytes > guard.RATIO_LIMIT * path.stat().st_size
    np.testing.assert_array_equal(read_connectome(path).connection, ring)


@pytest.mark.parametrize("shape", [(10**7, 10**7), (2,), (-3, -3)])
def test_a_header_that_announces_other_sizes_than_are_there_is_refused(tmp_path, shape):
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    path = archive(tmp_path / "a.npz", [("connection.npy", header.getvalue() + bytes(24))])
    with pytest.raises(InputFileError, match=r"announces .* bytes, 24 are there"):
        read_connectome(path)


def test_more_than_the_limit_is_refused_by_size(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "SIZE_LIMIT", 200)
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    group.create_array("connection", data=np.ones((6, 6)))
    for path in (npz(tmp_path / "a.npz"), mat(tmp_path / "a.mat"), tmp_path / "a.zarr"):
        with pytest.raises(InputFileError, match="at most 200 are read"):
            read_connectome(path)


def test_attributes_that_are_not_json_are_damage(tmp_path):
    with pytest.raises(InputFileError, match="damaged"):
        read_connectome(npz(tmp_path / "a.npz", attributes=np.array("{")))
    with pytest.raises(InputFileError, match="damaged"):
        read_connectome(npz(tmp_path / "b.npz", attributes=np.array(json.dumps({"details": [1]}))))
