"""A Dask connectome is judged, dropped from, written and read like the NumPy one of its values."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain import readers, rows
from dtbdask.brain.connectome import read_connectome, validate_connectome, write_connectome
from dtbdask.brain.contract import BRAIN, MATRICES
from dtbdask.errors import InputError, StoreError

PAIR = ("voxel", "voxel_source")


def brain(connection, seed=0):
    """A connectome with all that may be lazy, and what goes with voxels."""
    rng = np.random.default_rng(seed)
    n = len(connection)
    return xr.Dataset(
        {
            "connection": (PAIR, connection),
            "grey_matter": ("voxel", rng.random(n) + 0.1),
            "tract_length": (PAIR, rng.random((n, n))),
            "region": ("voxel", [f"R{i // 2}" for i in range(n)]),
            "is_cortex": ("voxel", np.arange(n) % 3 > 0),
        },
        coords={"label": ("voxel", [f"voxel {i}" for i in range(n)])},
        attrs={"source": "drawn"},
    )


def lazily(whole, chunks):
    """The same with Dask arrays."""
    return whole.assign(
        {name: (PAIR, da.from_array(whole[name].values, chunks=chunks)) for name in MATRICES}
    )


def outcome(whole, isolated):
    """What validation gives: a dataset or a message."""
    try:
        return validate_connectome(whole, isolated=isolated)
    except InputError as error:
        return str(error)


@st.composite
def cases(draw):
    """A connectome, sound or not, and chunks for it."""
    n = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    connection = (rng.random((n, n)) < draw(st.sampled_from([0.2, 0.5, 1.0]))) * rng.random((n, n))
    for value in draw(st.lists(st.sampled_from([np.nan, np.inf, -1.0, -np.inf]), max_size=3)):
        connection[tuple(rng.integers(0, n, 2))] = value
    whole = brain(connection)
    if draw(st.booleans()):
        whole["tract_length"][rng.integers(0, n), rng.integers(0, n)] = -2.0
    chunks = tuple(
        tuple(np.diff([0, *sorted(draw(st.sets(st.integers(1, n - 1)))), n]).tolist())
        if n > 1
        else 1
        for _ in PAIR
    )
    return whole, chunks


@given(case=cases(), isolated=st.sampled_from(["error", "drop"]))
@settings(deadline=None, max_examples=80)
def test_lazily_validated_is_eagerly_validated(case, isolated):
    whole, chunks = case
    with dask.config.set(scheduler="synchronous"):
        eager, lazy = outcome(whole, isolated), outcome(lazily(whole, chunks), isolated)
        if isinstance(eager, str):
            assert lazy == eager
            return
        assert isinstance(lazy.connection.data, da.Array)
        assert lazy.connection.data.numblocks[1] == 1
        xr.testing.assert_identical(lazy.compute(), eager)


@given(case=cases(), written=st.integers(1, 9), read=st.integers(1, 400))
@settings(deadline=None, max_examples=15)
def test_lazily_written_and_read_is_eagerly_written_and_read(tmp_path_factory, case, written, read):
    whole, chunks = case
    eager = outcome(whole, "drop")
    if isinstance(eager, str):
        return
    folder = tmp_path_factory.mktemp("brain")
    row = 8 * eager.sizes["voxel"]
    with dask.config.set(scheduler="synchronous"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "SMALL", written * row)
        write_connectome(
            validate_connectome(lazily(whole, chunks), isolated="drop"), folder / "a.zarr"
        )
        write_connectome(eager, folder / "b.zarr")
        plain = read_connectome(folder / "a.zarr")
        patch.setattr(rows, "LAZY_ABOVE", 0)
        patch.setattr(rows, "CHUNK", read)
        back = read_connectome(folder / "a.zarr")
        stored = [zarr.open_group(folder / name)["connection"] for name in ("a.zarr", "b.zarr")]
        assert (
            stored[0].chunks
            == stored[1].chunks
            == (min(written, eager.sizes["voxel"]), eager.sizes["voxel"])
        )
        assert isinstance(plain.connection.data, np.ndarray)
        assert isinstance(back.connection.data, da.Array)
        for found in (plain, back.compute()):
            xr.testing.assert_identical(found.assign_attrs(sha256=eager.sha256), eager)


def test_a_large_matrix_is_never_computed_whole():
    n, limit = 60, 7
    held = []

    def row_block(block):
        held.append(block.size)
        return block

    connection = da.ones((n, n), chunks=(limit, n)).map_blocks(row_block, dtype=float)
    held.clear()
    with dask.config.set(scheduler="synchronous"):  # here, whatever cluster there is
        validate_connectome(brain(np.ones((n, n))).assign(connection=(PAIR, connection)))
    assert max(held) == limit * n
    assert sum(held) == 2 * n * n  # its digest, and its faults


def test_float32_stays_where_it_holds_every_value(tmp_path, monkeypatch):
    counts = np.random.default_rng(0).integers(1, 2**16, (6, 6))
    for dtype, kept in (("u2", "f4"), ("f4", "f4"), ("i4", "f8"), ("f8", "f8")):
        whole = lazily(brain(counts.astype(dtype)), 2)
        path = tmp_path / f"{dtype}.zarr"
        write_connectome(whole, path)
        stored = zarr.open_group(path)["connection"]
        assert stored.dtype == np.dtype(kept)
        np.testing.assert_array_equal(stored[...], counts)
        assert read_connectome(path).connection.dtype == np.float64
        with monkeypatch.context() as patch:
            patch.setattr(rows, "LAZY_ABOVE", 0)
            assert read_connectome(path).connection.dtype == np.dtype(kept)


def test_a_large_lazy_matrix_is_not_written_as_npz(tmp_path, monkeypatch):
    whole = lazily(brain(np.ones((4, 4))), 2)
    write_connectome(whole, tmp_path / "a.npz")
    np.testing.assert_array_equal(read_connectome(tmp_path / "a.npz").connection, np.ones((4, 4)))
    monkeypatch.setattr(rows, "LAZY_ABOVE", 100)
    with pytest.raises(
        InputError, match=r"connection of 4 voxels is too large for one \.npz.*\.zarr"
    ):
        write_connectome(whole, tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def test_a_store_damaged_after_it_was_opened_is_told_when_its_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LAZY_ABOVE", 0)
    path = tmp_path / "a.zarr"
    write_connectome(brain(np.ones((4, 4))), path)
    opened = read_connectome(path)
    chunk = path / "connection" / "c" / "0" / "0"
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"a\.zarr: damaged, array 'connection'"):
        opened.connection.data.compute()


def test_a_dask_array_of_unknown_length_is_refused():
    unknown = da.ones((6, 6), chunks=3)[da.arange(6, chunks=3) > 2]
    whole = xr.Dataset({"connection": (PAIR, unknown)})
    with pytest.raises(InputError, match=r"connection has shape \(nan, 6\); expected a square"):
        validate_connectome(whole)


# regions and cortex


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("region", ["a", "", "c"], r"region\[1 'voxel 1'\] is empty; each voxel needs the name"),
        ("region", ["", "", "c"], r"region\[0 'voxel 0'\] is empty and 1 more"),
        ("region", [1.5, 2, 3], "region has dtype float64; expected text"),
        ("is_cortex", [1, 0, 1], r"is_cortex has dtype int64; expected True or False \(bool\)"),
    ],
)
def test_wrong_regions_and_cortex_are_refused(name, values, message):
    with pytest.raises(InputError, match=message):
        validate_connectome(brain(np.ones((3, 3))).assign({name: ("voxel", values)}))


@pytest.mark.parametrize("suffix", ["npz", "zarr"])
def test_regions_may_be_numbers_and_come_back_as_text(tmp_path, suffix):
    whole = brain(np.ones((3, 3))).assign(region=("voxel", [7, 8, 8]))
    write_connectome(whole, tmp_path / f"a.{suffix}")
    back = read_connectome(tmp_path / f"a.{suffix}")
    assert back.region.values.tolist() == ["7", "8", "8"]
    assert back.is_cortex.values.tolist() == [False, True, True]
    assert back.region.attrs["long_name"] == BRAIN["region"].meaning
