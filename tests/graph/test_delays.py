"""The delay between two voxels is that of the entry by which the one hears the other."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import delayed, drawn_brains, drawn_layouts, make_network

from dtbdask.errors import InputError
from dtbdask.graph.delays import longest_delay, tracts
from dtbdask.graph.population import populate


@given(brain=drawn_brains(), layout=drawn_layouts(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_tracts_are_those_of_the_brain(brain, layout, data):
    try:
        populations = populate(brain, 600, 2, layout, min_size=20, speed=5.0, dt_ms=2.0)
    except InputError:
        return
    n = brain.sizes["voxel"]
    steps = np.maximum(np.rint(brain["tract_length"].values / 5.0 / 2.0), 1)
    far = brain["connection"].values * (1 - np.eye(n))
    some = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1)))), np.int64)
    long_range = np.zeros(n, bool)
    term = populations.mixture.table >= 0
    long_range[populations.voxel[populations.mixture.population[term]]] = True
    meant = [
        (v, u, steps[v, u])
        for v in some for u in range(n) if long_range[v] and far[v, u] and steps[v, u] > 1
    ]  # fmt: skip
    found = tracts(populations, some)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == meant
    assert found.delay.dtype == np.uint16
    assert longest_delay(populations) >= found.delay.max(initial=1)


def test_a_network_without_delays_has_no_tracts():
    populations = make_network().populations
    assert longest_delay(populations) == 1
    assert tracts(populations, np.arange(3)).target.size == 0


def changed(populations, **fields):
    mixture = dataclasses.replace(populations.mixture, **fields)
    return dataclasses.replace(populations, mixture=mixture)


def test_a_table_that_leads_back_to_its_voxel_adds_no_delay():
    populations = delayed(make_network(), [2, 3, 4, 5, 6, 7]).populations
    home = populations.mixture.far_population.copy()
    home[0] = 0  # voxel 0 hears itself in the first entry of its table
    found = tracts(changed(populations, far_population=home), np.arange(3))
    assert list(zip(found.target, found.source, found.delay, strict=True)) == [
        (0, 2, 3), (1, 0, 4), (1, 2, 5), (2, 0, 6), (2, 1, 7)
    ]  # fmt: skip


@pytest.mark.parametrize("delay", [3, 1])
def test_one_pair_of_voxels_has_one_delay(delay):
    populations = delayed(make_network(), [2, delay, 4, 5, 6, 7]).populations
    twice = populations.mixture.far_population.copy()
    twice[1] = twice[0]  # voxel 0 hears voxel 1 in both entries of its table
    twice = changed(populations, far_population=twice)
    with pytest.raises(InputError, match=f"voxel 0 hears voxel 1 after 2 steps and after {delay};"):
        tracts(twice, np.arange(3))
    tracts(twice, np.array([1, 2]))
    alike = changed(twice, far_delay=np.array([2, 2, 4, 5, 6, 7], np.uint16))
    assert tracts(alike, np.arange(1)).source.tolist() == [1]


def test_no_step_is_no_delay():
    with pytest.raises(InputError, match="far_delay has a delay of 0 steps"):
        longest_delay(delayed(make_network(), [2, 0, 4, 5, 6, 7]).populations)
