"""A store is whole and what was written, or opening or reading it is an error that says why."""

import json
import random
import re
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask import schema
from dtbdask.brain.contract import BRAIN
from dtbdask.errors import StoreError, StoreExistsError
from dtbdask.schema import (
    FORMAT,
    NETWORK,
    POSTERIOR,
    RECORDING,
    Array,
    commit,
    create,
    create_store,
    open_store,
    read_root,
    write,
)

CONNECTION = BRAIN["connection"]
GREY_MATTER = NETWORK["voxel/grey_matter"]
KINDS = {"network": NETWORK, "recording": RECORDING, "posterior": POSTERIOR,
         "checkpoint": schema.CHECKPOINT}  # fmt: skip


def small_network(path, **options):
    """Store two arrays, one of them in four chunks and half zeros; not committed."""
    group = create_store(path, "network", {"seed": 7}, **options)
    create(group, CONNECTION, (8, 8), (4, 4))[...] = np.kron([[0, 1], [2, 0]], np.ones((4, 4)))
    write(group, GREY_MATTER, np.arange(8.0))
    return group


@pytest.fixture
def network(tmp_path):
    commit(small_network(tmp_path / "brain.zarr"))
    return tmp_path / "brain.zarr"


def contents(path):
    """Map every file below a path to its bytes."""
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def chunk_files(path, name="connection"):
    return sorted(p for p in (path / name / "c").rglob("*") if p.is_file())


def edit_root(path, **changes):
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["dtbdask"] |= changes
    (path / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize("kind", KINDS)
def test_specifications_are_complete_and_consistent(kind):
    for name, spec in KINDS[kind].items():
        assert spec.name == name
        assert len(set(spec.dims)) == len(spec.dims) > 0
        assert np.dtype(spec.dtype).name == spec.dtype
        assert spec.unit
        assert spec.meaning


@settings(deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from(["bool", "uint8", "int32", "int64", "float64"]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7),
        elements=st.just(0) | st.integers(0, 1),
    ),
    chunk=st.integers(1, 9),
)
def test_what_is_written_is_what_is_read(tmp_path_factory, values, chunk):
    path = tmp_path_factory.mktemp("store") / "r.zarr"
    spec = Array("a/b", tuple("xyz"[: values.ndim]), values.dtype.name, "mV", "anything")
    group = create_store(path, "recording", {})
    write(group, spec, values, chunk)
    commit(group)
    array = open_store(path, "recording")["a/b"]
    assert array.dtype == values.dtype
    assert array.metadata.dimension_names == spec.dims
    assert dict(array.attrs) == {"units": "mV", "long_name": "anything"}
    np.testing.assert_array_equal(array[...], values)


def test_the_root_says_what_the_store_is_and_what_made_it(network):
    root = read_root(network)
    assert (root["kind"], root["format"], root["status"]) == ("network", FORMAT, "complete")
    assert root["seed"] == 7
    assert {"dtbdask", "numpy", "zarr"} <= set(root["versions"])
    assert root["python"]
    assert root["made"]


def test_a_store_opened_is_read_only(network):
    with pytest.raises(ValueError, match="read-only"):
        open_store(network, "network")["voxel/grey_matter"][0] = 1.0


def test_zeros_are_written_so_that_absence_is_damage(network):
    assert len(chunk_files(network)) == 4


def test_an_uncommitted_store_is_refused_and_says_what_is_missing(tmp_path):
    path = tmp_path / "brain.zarr"
    group = create_store(path, "network", {})
    array = create(group, CONNECTION, (8, 8), (4, 4))
    array[:4, :] = 1.0
    lack = re.escape("array 'connection' has 2 of its 4 chunks")
    with pytest.raises(StoreError, match=f"never completed .{lack}.*again to resume"):
        open_store(path, "network")
    with pytest.raises(StoreError, match=f"cannot be completed, {lack}"):
        commit(group)
    assert read_root(path)["status"] == "writing"
    assert open_store(path, "network", status="any")["connection"][0, 0] == 1.0
    array[4:, :] = 1.0
    with pytest.raises(StoreError, match="commit mark is absent"):
        open_store(path, "network")
    commit(group)
    open_store(path, "network")


@pytest.mark.parametrize("chunk", range(4))
def test_a_chunk_lost_after_the_commit_is_damage(network, chunk):
    chunk_files(network)[chunk].unlink()
    with pytest.raises(StoreError, match=r"damaged, array 'connection' has 3 of its 4 chunks"):
        open_store(network, "network")


def test_every_array_with_a_loss_is_counted(network):
    chunk_files(network)[0].unlink()
    chunk_files(network, "voxel/grey_matter")[0].unlink()
    with pytest.raises(StoreError, match="and 1 more array"):
        open_store(network, "network")


def test_every_single_flipped_bit_is_an_error_when_read(tmp_path):
    draw = random.Random(20)
    path = tmp_path / "brain.zarr"
    group = create_store(path, "network", {})
    values = np.array([draw.random() for _ in range(4000)]).reshape(2000, 2)
    values[500:1000] = 0.0
    write(group, NETWORK["voxel/xyz"], values, chunk=500)
    commit(group)
    array = open_store(path, "network")["voxel/xyz"]
    files = chunk_files(path, "voxel/xyz")
    assert len(files) == 4
    for trial in range(120):
        file = files[trial % 4]
        whole = file.read_bytes()
        bit = draw.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="checksum"):
            array[...]
        file.write_bytes(whole)
    np.testing.assert_array_equal(array[...], values)


@pytest.mark.parametrize("length", [0, 1, 3, 20])
def test_a_truncated_chunk_is_an_error_when_read(network, length):
    file = chunk_files(network)[1]
    file.write_bytes(file.read_bytes()[:length])
    array = open_store(network, "network")["connection"]
    with pytest.raises((ValueError, RuntimeError)):
        array[...]


def foreign_folder(path):
    (path / "thesis").mkdir(parents=True)
    (path / "thesis" / "chapter1.tex").write_bytes(b"years of work")
    (path / "zarr.json.bak").write_bytes(b"\x00\xff")


def foreign_zarr(path):
    zarr.create_group(path, attributes={"owner": "somebody"})["x"] = np.ones(3)


def foreign_file(path):
    path.write_bytes(b"a file")


def newer_store(path):
    commit(small_network(path))
    edit_root(path, format=FORMAT + 1)


def other_kind(path):
    commit(create_store(path, "recording", {}))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "make", [foreign_folder, foreign_zarr, foreign_file, newer_store, other_kind]
)
def test_what_is_not_the_same_kind_of_store_is_never_touched(tmp_path, make, overwrite):
    path = tmp_path / "here"
    make(path)
    before = contents(tmp_path)
    assert before
    with pytest.raises(
        StoreExistsError, match=r"here exists already.*left untouched.*another path"
    ):
        create_store(path, "network", {}, overwrite=overwrite)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("committed", [False, True])
def test_the_same_kind_is_replaced_only_when_asked(tmp_path, committed):
    path = tmp_path / "brain.zarr"
    group = small_network(path)
    if committed:
        commit(group)
    before = contents(path)
    with pytest.raises(StoreExistsError, match="left untouched; pass overwrite"):
        create_store(path, "network", {})
    assert contents(path) == before
    group = create_store(path, "network", {"seed": 8}, overwrite=True)
    assert list(group.members()) == []
    assert read_root(path)["seed"] == 8


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("moment", range(4))
def test_whenever_a_replacement_is_cut_short_there_is_a_whole_store_or_none(
    network, monkeypatch, moment
):
    """Before the new one has begun, as the two change places, and while the old one is removed."""
    before, left = contents(network), [None] * moment

    def dying(function):
        def call(*arguments, **options):
            if not left:
                raise Killed
            left.pop()
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(schema, "_begin", dying(schema._begin))
        patched.setattr(Path, "rename", dying(Path.rename))
        patched.setattr(schema.glob, "escape", dying(schema.glob.escape))
        with pytest.raises(Killed):
            create_store(network, "network", {"seed": 8}, overwrite=True)
    kept = [path for path in network.parent.iterdir() if contents(path) == before]
    assert len(kept) == 1, "the old store is not touched"
    assert kept[0] == network if moment < 2 else kept[0] != network
    assert not network.exists() or read_root(network)["seed"] == (7 if moment < 2 else 8)
    commit(small_network(network, overwrite=True))
    commit(small_network(network, overwrite=True))
    assert list(network.parent.iterdir()) == [network]


def test_what_cannot_be_replaced_is_left_as_it_was(network, monkeypatch):
    before = contents(network.parent)

    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(schema, "_begin", full)
    with pytest.raises(StoreError, match=r"cannot write a network store at .*no space left"):
        create_store(network, "network", {}, overwrite=True)
    assert contents(network.parent) == before


def test_a_store_behind_a_link_is_replaced_where_it_is(network, tmp_path):
    (tmp_path / "link").symlink_to(network)
    commit(create_store(tmp_path / "link", "network", {"seed": 8}, overwrite=True))
    assert read_root(network)["seed"] == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brain.zarr", "link"]


def test_an_empty_folder_may_become_a_store(tmp_path):
    commit(create_store(tmp_path, "network", {}))
    open_store(tmp_path, "network")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"a file")
    with pytest.raises(StoreError, match=r"cannot write a network store at .*file/brain.zarr"):
        create_store(tmp_path / "file" / "brain.zarr", "network", {})
    assert contents(tmp_path) == {Path("file"): b"a file"}


def test_a_newer_format_is_refused_by_name(network):
    edit_root(network, format=FORMAT + 1)
    told = f"written in format {FORMAT + 1}, this version reads up to {FORMAT}; upgrade with: pip"
    with pytest.raises(StoreError, match=told):
        open_store(network, "network")


def test_another_kind_is_refused_by_name(network):
    with pytest.raises(StoreError, match="a dtbdask network store, expected a posterior store"):
        open_store(network, "posterior")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no such store"),
        (foreign_folder, "not a Zarr v3 group"),
        (foreign_file, "not a Zarr v3 group"),
        (lambda path: zarr.create_array(path, data=np.ones(3)), "not a Zarr v3 group"),
        (lambda path: zarr.create_group(path, zarr_format=2), "not a Zarr v3 group"),
        (foreign_zarr, "not a dtbdask store"),
    ],
)
def test_what_is_not_a_store_of_ours_is_named(tmp_path, make, told):
    path = tmp_path / "here"
    make(path)
    with pytest.raises(StoreError, match=rf"here: .*{told}"):
        open_store(path, "network")


@pytest.mark.parametrize("cut", range(0, 100, 7))
def test_truncated_metadata_is_a_store_error(network, cut):
    file = network / "zarr.json"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(StoreError):
        open_store(network, "network")


@pytest.mark.parametrize("root", [3, [], {}, {"kind": "network"}])
def test_a_root_attribute_of_another_shape_is_foreign(tmp_path, root):
    zarr.create_group(tmp_path / "g", attributes={schema.ROOT: root})
    with pytest.raises(StoreError, match="not a dtbdask store"):
        read_root(tmp_path / "g")


@pytest.mark.parametrize("change", [{"format": "2"}, {"format": None}, {"status": None}])
def test_a_root_attribute_that_was_tampered_with_is_a_store_error(network, change):
    edit_root(network, **change)
    with pytest.raises(StoreError):
        open_store(network, "network")


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    chunks=st.tuples(*2 * [st.integers(1, 20)]),
)
def test_a_chunk_is_never_larger_than_its_dimension_unless_that_will_grow(shape, chunks):
    group = zarr.group(zarr.storage.MemoryStore())
    array = create(group, CONNECTION, shape, chunks)
    assert array.shape == shape
    for chosen, asked, size in zip(array.chunks, chunks, shape, strict=True):
        assert 1 <= chosen <= asked
        assert chosen == asked if size == 0 else chosen <= size


def test_an_array_that_grew_is_checked_at_its_last_size(tmp_path):
    spec = RECORDING["spike_count"]
    group = create_store(tmp_path / "r.zarr", "recording", {})
    array = create(group, spec, (0, 3), (2, 3))
    array.resize((6, 3))
    array[:4] = np.arange(12).reshape(4, 3)
    with pytest.raises(StoreError, match="'spike_count' has 2 of its 3 chunks"):
        commit(group)
    array[4:] = 0
    commit(group)
    read = open_store(tmp_path / "r.zarr", "recording")["spike_count"]
    np.testing.assert_array_equal(read[:, 0], [0, 3, 6, 9, 0, 0])
