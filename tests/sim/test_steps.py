"""Steps of spikes from how many each step has."""

import dask.array as da
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.sim.steps import SpikeSteps


@settings(deadline=None)
@given(
    n_spikes=st.lists(st.integers(0, 4), max_size=20),
    first=st.integers(0, 1000),
    within=st.slices(70),
    chunk=st.integers(1, 30),
)
def test_any_stretch_is_that_of_the_whole(n_spikes, first, within, chunk):
    whole = np.repeat(first + np.arange(len(n_spikes)), n_spikes)
    steps = SpikeSteps(np.array(n_spikes, np.int64), first)
    assert len(steps) == whole.size
    np.testing.assert_array_equal(steps[within], whole[within])
    np.testing.assert_array_equal(steps[(within,)], whole[within])
    lazy = da.from_array(steps, chunks=chunk)
    if (within.step or 1) > 0:  # Dask has another idea of slices that go down from beyond the start
        np.testing.assert_array_equal(lazy[within].compute(scheduler="synchronous"), whole[within])
    assert lazy.compute(scheduler="synchronous").dtype == np.int64
    if whole.size:
        index = np.array([0, -1, whole.size // 2])
        np.testing.assert_array_equal(steps[index], whole[index])
        np.testing.assert_array_equal(lazy[index].compute(scheduler="synchronous"), whole[index])
        assert steps[-1] == lazy[-1].compute(scheduler="synchronous") == whole[-1]
