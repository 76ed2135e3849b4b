"""A DTB network follows the trajectory that DTB's own model gives, and a deviation is measured."""

from pathlib import Path

import numpy as np
import pytest

from dtbdask.errors import InputError, InputFileError
from dtbdask.graph.dtb.blocks import COLUMNS, read_dtb
from dtbdask.sim.session import Session
from dtbdask.sim.verify import compare

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "n2k"
needs_oracle = pytest.mark.skipif(not ORACLE.exists(), reason="shared/oracle/n2k is not here")

N, EXCITATORY, STEPS, KEPT = 640, 512, 120, 20
VALUES = {"c": 1.0, "g_l": 0.03, "v_l": -75.0, "v_reset": -65.0, "e_gaba_a": -70.0,
          "e_gaba_b": -100.0, "tau_ampa": 2.0, "tau_nmda": 40.0, "tau_gaba_a": 10.0,
          "tau_gaba_b": 50.0}  # fmt: skip
RANGES = {"i_ext": (0.7, 1.1), "t_ref": (2.0, 5.0), "v_th": (-51.0, -49.0), "g_ampa": (0.01, 0.03),
          "g_nmda": (0.0002, 0.0004), "g_gaba_a": (0.02, 0.06),
          "g_gaba_b": (0.0005, 0.001)}  # fmt: skip
"""Of the values that neurons have of their own: the same ones as in the network of DTB."""


def write_blocks(folder):
    """One block of 512 excitatory and 128 inhibitory neurons that fire."""
    rng = np.random.default_rng(8)
    properties = np.zeros((N, 22))
    for name, value in VALUES.items():
        properties[:, COLUMNS[name]] = value
    for name, (low, high) in RANGES.items():
        properties[:, COLUMNS[name]] = rng.uniform(low, high, N)
    properties[:, 3] = np.arange(N) >= EXCITATORY
    target, source = np.nonzero((rng.random((N, N)) < 12 / N) & ~np.eye(N, dtype=bool))
    np.savez(
        folder / "block_0.npz", property=properties, output_neuron_idx=target,
        input_block_idx=np.zeros_like(target), input_neuron_idx=source,
        input_channel_offset=(source >= EXCITATORY) * 2,
        weight=rng.integers(0, 256, (target.size, 2), dtype=np.uint8),
    )  # fmt: skip


def trajectory(folder):
    """What our own model does with the blocks: spikes (step, neuron) and the first potentials."""
    spikes, v = np.zeros((STEPS, N), bool), np.zeros((KEPT, N))
    with Session(read_dtb(folder), dtype="float64") as session:
        for step in range(STEPS):
            spikes[step, session.advance(1, spikes=True).spike_neuron] = True
            if step < KEPT:
                v[step] = session.state("v")[0]
    return spikes, v


def reference_of(spikes, v):
    return {"spikes": np.packbits(spikes, axis=1), "V_first": v, "n": np.array(N)}


def write_reference(folder, arrays):
    np.savez(folder / "ref.npz", **arrays)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Folder with blocks, their spikes and potentials."""
    folder = tmp_path_factory.mktemp("blocks")
    write_blocks(folder)
    spikes, v = trajectory(folder)
    assert spikes[KEPT:].sum() > 100
    return folder, spikes, v


# Against DTB's own model


@needs_oracle
@pytest.mark.parametrize(("dtype", "blocks"), [("float64", 1), ("float32", 1), ("float64", 3)])
def test_our_run_follows_the_one_of_dtb(dtype, blocks):
    found = compare(ORACLE, dtype=dtype, blocks=blocks)
    assert found.first_different_step is None
    assert found.max_abs_dv_mv <= 1e-3
    assert found.rate_relative_error <= 0.02


@needs_oracle
def test_the_reference_spikes_so_following_it_means_something():
    with np.load(ORACLE / "ref.npz", allow_pickle=False) as reference:
        n = int(reference["n"])
        spikes = np.unpackbits(reference["spikes"], axis=1)[:, :n]
    assert spikes.shape == (500, 1995)
    assert spikes.sum() / n / 0.5 == pytest.approx(33.4, abs=0.1)


# What a comparison measures


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_a_trajectory_agrees_with_itself_for_any_blocks(ours, blocks):
    folder, spikes, v = ours
    write_reference(folder, reference_of(spikes, v))
    found = compare(folder, blocks=blocks)
    assert found.first_different_step is None
    assert found.max_abs_dv_mv == 0.0
    assert found.rate_relative_error == 0.0


@pytest.mark.parametrize("step", [0, 57, STEPS - 1])
@pytest.mark.parametrize("neuron", [0, N - 1])
def test_one_changed_spike_is_found_in_its_step(ours, step, neuron):
    folder, spikes, v = ours
    changed = spikes.copy()
    changed[step, neuron] ^= True
    changed[-1, 5] ^= True
    write_reference(folder, reference_of(changed, v))
    found = compare(folder)
    assert found.first_different_step == step
    assert found.max_abs_dv_mv == 0.0


def test_the_largest_difference_of_a_potential_is_told(ours):
    folder, spikes, v = ours
    moved = v.copy()
    moved[3, 7] += 0.25
    moved[KEPT - 1, N - 1] -= 0.5
    write_reference(folder, reference_of(spikes, moved))
    found = compare(folder)
    assert found.first_different_step is None
    assert found.max_abs_dv_mv == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_error_of_the_rate_is_relative_to_the_reference(ours, share):
    folder, spikes, v = ours
    step, neuron = np.nonzero(spikes)
    lost = np.arange(step.size) >= share * step.size
    fewer = spikes.copy()
    fewer[step[lost], neuron[lost]] = False
    write_reference(folder, reference_of(fewer, v))
    found = compare(folder)
    assert found.rate_relative_error == pytest.approx(step.size / fewer.sum() - 1)
    assert found.first_different_step == step[lost].min()


# Refusals


def test_a_missing_reference_is_named(tmp_path):
    write_blocks(tmp_path)
    with pytest.raises(InputFileError, match=r"ref\.npz"):
        compare(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputFileError, match="nowhere"):
        compare(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["spikes", "V_first", "n"])
def test_a_reference_that_lacks_an_array_is_refused(ours, name):
    folder, spikes, v = ours
    arrays = reference_of(spikes, v)
    del arrays[name]
    write_reference(folder, arrays)
    with pytest.raises(InputFileError, match=rf"ref\.npz.*lacks.*{name}"):
        compare(folder)


WRONG = {
    "other n": {"n": np.array(N - 1)},
    "n of several": {"n": np.array([N, N])},
    "potentials of fewer neurons": {"V_first": np.zeros((KEPT, N - 1))},
    "potentials of one neuron": {"V_first": np.zeros((KEPT, 1))},
    "potentials flat": {"V_first": np.zeros(N)},
    "potentials not finite": {"V_first": np.full((KEPT, N), np.nan)},
    "spikes too narrow": {"spikes": np.zeros((STEPS, 3), np.uint8)},
    "spikes not packed": {"spikes": np.zeros((STEPS, N), np.int64)},
    "spikes flat": {"spikes": np.zeros(N, np.uint8)},
    "no steps": {"spikes": np.zeros((0, 8), np.uint8)},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_reference_that_does_not_fit_is_refused(ours, wrong):
    folder, spikes, v = ours
    write_reference(folder, reference_of(spikes, v) | wrong)
    with pytest.raises(InputFileError, match=r"ref\.npz"):
        compare(folder)


def test_a_damaged_reference_is_refused(ours):
    folder, spikes, v = ours
    write_reference(folder, reference_of(spikes, v))
    whole = (folder / "ref.npz").read_bytes()
    (folder / "ref.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputFileError, match=r"ref\.npz"):
        compare(folder)


@pytest.mark.parametrize("wrong", [{"dtype": "float16"}, {"blocks": 0}, {"blocks": N + 1}], ids=str)
def test_a_wrong_option_is_refused(ours, wrong):
    folder, spikes, v = ours
    write_reference(folder, reference_of(spikes, v))
    with pytest.raises(InputError, match=next(iter(wrong))):
        compare(folder, **wrong)
