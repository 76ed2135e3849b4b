"""Records sorted through buckets on disk are the records sorted in memory."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.graph.sonata.spill import Spill, stretches

keys = st.lists(st.integers(0, 9), max_size=60)


@given(st.lists(st.integers(0, 7), max_size=30), st.integers(1, 10))
def test_stretches_cover_all_keys_and_none_is_too_large(count, limit):
    edges = stretches(np.array(count, np.int64), limit).tolist()
    assert edges[0] == 0
    assert edges[-1] == len(count)
    for start, stop in pairwise(edges):
        assert start < stop
        assert sum(count[start:stop]) <= limit or stop == start + 1
        if stop < len(count):  # and it could not have been longer
            assert sum(count[start : stop + 1]) > limit


@given(keys, st.integers(1, 20), st.integers(1, 20))
def test_the_buckets_are_a_stable_sort(key, limit, at_once):
    count = np.bincount(np.array(key, np.int64), minlength=10)
    records = np.column_stack([np.array(key, np.int64), np.arange(len(key))])
    with tempfile.TemporaryDirectory() as folder:
        spill = Spill(Path(folder), stretches(count, limit), 2, np.dtype(np.uint32))
        for start in range(0, len(key), at_once):
            spill.put(records[start : start + at_once])
        found = list(spill.buckets())
        assert list(Path(folder).iterdir()) == []
    assert all(len(some) <= max(limit, *count) for some in found)
    assert all(some.dtype == np.uint32 for some in found)
    meant = records[np.argsort(records[:, 0], kind="stable")]
    np.testing.assert_array_equal(np.concatenate([np.empty((0, 2), np.uint32), *found]), meant)
