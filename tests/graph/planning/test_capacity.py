"""What does not fit is refused with both numbers, and what is said to fit fits."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain, make_network

from dtbdask.errors import CapacityError, InputError
from dtbdask.graph.planning import capacity
from dtbdask.graph.planning.capacity import check_build, check_session, disk_room, memory_room
from dtbdask.graph.planning.figures import amount
from dtbdask.graph.planning.plan import plan

SMALL = {"neurons": 20_000, "degree": 50}


@pytest.fixture(scope="module")
def planned():
    return plan(make_brain(8), **SMALL, blocks=4)


@pytest.fixture(scope="module")
def procedural():
    return plan(make_brain(8), **SMALL, blocks=4, synapses="procedural")


def refusal(check, *given, **named):
    with pytest.raises(CapacityError) as error:
        check(*given, **named)
    return str(error.value)


@given(share=st.floats(0.2, 0.99), blocks=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_the_advised_number_of_blocks_is_the_smallest_that_fits(procedural, share, blocks):
    need = np.ceil(procedural.footprint(blocks).need.max())
    check_session(procedural, blocks, need)
    told = refusal(check_session, procedural, blocks, int(share * need))
    assert f"needs {amount(need)}, its worker has {amount(int(share * need))}" in told
    found = re.search(r"use at least ([\d,]+) blocks", told)
    if found is None:
        assert "more blocks do not help" in told
        assert float(procedural.footprint(156).need.max()) > int(share * need)
        return
    enough = int(found[1].replace(",", ""))
    check_session(procedural, enough, int(share * need))
    if enough - 1 > blocks:
        refusal(check_session, procedural, enough - 1, int(share * need))


def test_the_block_that_needs_most_is_named(planned):
    need = planned.footprint(4).need
    told = refusal(check_session, planned, 4, float(need.max()) / 2)
    assert told.startswith(f"block {need.argmax()} needs {amount(need.max())}")


def test_memory_is_given_in_bytes_or_in_words(planned):
    check_session(planned, 4, "2 GB")
    assert "its worker has 1.0 MB" in refusal(check_session, planned, 4, "1 MB")
    for wrong in (0, -5):
        with pytest.raises(InputError, match="memory_per_worker"):
            check_session(planned, 4, wrong)
    with pytest.raises(InputError, match="blocks is 0"):
        check_session(planned, 0, "2 GB")


@pytest.mark.parametrize("wide", [False, True], ids=["procedural", "held"])
def test_a_network_is_checked_like_its_plan(wide):
    network = make_network(neurons=6000, degree=40, wide=wide)
    check_session(network, 3, "1 GB")
    one, six = (
        float(
            re.search(r"needs ([\d.]+) MB", refusal(check_session, network, 1, 1e4, members=m))[1]
        )
        for m in (1, 60)
    )
    assert six > one
    assert "more blocks do not help" in refusal(check_session, network, 1, 10)


def test_a_build_that_fits_is_let_through(planned, tmp_path):
    check_build(planned, tmp_path / "not" / "yet" / "there.zarr")


def test_a_full_disk_is_refused_and_what_fits_is_said(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "disk_room", lambda path: 1_500_000)
    told = refusal(check_build, planned, tmp_path)
    assert f"needs {amount(planned.disk.total('stored'))}, the disk has 1.5 MB free" in told
    assert f"synapses='procedural' needs {amount(planned.disk.tables)}" in told
    neurons = int(re.search(r"neurons=([\d,]+) fit at degree=50", told)[1].replace(",", ""))
    check_build(plan(make_brain(8), neurons=0.98 * neurons // 1, degree=50), tmp_path)
    check_build(plan(make_brain(8), **SMALL, synapses="procedural"), tmp_path)
    monkeypatch.setattr(capacity, "disk_room", lambda path: 1000)
    assert "choose another disk" in refusal(check_build, planned, tmp_path)


def test_a_build_beyond_memory_is_refused_and_a_chunk_that_fits_is_said(tmp_path, monkeypatch):
    large = plan(voxels=90, neurons=1e6, degree=100)
    room = 0.6 * large.build.growth
    monkeypatch.setattr(capacity, "memory_room", lambda: room)
    monkeypatch.setattr(capacity, "disk_room", lambda path: 1e12)
    told = refusal(check_build, large, tmp_path)
    assert f"needs {amount(large.build.growth)} of memory, there are {amount(room)}" in told
    chunk = int(re.search(r"chunk=([\d,]+) fits", told)[1].replace(",", ""))
    check_build(plan(voxels=90, neurons=1e6, degree=100, chunk=chunk), tmp_path)
    monkeypatch.setattr(capacity, "memory_room", lambda: 1000)
    assert "free some memory" in refusal(check_build, large, tmp_path)


def test_more_neurons_than_can_be_numbered_are_refused(tmp_path):
    told = refusal(check_build, plan(voxels=90, neurons=1e12), tmp_path)
    assert "numbers at most 4,294,967,295" in told


def test_the_room_is_that_of_the_control_group_where_it_is_less(tmp_path, monkeypatch):
    used, limit = tmp_path / "used", tmp_path / "limit"
    monkeypatch.setattr(capacity, "CGROUPS", ((str(used), str(limit)),))
    free = memory_room()
    assert free > 10**6
    used.write_text("1000\n")
    limit.write_text("max\n")
    assert memory_room() > 10**6
    limit.write_text("501000\n")
    assert memory_room() == 500_000
    limit.write_text("500\n")
    assert memory_room() == 0


def test_the_room_on_disk_is_that_of_the_nearest_folder(tmp_path):
    assert disk_room(tmp_path / "a" / "b.zarr") == pytest.approx(disk_room(tmp_path), rel=0.05)
