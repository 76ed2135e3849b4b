"""A large matrix of an `.npz` is read a few rows at a time, and is the same matrix."""

import pickle
import zipfile

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import guard, rows
from dtbdask.brain.npz import read_arrays
from dtbdask.errors import InputFileError


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(["f8", "f4", "u2", ">f8"]),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    limit=st.integers(1, 300),
)
@settings(deadline=None, max_examples=40)
def test_lazily_read_is_eagerly_read(tmp_path_factory, shape, dtype, save, limit):
    matrix = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save(path, before=np.arange(3), connection=matrix)
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(rows, "LAZY_ABOVE", 0)
        patch.setattr(rows, "CHUNK", limit)
        found = read_arrays(path, matrices=["connection"])
        lazy = found["connection"]
        assert isinstance(lazy, da.Array)
        assert isinstance(found["before"], np.ndarray)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)), matrix)
        assert isinstance(read_arrays(path)["connection"], np.ndarray)


def test_fortran_order_is_read_where_it_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    matrix = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.savez(tmp_path / "a.npz", x=matrix)
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz", matrices=["x"])["x"], matrix)
    np.savez_compressed(tmp_path / "b.npz", x=matrix)
    with pytest.raises(InputFileError, match="large, compressed and in Fortran order"):
        read_arrays(tmp_path / "b.npz", matrices=["x"])


def test_the_checksum_of_a_large_matrix_is_compared_when_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    path = tmp_path / "a.npz"
    np.savez(path, x=np.full((3, 3), 7.0))
    content = path.read_bytes()
    place = content.index(np.float64(7).tobytes())
    path.write_bytes(content[:place] + b"\1" + content[place + 1 :])
    with pytest.raises(InputFileError, match=r"damaged.*Bad CRC-32"):
        read_arrays(path, matrices=["x"])


def test_a_matrix_cut_off_after_it_was_opened_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / "a.npz"
        save(path, x=np.random.default_rng(0).random((30, 30)))
        lazy = read_arrays(path, matrices=["x"])["x"]
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(InputFileError, match=r"a\.npz: damaged, or not an \.npz"):
            lazy.compute()


def test_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    monkeypatch.setattr(guard, "LAZY_LIMIT", 100)
    np.savez(tmp_path / "a.npz", x=np.ones((4, 4)))
    with pytest.raises(InputFileError, match=r"'x\.npy' would unpack to 256 bytes; at most 100"):
        read_arrays(tmp_path / "a.npz", matrices=["x"])


def test_a_long_header_is_not_read(tmp_path):
    content = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 2**20
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(InputFileError, match="damaged"):
        read_arrays(tmp_path / "a.npz")
