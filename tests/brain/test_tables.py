"""Tables of text make a connectome, and what does not fit together is told."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import guard, rows, tables
from dtbdask.brain.connectome import read_connectome
from dtbdask.errors import InputError, InputFileError

LABELS = ["Left, upper", "b", "c"]
WEIGHTS = np.array([[0, 3.5, 1], [2, 0, 7], [5, 4, 0]])
CENTRES = [("b", 4, 5, 6), ("Left, upper", 1, 2, 3), ("c", 7, 8, 9)]


def matrix(values, labels=None, mark=",", corner="label"):
    """Text of a matrix."""
    quoted = [f'"{label}"' if mark in label else label for label in labels or ()]
    lines = [mark.join(map(repr, map(float, row))) for row in values]
    if labels:
        lines = [mark.join([corner, *quoted])] + [
            f"{label}{mark}{line}" for label, line in zip(quoted, lines, strict=True)
        ]
    return "\n".join(lines) + "\n"


def table(header, body, mark=","):
    rows = [header, *([f'"{row[0]}"' if mark in row[0] else row[0], *row[1:]] for row in body)]
    return "".join(mark.join(map(str, row)) + "\n" for row in rows)


def folder(path, **files):
    """A folder of tables; by default a whole one."""
    texts = {
        "weights": matrix(WEIGHTS, LABELS),
        "tract_lengths": matrix(WEIGHTS * 10, LABELS),
        "centres": table(["label", "x", "y", "z"], CENTRES),
        "grey_matter": table(["label", "grey_matter"], [("c", 3), ("Left, upper", 1), ("b", 2)]),
    } | files
    path.mkdir()
    for name, text in texts.items():
        if text is not None:
            (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_matched_by_label_and_kept_as_directed(tmp_path):
    brain = read_connectome(folder(tmp_path / "brain"))
    np.testing.assert_array_equal(brain.connection, WEIGHTS)  # row = target, not symmetric
    np.testing.assert_array_equal(brain.tract_length, WEIGHTS * 10)
    assert brain.label.values.tolist() == LABELS
    np.testing.assert_array_equal(brain.xyz, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert brain.grey_matter.values.tolist() == [1, 2, 3]
    assert brain.source == "brain"


def test_regions_and_cortex_come_with_the_centres(tmp_path):
    header = ["label", "region", "is_cortex", "x", "y", "z"]
    body = [(row[0], f"R{i}", i % 2, *row[1:]) for i, row in enumerate(CENTRES)]
    brain = read_connectome(folder(tmp_path / "brain", centres=table(header, body)))
    assert brain.region.values.tolist() == ["R1", "R0", "R2"]
    assert brain.is_cortex.values.tolist() == [True, False, False]
    body = [(row[0], "R", 2, *row[1:]) for row in CENTRES]
    with pytest.raises(InputFileError, match="'is_cortex' holds 2; expected 0 or 1"):
        read_connectome(folder(tmp_path / "other", centres=table(header, body)))


def test_a_matrix_without_names_takes_those_of_the_tables_in_their_order(tmp_path):
    brain = read_connectome(folder(tmp_path / "brain", weights=matrix(WEIGHTS)))
    assert brain.label.values.tolist() == ["b", "Left, upper", "c"]
    assert brain.grey_matter.values.tolist() == [2, 1, 3]
    np.testing.assert_array_equal(brain.connection, WEIGHTS)


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("labels", [None, LABELS])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_one_table_alone(tmp_path, monkeypatch, mark, labels, lazily):
    if lazily:
        monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
        monkeypatch.setattr(rows, "CHUNK", 48)
    path = tmp_path / "a.csv"
    text = "\ufeff" + matrix(WEIGHTS, labels, mark, corner="").replace("\n", "\r\n\r\n")
    path.write_bytes(text.encode())
    brain = read_connectome(path)
    assert isinstance(brain.connection.data, da.Array) is lazily
    np.testing.assert_array_equal(brain.connection, WEIGHTS)
    assert brain.label.values.tolist() == (labels or ["0", "1", "2"])
    assert brain.grey_matter.values.tolist() == [1, 1, 1]
    assert "uniform" in brain.grey_matter.attrs["note"]


def test_blanks_divide_too(tmp_path):
    (tmp_path / "a.csv").write_text("x a b\na  0 1e1\nb 2   0\n")
    brain = read_connectome(tmp_path / "a.csv")
    np.testing.assert_array_equal(brain.connection, [[0, 10], [2, 0]])
    assert brain.label.values.tolist() == ["a", "b"]


@given(n=st.integers(2, 9), limit=st.integers(1, 300), labelled=st.booleans())
@settings(deadline=None, max_examples=30)
def test_lazily_read_is_eagerly_read_to_the_last_bit(tmp_path_factory, n, limit, labelled):
    values = np.random.default_rng(n).lognormal(size=(n, n))
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(matrix(values, [f"v{i}" for i in range(n)] if labelled else None))
    np.testing.assert_array_equal(read_connectome(path).connection, values)
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(rows, "LAZY_ABOVE", 0)
        patch.setattr(rows, "CHUNK", limit)
        lazy = read_connectome(path).connection.data
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)), values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the file is empty \(0 bytes\)"),
        (" \n\n", "holds nothing but blanks; expected a matrix"),
        ("0,1\n1,x\n", r"expected 2 numbers a row; .*could not convert string 'x'"),
        ("0,1\n1,\n", "expected 2 numbers a row"),
        ("0;1\n1,5;0\n", "could not convert string '1,5'"),
        ("0,1\n1\n", "expected 2 numbers a row"),
        (",a,b\na,0,1,9\nb,1,0,9\n", "row 1 has 3 numbers; expected 2 numbers a row"),
        (",a,b\nb,0,1\na,1,0\n", r"the names 1 are \['b'\] and \['a'\]; expected the same names"),
        (",a,b\na,0,1\n", r"1 rows and 2 columns are named, and the names 1 are"),
        ("0,1\n\xff,0\n", "damaged, or not a table of text"),
    ],
)
def test_a_table_that_is_no_matrix_is_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputFileError, match=message):
        read_connectome(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n1,0\n2,2\n", r"connection has shape \(3, 2\); expected a square matrix"),
        ("0,1\n-1,0\n", r"connection\[1 '1', 0 '0'\] is -1.0; it must not be negative"),
        ("0,nan\n1,0\n", r"connection\[0 '0', 1 '1'\] is nan; it must be finite"),
        (",a,a\na,0,1\na,1,0\n", r"label 'a' stands at \[0, 1\]"),
    ],
)
def test_wrong_content_is_told_as_ever(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_connectome(tmp_path / "a.csv")


def changed(header=("label", "grey_matter"), body=(("Left, upper", 1), ("b", 2), ("c", 3))):
    return {"grey_matter": table(header, body)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"weights": None}, r"lacks 'weights\.csv'; found are 'centres\.csv'"),
        ({"gray_matter": "label,x"}, r"'gray_matter\.csv' not known; read are 'weights\.csv'"),
        (
            changed(header=("label", "gm")),
            "its header lacks 'grey_matter'; found are 'label', 'gm'",
        ),
        (changed(body=[("b", 1)]), "it lacks 'Left, upper', 'c' and has nothing besides"),
        (
            changed(body=[(x, 1) for x in ("Left, upper", "b", "d")]),
            "lacks 'c' and has 'd' besides",
        ),
        (changed(body=[(x, 1) for x in "bb"] + [("Left, upper", 1), ("c", 1)]), "has them twice"),
        (changed(body=[(x, "?") for x in LABELS]), "column 'grey_matter': could not convert"),
        (changed(body=[(x, 1, 2) for x in LABELS]), "row 2 has 3 cells, the header 2"),
        ({"tract_lengths": matrix(WEIGHTS, LABELS[::-1])}, r"tract_lengths\.csv: .* another order"),
        ({"centres": ""}, r"centres\.csv: the file is empty"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, files, message):
    with pytest.raises(InputFileError, match=message):
        read_connectome(folder(tmp_path / "brain", **files))


def test_what_is_too_much_is_refused(tmp_path, monkeypatch):
    path = folder(tmp_path / "brain")
    with monkeypatch.context() as patch:
        patch.setattr(tables, "LINE_LIMIT", 10)
        with pytest.raises(InputFileError, match="a line has more than 10 bytes"):
            read_connectome(path)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "SMALL", 10)
        with pytest.raises(InputFileError, match="a table of voxels has at most 10"):
            read_connectome(path)
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    monkeypatch.setattr(guard, "LAZY_LIMIT", 10)
    with pytest.raises(InputFileError, match=r"'weights\.csv' would unpack to 72 bytes"):
        read_connectome(path)
