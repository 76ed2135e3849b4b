"""Connectivity archives of The Virtual Brain, whole, damaged and hostile."""

import bz2
import zipfile

import numpy as np
import pytest

from dtbdask.brain import guard, tvb
from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import DTBDaskError, InputError, InputFileError

WEIGHTS = np.array([[0, 3.5, 1], [2, 0, 7], [5, 4, 0]])


def text(values):
    return "\n".join(" ".join(f"{value:.18e}" for value in row) for row in values) + "\n"


ENTRIES = {
    "weights.txt": text(WEIGHTS),
    "tract_lengths.txt": text(WEIGHTS * 10),
    "centres.txt": "rA1  1 2 3\nrA2\t4 5 6\nl PFC 7 8 -9.5\n",
    "cortical.txt": "1\n0\n1\n",
    "hemispheres.txt": "1\n1\n0\n",
    "areas.txt": "10 20 30",
    "average_orientations.txt": "nothing of use",
    "info.txt": "weights in arbitrary units",
}


def archive(path, entries=ENTRIES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def packed(entries):
    """The same tables, each packed with bzip2, in a folder."""
    return {f"a/{name}.bz2": bz2.compress(content.encode()) for name, content in entries.items()}


@pytest.mark.parametrize("entries", [ENTRIES, packed(ENTRIES)])
def test_an_archive_becomes_a_brain_row_for_row(tmp_path, entries):
    path = archive(tmp_path / "connectivity_3.ZIP", entries)
    brain = read_connectome(path)
    np.testing.assert_array_equal(brain.connection, WEIGHTS)  # weights[i, j]: i hears j
    np.testing.assert_array_equal(brain.tract_length, WEIGHTS * 10)
    assert brain.label.values.tolist() == ["rA1", "rA2", "l PFC"]
    np.testing.assert_array_equal(brain.xyz, [[1, 2, 3], [4, 5, 6], [7, 8, -9.5]])
    assert brain.is_cortex.values.tolist() == [True, False, True]
    assert brain.grey_matter.values.tolist() == [1, 1, 1]
    assert "uniform" in brain.grey_matter.attrs["note"]
    assert (brain.source, brain.sha256) == ("TVB connectivity_3.ZIP", guard.digest(path))


def test_weights_are_enough(tmp_path):
    entries = {"weights.txt": "0,1\n2,0\n", "__MACOSX/._weights.txt": b"\0\1\2"}
    brain = read_connectome(archive(tmp_path / "a.zip", entries))
    np.testing.assert_array_equal(brain.connection, [[0, 1], [2, 0]])
    assert set(brain.data_vars) == {"connection", "grey_matter"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"weights.txt": None}, r"has no weights\.txt.*found are 'tract_lengths\.txt'"),
        ({"b/weights.txt": "1"}, "has two tables 'weights'"),
        ({"centers.txt": "a 1 2 3"}, "has two tables 'centres'"),
        ({"weights.txt": None, "weights.npy": "x"}, r"'weights\.npy' is no table"),
        ({"../areas.txt": "x"}, r"its entry '\.\./areas\.txt' lies outside the archive"),
        ({"/etc/areas.txt": "x"}, "lies outside the archive"),
        ({"..\\areas.txt": "x"}, "lies outside the archive"),
        ({"weights.txt": " \n"}, "its table 'weights' is empty"),
        ({"weights.txt": "0 x\n1 0\n"}, "damaged, or not a zip archive of TVB .*'x'"),
        ({"weights.txt": "0 1\n1\n"}, "damaged, or not a zip archive of TVB"),
        ({"centres.txt": "rA1 1 2\n"}, r"'centres' has the line \['rA1', '1', '2'\]"),
        ({"cortical.txt": "1 2 0"}, "'cortical' holds 2; expected 0 or 1"),
    ],
)
def test_what_is_no_connectivity_is_refused(tmp_path, entries, message):
    content = {name: text for name, text in (ENTRIES | entries).items() if text is not None}
    with pytest.raises(InputFileError, match=message):
        read_connectome(archive(tmp_path / "a.zip", content))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"weights.txt": "0 1\n"}, r"connection has shape \(1, 2\); expected a square"),
        ({"weights.txt": text(-WEIGHTS)}, r"connection\[0 'rA1', 1 'rA2'\] is -3.5 and 5 more"),
        ({"centres.txt": "a 1 2 3\n"}, r"label has shape \(1,\); expected \(3\) for voxel"),
        ({"cortical.txt": "1 0"}, r"is_cortex has shape \(2,\); expected \(3\)"),
    ],
)
def test_wrong_content_is_told_as_ever(tmp_path, entries, message):
    with pytest.raises(InputError, match=message):
        read_connectome(archive(tmp_path / "a.zip", ENTRIES | entries))


@pytest.mark.parametrize("content", [b"", b"0 1\n1 0\n", b"PK\x03\x04 and then nothing"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputFileError, match=r"a\.zip: (the file is empty|not a zip|damaged)"):
        read_connectome(tmp_path / "a.zip")


def test_an_archive_cut_anywhere_is_an_error_of_ours(tmp_path):
    whole = archive(tmp_path / "a.zip").read_bytes()
    for size in np.linspace(0, len(whole) - 1, 40).astype(int):
        (tmp_path / "b.zip").write_bytes(whole[:size])
        with pytest.raises(DTBDaskError):
            read_connectome(tmp_path / "b.zip")


@pytest.mark.parametrize("name", ["weights.txt", "weights.txt.bz2"])
def test_bombs_are_refused(tmp_path, monkeypatch, name):
    for module in (guard, tvb):
        monkeypatch.setattr(module, "SMALL", 1000)
    content = b"0 " * 2**20
    entries = {name: bz2.compress(content) if name.endswith("bz2") else content}
    with pytest.raises(InputFileError, match="more than 200 times"):
        read_connectome(archive(tmp_path / "a.zip", entries))
