"""A MATLAB v7.3 file reads as MATLAB shows it, in little memory, and nothing else is opened."""

import pickle
import subprocess
import sys

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from matfiles import mat73, stamp

from dtbdask.brain import guard, rows
from dtbdask.brain import mat73 as reader
from dtbdask.brain.connectome import read_connectome
from dtbdask.brain.mat73 import load, names
from dtbdask.errors import DTBDaskError, InputFileError, MissingDependencyError

CONNECTION = np.array([[0.0, 3, 1], [2, 0, 7], [5, 4, 0]])
GREY = np.array([0.5, 0.25, 1.0])


def whole(path, **changes):
    return mat73(path, **({"connection": CONNECTION, "grey_matter": GREY} | changes))


def bare(path):
    """An HDF5 file with grey matter and MATLAB's header, open for more."""
    file = h5py.File(path, "w", userblock_size=512)
    file["grey_matter"] = GREY[:, None]
    return file


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    chunk=st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.none(),
    dtype=st.sampled_from(["f8", "f4", "u2", "i1", ">f8"]),
    limit=st.integers(1, 400),
)
@settings(deadline=None, max_examples=40)
def test_a_matrix_reads_as_matlab_shows_it_whatever_its_layout(
    tmp_path_factory, shape, chunk, dtype, limit
):
    matrix = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    options = {}
    if chunk:
        held = tuple(map(min, chunk, shape[::-1]))
        options = {"chunks": held, "compression": "gzip", "shuffle": True}
    path = mat73(tmp_path_factory.mktemp("mat") / "a.mat", x=(matrix, options))
    np.testing.assert_array_equal(load(path, ["x"])["x"], matrix)
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(rows, "LAZY_ABOVE", 0)
        patch.setattr(rows, "CHUNK", limit)
        lazy = load(path, ["x"], matrices=["x"])["x"]
        assert isinstance(lazy, da.Array)
        assert lazy.dtype == matrix.dtype.newbyteorder("=")
        assert max(lazy.chunks[0]) <= 2 * max(1, limit // (shape[1] * matrix.itemsize))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)), matrix)


@given(
    n=st.integers(1, 12), density=st.floats(0, 1), limit=st.integers(1, 400), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=40)
def test_a_sparse_matrix_reads_as_matlab_shows_it(tmp_path_factory, n, density, limit, seed):
    rng = np.random.default_rng(seed)
    matrix = scipy.sparse.random_array((n, n), density=density, rng=rng)
    path = mat73(tmp_path_factory.mktemp("mat") / "a.mat", x=matrix)
    np.testing.assert_array_equal(load(path, ["x"])["x"], matrix.toarray())
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(rows, "LAZY_ABOVE", 0)
        patch.setattr(rows, "CHUNK", limit)
        lazy = load(path, ["x"], matrices=["x"])["x"]
        assert isinstance(lazy, da.Array)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)), matrix.toarray())


def test_text_empty_variables_and_names(tmp_path):
    path = mat73(tmp_path / "a.mat", label=["Left", "Höhe", "x"], x=CONNECTION)
    with h5py.File(path, "r+") as file:
        file["none"] = np.zeros(2, np.uint64)  # as MATLAB stores []: its shape
        file["none"].attrs["MATLAB_empty"] = 1
        file.create_group("#refs#")
    assert sorted(names(path)) == ["label", "none", "x"]
    found = load(path, names(path))
    assert found["label"].tolist() == ["Left", "Höhe", "x"]
    assert set(found) == {"label", "x"}


def test_six_thousand_voxels_are_read_checked_and_written_in_little_memory(tmp_path):
    """288 MB as dense float64; what is held is a few chunks of 32 MiB."""
    n, path = 6000, tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        matrix = file.create_dataset("connection", (n, n), "f8", chunks=(600, 100), compression=1)
        part = np.zeros((600, n))
        part[:, ::97] = part[7] = 3.0
        for start in range(0, n, 600):
            matrix[start : start + 600] = part
        file["grey_matter"] = np.ones((1, n))
    stamp(path)
    script = (
        "import resource, sys, h5py, dask.array, zarr.codecs\n"
        "from dtbdask.brain.connectome import read_connectome, write_connectome\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "brain = read_connectome(sys.argv[1])\n"
        "write_connectome(brain, sys.argv[2])\n"
        "print((peak() - before) / 1024)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "a.zarr"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 190  # MB
    back = read_connectome(tmp_path / "a.zarr").connection.data
    assert isinstance(back, da.Array)
    hears = np.arange(n) % 600 == 7  # a row of MATLAB's is a column of what HDF5 shows
    np.testing.assert_array_equal(back[4268].compute(), 3.0 * (hears | (4268 % 97 == 0)))
    np.testing.assert_array_equal(back[4269].compute(), 3.0 * hears)


# what is refused


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = CONNECTION
    links = {"ExternalLink": h5py.ExternalLink(str(secret), "/x"), "SoftLink": h5py.SoftLink("/x")}
    for kind, link in links.items():
        path = tmp_path / f"{kind}.mat"
        with bare(path) as file:
            file["x"] = CONNECTION
            file["connection"] = link
        stamp(path)
        with pytest.raises(InputFileError, match=rf"'connection' is a link \({kind}\)"):
            read_connectome(path)


def test_a_sparse_matrix_whose_parts_lie_elsewhere_is_refused(tmp_path):
    path = whole(tmp_path / "a.mat", connection=scipy.sparse.csc_array(CONNECTION))
    with h5py.File(path, "r+") as file:
        del file["connection/data"]
        file["connection/data"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "/x")
    with pytest.raises(InputFileError, match=r"'data' is a link \(ExternalLink\)"):
        read_connectome(path)


def test_storage_in_other_files_is_not_read(tmp_path):
    (tmp_path / "raw").write_bytes(CONNECTION.tobytes())
    with bare(tmp_path / "external.mat") as file:
        place = [(str(tmp_path / "raw"), 0, 72)]
        file.create_dataset("connection", (3, 3), "f8", external=place)
    with bare(tmp_path / "virtual.mat") as file:
        layout = h5py.VirtualLayout((3, 3), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "b.h5", "x", (3, 3))
        file.create_virtual_dataset("connection", layout)
    for name in ("external", "virtual"):
        path = tmp_path / f"{name}.mat"
        stamp(path)
        with pytest.raises(InputFileError, match="'connection' lies in other files"):
            read_connectome(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 3), h5py.ref_dtype), "of dtype object; expected a plain numeric matrix"),
        (np.zeros((3, 3), [("real", "f8"), ("imag", "f8")]), "of dtype .*expected a plain numeric"),
        (np.full((3, 3), b"x"), "of dtype .S1; expected a plain numeric"),
        ({"field": 1.0}, "'connection' is a group; expected a plain numeric"),
    ],
)
def test_what_is_no_numeric_matrix_is_refused(tmp_path, values, message):
    path = tmp_path / "a.mat"
    with bare(path) as file:
        if isinstance(values, dict):
            file.create_group("connection")["field"] = values["field"]
        else:
            file.create_dataset("connection", values.shape, values.dtype)
    stamp(path)
    with pytest.raises(InputFileError, match=message):
        read_connectome(path)


def test_a_cell_array_of_names_is_told_by_its_class(tmp_path):
    path = whole(tmp_path / "a.mat")
    with h5py.File(path, "r+") as file:
        file["label"] = np.array([[file["connection"].ref] * 3], h5py.ref_dtype)
        file["label"].attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(InputFileError, match=r"'label' is of MATLAB class 'cell'.*char\(x\)"):
        read_connectome(path)


def test_headers_that_announce_too_much_or_nothing_written_are_refused(tmp_path, monkeypatch):
    for name, options in {
        "chunked": {"chunks": (1000, 1000), "compression": 1},
        "flat": {},
    }.items():
        path = tmp_path / f"{name}.mat"
        with bare(path) as file:
            file.create_dataset("connection", (10**6, 10**6), "f8", **options)
        stamp(path)
        assert path.stat().st_size < 10_000
        with pytest.raises(InputFileError, match=r"has 0 of its [\d,]+ chunks"):
            read_connectome(path)
    monkeypatch.setattr(reader, "_refuse_strange", lambda *args: None)
    with pytest.raises(InputFileError, match=r"would unpack to 8,000,000,000,000 bytes; at most"):
        read_connectome(path)


def test_an_absent_chunk_is_not_zeros(tmp_path):
    path = tmp_path / "a.mat"
    with bare(path) as file:
        file.create_dataset("connection", (3, 3), "f8", chunks=(1, 3))[:2] = 1.0
    stamp(path)
    with pytest.raises(InputFileError, match=r"of shape \(3, 3\), has 2 of its 3 chunks"):
        read_connectome(path)


def test_a_huge_chunk_is_refused_where_rows_are_read(tmp_path, monkeypatch):
    path = whole(tmp_path / "a.mat", connection=(CONNECTION, {"chunks": (3, 3), "compression": 1}))
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    read_connectome(path)
    monkeypatch.setattr(guard, "CHUNK_LIMIT", 71)
    with pytest.raises(InputFileError, match="packed in chunks of 72 bytes, each unpacked whole"):
        read_connectome(path)
    monkeypatch.setattr(guard, "LAZY_LIMIT", 71)
    with pytest.raises(InputFileError, match="would unpack to 72 bytes; at most 71 are read"):
        read_connectome(path)


def test_a_filter_that_would_be_loaded_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    with bare(path) as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((3, 3))
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((3, 3))
        made = h5py.h5d.create(file.id, b"connection", h5py.h5t.IEEE_F64LE, space, dcpl=plan)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, CONNECTION)
    stamp(path)
    with pytest.raises(InputFileError, match=r"needs HDF5 filters \[32015\]; read are 'gzip'"):
        read_connectome(path)


@pytest.mark.parametrize("part", ["jc", "ir"])
def test_indices_of_a_sparse_matrix_that_do_not_fit_are_damage(tmp_path, part):
    path = whole(tmp_path / "a.mat", connection=scipy.sparse.csc_array(CONNECTION))
    with h5py.File(path, "r+") as file:
        file["connection"][part][1] = 99
    with pytest.raises(
        InputFileError, match="indices of the sparse matrix 'connection' do not fit"
    ):
        read_connectome(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    packed = {"chunks": (512, 512), "compression": 9}
    path = whole(tmp_path / "a.mat", connection=(np.zeros((3000, 3000)), packed))
    with pytest.raises(InputFileError, match="more than 200 times"):
        read_connectome(path)


@pytest.mark.parametrize("lazily", [False, True])
def test_a_file_cut_or_damaged_anywhere_is_an_error_of_ours(tmp_path, monkeypatch, lazily):
    packed = {"chunks": (2, 2), "compression": 9, "fletcher32": True}
    source = whole(tmp_path / "a.mat", connection=(CONNECTION, packed))
    content, path = source.read_bytes(), tmp_path / "b.mat"
    with h5py.File(source) as file:
        chunk = file["connection"].id.read_direct_chunk((2, 2))[1]
    if lazily:
        monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(DTBDaskError):
            read_connectome(path)
    begin = content.index(chunk)
    for place in [*range(begin, begin + len(chunk)), *range(600, len(content), 97)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            read_connectome(path)
        except DTBDaskError:
            continue
        assert not begin <= place < begin + len(chunk)


def test_damage_that_comes_later_is_told_when_the_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    path = whole(tmp_path / "a.mat")
    brain = read_connectome(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputFileError, match=r"a\.mat: damaged, or not a MATLAB v7\.3 file"):
        brain.connection.data.compute()


def test_without_h5py_the_error_tells_how_to_get_it(tmp_path, monkeypatch):
    path = whole(tmp_path / "a.mat")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[formats\]'"):
        read_connectome(path)
