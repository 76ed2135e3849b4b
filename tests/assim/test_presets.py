"""Presets are settings that a fit takes, at every level; two stages hand on what they found."""

import numpy as np
import pytest
import xarray as xr

from dtbdask.assim.cycle import assimilate
from dtbdask.assim.hyper import Fixed, Hyper
from dtbdask.assim.observe import scale_bold
from dtbdask.assim.presets import (
    DTB_CURRENT,
    DTB_REST,
    dtb_observe,
    dtb_rest,
    dtb_task,
    following,
    two_stages,
)
from dtbdask.assim.resimulate import resimulate
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.errors import InputError
from dtbdask.graph.build import build
from dtbdask.sim.stimuli import DBS

SMALL = {"members": 3, "warm_up_frames": 1, "free": False}


def short(brain, key="bold_rest", frames=6):
    return brain[key].isel(frame=slice(frames)).assign_attrs(tr_s=0.02)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """A network of each level."""
    folder, made = tmp_path_factory.mktemp("layouts"), {}
    brain = synthetic_connectome(4, frames=12, seed=1)
    brain["is_cortex"] = ("voxel", np.array([True, True, False, False]))
    for layout in ("voxel", "column", "mixed"):
        made[layout] = build(brain, folder / layout, neurons=4000, degree=20, seed=7, layout=layout)
    return brain, made


@pytest.mark.parametrize(
    ("layout", "rest", "task"),
    [("voxel", ["E", "I"], ["E"]),
     ("column", ["L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I"],
      ["L23E", "L4E", "L5E", "L6E"]), ("mixed", None, None)],
)  # fmt: skip
def test_the_stages_of_dtb_fit_at_every_level(layouts, tmp_path, layout, rest, task):
    brain, made = layouts
    network = made[layout]
    first, second = two_stages(
        network, short(brain), short(brain), [0, 1], to=tmp_path, changes=SMALL
    )
    names = [name.split(" ")[1] for name in first["parameter"].values]
    inputs = [name.split(" ")[1] for name in second["parameter"].values]
    living = {network.slots[k] for k in network.populations.slot[network.populations.size > 0]}
    assert set(names) == living
    assert all(name.endswith("E") for name in inputs)
    if rest is not None:
        assert len(set(names)) == len(rest)
        assert len(inputs) == len(task)
    assert second.attrs["voxels"] == second.attrs["observed"] == [0, 1]
    assert second.attrs["fixed"]["parameters"] == list(first["parameter"].values)
    kept = first["parameter_value"].isel(frame=slice(3, None)).mean(("frame", "member"))
    np.testing.assert_allclose(second.attrs["fixed"]["h"], kept)
    low, high = DTB_CURRENT
    assert low < second["parameter_value"].min()
    assert second["parameter_value"].max() < high


def test_the_settings_are_those_of_dtb(network):
    rest, task = dtb_rest(network), dtb_task(network, [2])
    assert (rest["rho"], task["rho"]) == (0.8, 0.5)
    assert rest["parameters"] == ["g_ampa E", "g_ampa I", "g_gaba_a E", "g_gaba_a I"]
    assert task["parameters"] == ["i_ext E"]
    assert task["bounds"] == {"i_ext E": (0.01, 0.3)}


def test_the_prior_of_dtb_is_the_middle_third(network, brain, tmp_path):
    fit = assimilate(
        network, dtb_observe(short(brain), DTB_REST), to=tmp_path / "fit",
        **{**dtb_rest(network), **SMALL},
    )  # fmt: skip
    for name, (low, high) in fit.attrs["bounds"].items():
        prior = fit["parameter_prior"].sel(parameter=name)
        expected = low + (high - low) * np.array([1 / 3, 1 / 2, 2 / 3])
        np.testing.assert_allclose(np.sort(prior, axis=0), np.repeat(expected[:, None], 8, axis=1))


def test_the_scaling_of_dtb_is_there_when_asked_for(brain):
    seen = dtb_observe(short(brain), DTB_REST)
    np.testing.assert_array_equal(seen.y, scale_bold(short(brain).values, 0.02, 0.05))
    assert (seen.error == 1e-8).all()
    with pytest.raises(InputError, match="tr_s"):
        dtb_observe(short(brain).drop_attrs(), DTB_REST)


# What a fitted brain does by itself


@pytest.fixture(scope="module")
def fitted(network, brain, tmp_path_factory):
    return assimilate(
        network, short(brain, frames=8), to=tmp_path_factory.mktemp("fit") / "fit",
        **{**following(brain["connection"].values), **SMALL},
    )  # fmt: skip


def test_a_free_run_has_the_frames_of_the_fit_and_is_repeatable(network, fitted):
    one, again, other = (resimulate(network, fitted, seed=seed) for seed in (1, 1, 2))
    assert one.sizes == {"frame": 8, "voxel": 8}
    xr.testing.assert_identical(one, again)
    assert (one["bold"] != other["bold"]).any()
    assert set(one.attrs["scores"]) == {"r", "rmse", "fc_similarity"}
    np.testing.assert_array_equal(one["bold_observed"], fitted["bold_observed"])


def test_the_courses_differ_and_the_constant_one_is_constant(network, fitted, monkeypatch):
    given, put = {}, Hyper.put

    def noted(self, session, h):
        given.setdefault(course, []).append(h)
        put(self, session, h)

    monkeypatch.setattr(Hyper, "put", noted)
    for course in ("smoothed", "filtered", "constant"):
        resimulate(network, fitted, course=course, burn_in_frames=1)
    np.testing.assert_array_equal(
        given["smoothed"][1:], fitted["parameter_smoothed"].mean("member")
    )
    np.testing.assert_array_equal(given["filtered"][1:], fitted["parameter_value"].mean("member"))
    assert (np.diff(given["constant"], axis=0) == 0).all()
    with pytest.raises(InputError, match="course is 'none'"):
        resimulate(network, fitted, course="none")


def test_experiments_on_a_fitted_brain(network, fitted):
    label = network.labels[0]
    free = resimulate(network, fitted)
    cut = resimulate(network.lesioned(source=label), fitted)
    pulses = DBS(population=label, amplitude=2.0, frequency_hz=130, pulse_width_ms=2,
                 duration_ms=160)  # fmt: skip
    driven = resimulate(network, fitted, stimuli=[pulses])
    np.testing.assert_array_equal(cut["bold_observed"], free["bold_observed"])
    assert (cut["rate"] != free["rate"]).any()
    assert driven["rate"][:, 0].mean() > 1.1 * free["rate"][:, 0].mean()


def test_another_brain_is_refused(layouts, fitted):
    with pytest.raises(InputError, match="voxels that are not those"):
        resimulate(layouts[1]["voxel"], fitted)


def test_the_mean_of_a_posterior_is_over_its_later_frames(fitted):
    fixed = Fixed.mean_of(fitted, first_frame=2)
    np.testing.assert_allclose(fixed.h, fitted["parameter_value"][2:].mean(("frame", "member")))
    assert fixed.names == ("ou_mean",)
    assert fixed.gamma_shape is None
