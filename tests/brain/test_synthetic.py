"""The generator is a function of its parameters and has the statistics it promises."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.brain.connectome import functional_connectivity, validate_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.errors import InputError

SEEDS = range(4)


@pytest.fixture(scope="module", params=SEEDS)
def brain(request):
    return synthetic_connectome(90, 450, request.param)


def pairs(matrix):
    """Entries above the diagonal."""
    return np.asarray(matrix)[np.triu_indices(len(matrix), 1)]


@given(voxels=st.integers(1, 40), frames=st.integers(1, 20), seed=st.integers(0, 2**128 - 1))
@settings(deadline=None, max_examples=40)
def test_any_size_is_valid_and_the_same_again(voxels, frames, seed):
    brain = synthetic_connectome(voxels, frames, seed)
    xr.testing.assert_identical(validate_connectome(brain), brain)
    xr.testing.assert_identical(synthetic_connectome(voxels, frames, seed), brain)
    assert brain.bold_rest.shape == (frames, voxels)


def test_seeds_differ_and_frames_change_bold_alone():
    one, other = synthetic_connectome(20, 30, 1), synthetic_connectome(20, 30, 2)
    longer = synthetic_connectome(20, 40, 1)
    for name in one.data_vars:
        assert not np.array_equal(one[name], other[name]), name
        assert (name == "bold_rest") != (np.array_equal(one[name], longer[name])), name
    assert len({one.sha256, other.sha256, longer.sha256}) == 3


def test_it_says_that_it_is_synthetic():
    brain = synthetic_connectome(4, 5, 7)
    assert brain.source == "synthetic, 4 voxels, seed 7"
    assert brain.label.values.tolist() == ["1_L", "1_R", "2_L", "2_R"]
    assert "synthetic" in brain.bold_rest.attrs["long_name"]
    assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (0.8, True)


def test_counts_are_whole_symmetric_and_heavy_tailed(brain):
    counts = brain.connection.values
    np.testing.assert_array_equal(counts, np.floor(counts))
    np.testing.assert_array_equal(counts, counts.T)
    found = counts[counts > 0]
    assert 0.8 < found.size / (90 * 89) < 0.9
    assert 20 < np.median(found) < 45
    assert found.mean() > 8 * np.median(found)
    assert 1_000 < np.percentile(found, 95) < 3_000
    assert 20_000 < found.max() <= 40_000
    assert 2.0 < np.log(found).std() < 2.6


def test_counts_decay_with_distance(brain):
    length = np.linalg.norm(brain.xyz.values[:, None] - brain.xyz.values[None], axis=-1)
    logs = np.log1p(pairs(brain.connection))
    assert -0.75 < np.corrcoef(logs, pairs(length))[0, 1] < -0.5
    rings = np.digitize(pairs(length), [40, 80, 120])
    means = [logs[rings == ring].mean() for ring in range(4)]
    assert means == sorted(means, reverse=True)
    same_side = np.add.outer(np.arange(90), np.arange(90)) % 2 == 0
    near = pairs(same_side) & (pairs(brain.connection) > 0)
    slope = np.polyfit(pairs(length)[near], np.log(pairs(brain.connection)[near]), 1)[0]
    assert -1 / 15 < slope < -1 / 45  # the decay is 28 mm; modules and the lost zeros bend it


def test_homologues_are_strongly_joined_mirror_images(brain):
    left = np.arange(0, 90, 2)
    counts, xyz = brain.connection.values, brain.xyz.values
    assert np.median(counts[left, left + 1]) > 8 * np.median(pairs(counts))
    others_across = counts[left][:, left + 1][~np.eye(45, dtype=bool)]
    assert np.median(counts[left, left + 1]) > 50 * np.median(others_across)
    assert np.abs(xyz[left] * [-1, 1, 1] - xyz[left + 1]).max() < 10
    assert (xyz[left, 0] < 4).all()


def test_lengths_are_a_little_longer_than_straight(brain):
    straight = np.linalg.norm(brain.xyz.values[:, None] - brain.xyz.values[None], axis=-1)
    detour = pairs(brain.tract_length) / pairs(straight)
    assert detour.min() >= 1.05 - 1e-12
    assert 1.2 < detour.mean() < 1.3
    assert np.diag(brain.tract_length).max() == 0


def test_bold_is_smooth_and_correlated_along_the_connectome(brain):
    bold = brain.bold_rest.values
    lagged = [(bold[:-lag] * bold[lag:]).mean() / (bold**2).mean() for lag in (1, 5, 10)]
    assert 0.94 < lagged[0] < 0.975
    assert 0.2 < lagged[1] < 0.5
    assert lagged[2] < 0.05
    together = pairs(functional_connectivity(bold))
    assert 0.55 < together.mean() < 0.85
    assert 0.3 < np.corrcoef(np.log1p(pairs(brain.connection)), together)[0, 1] < 0.65


@pytest.mark.parametrize(
    "wrong",
    [
        {"voxels": 0},
        {"frames": 0},
        {"seed": -1},
        {"seed": 2**128},
        {"voxels": 10**9},
        {"seed": 1.5},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(InputError, match=f"{name} is {value}; expected an integer from"):
        synthetic_connectome(**wrong)
