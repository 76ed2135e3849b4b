"""Arrays of an archive are the same read whole or stretch by stretch, and damage is told."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputFileError
from dtbdask.graph.dtb.npz_stream import open_npz


@given(
    n=st.integers(0, 23),
    length=st.integers(1, 30),
    packed=st.booleans(),
    order=st.sampled_from("CF"),
    kinds=st.lists(st.sampled_from(["<f4", ">i2", "|u1", "<f8"]), min_size=1, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_stretches_are_the_arrays(tmp_path_factory, n, length, packed, order, kinds):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    rng = np.random.default_rng(n)
    arrays = {
        f"x{i}": np.array(rng.integers(0, 99, (n, 3)[: 1 + i % 2]), kind, order=order)
        for i, kind in enumerate(kinds)
    }
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    with open_npz(path) as archive:
        assert list(archive.entries) == list(arrays)
        for name, values in arrays.items():
            found = archive.read(name)
            assert found.dtype == values.dtype
            np.testing.assert_array_equal(found, values)
        starts, parts = [], []
        for start, stretch in archive.stretches(list(arrays), length):
            starts.append(start)
            parts.append(stretch)
    assert starts == list(range(0, n, length))
    for i, values in enumerate(arrays.values()):
        joined = [part[i] for part in parts]
        assert all(len(part) <= length for part in joined)
        if joined:
            np.testing.assert_array_equal(np.concatenate(joined), values)


def test_a_stretch_is_all_that_is_held(tmp_path):
    values = np.random.default_rng(0).random(2_000_000)
    np.savez_compressed(tmp_path / "a.npz", x=values)
    tracemalloc.start()
    with open_npz(tmp_path / "a.npz") as archive:
        total = sum(part.sum() for _, (part,) in archive.stretches(["x"], 10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(values.sum())
    assert peak < values.nbytes / 10


def test_damage_in_a_late_stretch_is_told_there(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[7000] ^= 1
    path.write_bytes(content)
    with open_npz(path) as archive:
        stretches = archive.stretches(["x"], 100)
        assert next(stretches)[0] == 0
        with pytest.raises(InputFileError, match="Bad CRC-32"):
            list(stretches)


def test_the_errors_of_those_who_use_it_are_their_own(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(9))
    with pytest.raises(ZeroDivisionError), open_npz(tmp_path / "a.npz") as archive:
        next(archive.stretches(["x"], 2))[0] / 0


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.npy", b"", "damaged, or not an .npz archive"),
        ("x.npy", b"\x93NUMPY\x03\x00" + bytes(20), r"x.npy has .npy version \(3, 0\)"),
        ("../x.npy", b"", "its entry '../x.npy' is no array"),
        ("x.txt", b"text", "its entry 'x.txt' is no array"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path, name, content, told):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr(name, content)
    with pytest.raises(InputFileError, match=told), open_npz(tmp_path / "a.npz"):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for _ in range(2):
            with file.open("x.npy", "w") as stream:
                np.save(stream, np.arange(3))
    with (
        pytest.raises(InputFileError, match="two entries of the archive are named 'x'"),
        open_npz(tmp_path / "a.npz"),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no more"])
def test_no_archive_is_told(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputFileError, match=r"a\.npz"), open_npz(tmp_path / "a.npz"):
        pass
