"""An assimilation leads an ensemble to the data, keeps all it did, and refuses nonsense first."""

import json

import dask
import numpy as np
import pytest
import xarray as xr

from dtbdask import schema
from dtbdask.assim.cycle import assimilate, default_bounds
from dtbdask.assim.ensemble import Ensemble, spread_between
from dtbdask.assim.observe import Observation, observe
from dtbdask.assim.opening import open_posterior
from dtbdask.assim.scores import forecast_scores, parameter_error
from dtbdask.assim.twin import hidden_truth, observe_twin
from dtbdask.assim.walk import Walk
from dtbdask.errors import InputError, StoreError, StoreExistsError

BOUNDS = {"g_ampa": (0.0005, 0.004)}
FAST = {"members": 6, "warm_up_frames": 2, "seed": 11}
TRUTH = hidden_truth(BOUNDS, 8, seed=3)
EVERYTHING = {"method": "letkf", "taper": np.eye(8), "lag": 2, "ahead": 2,
              "walk": Walk(0.25, correlation=np.eye(8))}  # fmt: skip


@pytest.fixture(scope="module")
def seen(network):
    """Frames long enough for the blood to follow."""
    return observe_twin(network, TRUTH, parameters=("g_ampa",), frames=8, tr_s=0.8, seed=2)


@pytest.fixture(scope="module")
def quick():
    """Frames of 20 steps with noise for data: enough wherever only the way of working matters."""
    rng = np.random.default_rng(5)
    return Observation(0.02 + 0.002 * rng.normal(size=(6, 8)), np.full(8, 1e-5), 0.02)


@pytest.fixture(scope="module")
def fits(network, seen, tmp_path_factory):
    """Posteriors of all filters."""
    folder = tmp_path_factory.mktemp("fits")
    return {
        method: assimilate(
            network, seen, to=folder / method, method=method, truth=TRUTH, **FAST
        ).load()
        for method in ("dhmda", "etkf", "denkf", "enkf")
    }


def identical(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# What a posterior is


def test_the_posterior_is_complete_labelled_and_lazy(network, quick, tmp_path):
    kept = []

    def scheduler(graph, keys, **kwargs):
        kept.append(keys)
        return dask.get(graph, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        fit = assimilate(network, quick, to=tmp_path / "fit", truth=TRUTH, **FAST, **EVERYTHING)
    assert kept == []
    assert set(fit.data_vars) == set(schema.POSTERIOR)
    for name, spec in schema.POSTERIOR.items():
        assert fit[name].dims == spec.dims
        assert fit[name].dtype == spec.dtype
        assert fit[name].attrs == {"units": spec.unit, "long_name": spec.meaning}
        assert dask.is_dask_collection(fit[name].data)
        assert np.isfinite(fit[name]).all()
    sizes = {"frame": 6, "member": 6, "parameter": 1, "voxel": 8, "other": 8}
    assert dict(fit.sizes) == sizes
    assert fit["parameter"].values.tolist() == ["g_ampa"]
    assert tuple(fit["voxel_label"].values) == network.labels
    np.testing.assert_allclose(fit["time_s"], 0.02 * np.arange(1, 7))
    np.testing.assert_array_equal(fit["bold_observed"], quick.y)
    np.testing.assert_array_equal(fit["parameter_truth"], TRUTH)
    assert schema.read_root(tmp_path / "fit")["status"] == "complete"
    xr.testing.assert_identical(open_posterior(tmp_path / "fit").load(), fit.load())


def test_what_was_not_asked_for_is_not_there(network, quick, tmp_path):
    fit = assimilate(network, quick, to=tmp_path / "fit", free=False, **FAST)
    absent = {"bold_free", "bold_ahead", "parameter_truth", "parameter_smoothed",
              "walk_correlation", "taper"}  # fmt: skip
    assert set(schema.POSTERIOR) - set(fit.data_vars) == absent
    assert set(fit.attrs["scores"]) == {"forecast"}


def test_the_settings_are_kept_with_the_result(network, quick, tmp_path):
    settings = {"bounds": {"g_ampa": (0.0007, 0.003)}, "method": "etkf", "rho": 0.7, "walk": 0.5,
                "gamma_shape": 4.0, **FAST}  # fmt: skip
    fit = assimilate(network, quick, to=tmp_path / "fit", **settings)
    kept = json.loads(json.dumps(fit.attrs))
    for name, value in settings.items():
        assert kept[name] == json.loads(json.dumps(value)), name
    assert kept["recipe_sha256"] == network.attributes["recipe_sha256"]
    assert len(kept["recipe_sha256"]) == 64
    assert kept["network"] == network.path
    assert kept["tr_s"] == quick.tr_s
    assert kept["error_variance"] == quick.error.tolist()
    assert {"made", "versions", "python"} <= set(kept)


def test_hyper_parameters_stay_between_their_bounds(fits):
    for fit in fits.values():
        for name in ("parameter_prior", "parameter_value"):
            assert (fit[name] > BOUNDS["g_ampa"][0]).all()
            assert (fit[name] < BOUNDS["g_ampa"][1]).all()


def test_parameters_named_together_keep_their_order(network, quick, tmp_path):
    names = ("g_gaba_a", "g_ampa")
    options = {"parameters": names, "gamma_shape": None, **FAST}
    fit = assimilate(network, quick, to=tmp_path / "fit", **options).load()
    assert fit["parameter"].values.tolist() == list(names)
    for name, (low, high) in default_bounds(network, names).items():
        values = fit["parameter_value"].sel(parameter=name)
        assert low < values.min()
        assert values.max() < high


# The free run


@pytest.mark.parametrize("method", ["dhmda", "etkf"])
def test_free_members_are_those_of_an_ensemble_that_is_never_updated(network, fits, seen, method):
    prior = spread_between(BOUNDS, 6, 8, seed=11)
    with Ensemble(
        network, None, parameters=("g_ampa",), members=12, tr_s=0.8, seed=11, gamma_shape=5.0
    ) as ensemble:
        ensemble.put(np.concatenate([prior, prior]))
        free = np.array([ensemble.forecast().bold[6:] for _ in range(2 + 8)])[2:]
    np.testing.assert_array_equal(fits[method]["bold_free"], free)
    np.testing.assert_array_equal(fits[method]["parameter_prior"], prior)


def test_the_free_run_does_not_touch_the_fit(network, quick, tmp_path):
    runs = [
        assimilate(network, quick, to=tmp_path / str(free), free=free, **FAST)
        for free in (True, False)
    ]
    identical(runs[0].drop_vars("bold_free"), runs[1])


# What the filter does


@pytest.mark.parametrize("method", ["dhmda", "etkf", "denkf", "enkf"])
def test_all_filters_pull_the_forecast_towards_the_data(fits, method):
    fit = fits[method]
    y = fit["bold_observed"]
    error = {
        name: float(np.sqrt(((fit[name].mean("member") - y) ** 2).mean()))
        for name in ("bold_forecast", "bold_analysis", "bold_free")
    }
    assert error["bold_forecast"] < 0.75 * error["bold_free"]
    assert error["bold_analysis"] < 0.75 * error["bold_forecast"]
    late = fit["parameter_value"].isel(frame=-1)
    assert (late.std("member") < fit["parameter_prior"].std("member")).mean() > 0.8


def test_the_filters_differ_only_from_the_first_update_on(fits):
    one, other = fits["dhmda"], fits["etkf"]
    for name in ("bold_forecast", "rate"):
        np.testing.assert_array_equal(one[name][0], other[name][0])
        assert (one[name][-1] != other[name][-1]).any()
    assert (one["parameter_value"][0] != other["parameter_value"][0]).all()


def test_without_walk_and_with_worthless_data_nothing_moves(network, quick, tmp_path):
    """An observation of infinite error changes no parameter: what changes it is the data."""
    worthless = Observation(quick.y, np.full(8, 1e12), quick.tr_s)
    options = {"method": "etkf", "walk": 0.0, **FAST}
    fit = assimilate(network, worthless, to=tmp_path / "fit", **options).load()
    still = np.broadcast_to(fit["parameter_prior"], fit["parameter_value"].shape)
    np.testing.assert_allclose(fit["parameter_value"], still, rtol=1e-9)
    np.testing.assert_allclose(fit["bold_analysis"], fit["bold_forecast"], rtol=1e-9)


def test_the_scores_are_those_of_the_arrays(fits):
    low, high = BOUNDS["g_ampa"]
    for fit in fits.values():
        y, scores = fit["bold_observed"].values, fit.attrs["scores"]
        assert scores["forecast"] == forecast_scores(fit["bold_forecast"], y)
        assert scores["free"] == forecast_scores(fit["bold_free"], y)
        for name, h in (
            ("posterior", fit["parameter_value"][-1]), ("prior", fit["parameter_prior"])
        ):  # fmt: skip
            expected = parameter_error(h, TRUTH, low, high)["error"]
            assert scores[f"parameter_error_{name}"] == expected


@pytest.mark.parametrize("frames", [1, 3])
def test_a_few_frames_are_fitted_though_not_scored(network, quick, tmp_path, frames):
    short = Observation(quick.y[:frames], quick.error, quick.tr_s)
    fit = assimilate(network, short, to=tmp_path / "fit", **FAST)
    assert fit.sizes["frame"] == frames
    assert fit.attrs["scores"] == {}


# Repetition


def test_the_same_seed_is_the_same_posterior_here_and_on_two_workers(
    network, quick, client, tmp_path
):
    """Also for an odd number of members, of which one worker gets more."""
    options = {**FAST, "members": 5, "free": False}
    here = assimilate(network, quick, to=tmp_path / "here", **options)
    again = assimilate(network, quick, to=tmp_path / "again", **options)
    there = assimilate(network, quick, client, to=tmp_path / "there", **options)
    identical(here, again)
    identical(here, there)
    assert here.attrs["scores"] == there.attrs["scores"]


def test_another_seed_is_another_posterior(network, quick, tmp_path):
    one, other = (
        assimilate(network, quick, to=tmp_path / str(seed), **{**FAST, "seed": seed})
        for seed in (1, 2)
    )
    for name in ("bold_forecast", "parameter_value", "parameter_prior", "bold_free"):
        assert (one[name] != other[name]).any()


def test_a_measured_series_is_put_on_scale_by_observe(network, brain, tmp_path):
    bold = brain["bold_rest"].isel(frame=slice(6)).assign_attrs(tr_s=0.02)
    one = assimilate(network, bold, to=tmp_path / "bold", **FAST)
    other = assimilate(network, observe(bold), to=tmp_path / "observation", **FAST)
    identical(one, other)


def test_a_posterior_is_replaced_only_when_asked(network, quick, tmp_path):
    path = tmp_path / "fit"
    one = assimilate(network, quick, to=path, **FAST).load()
    before = snapshot(path)
    with pytest.raises(StoreExistsError, match="untouched"):
        assimilate(network, quick, to=path, **{**FAST, "seed": 12})
    assert snapshot(path) == before
    other = assimilate(network, quick, to=path, overwrite=True, **{**FAST, "seed": 12}).load()
    assert (one["parameter_value"] != other["parameter_value"]).any()


# Bounds


def test_the_bounds_are_a_quarter_and_twice_unless_given(network):
    names = ["g_ampa", "g_gaba_a"]
    value = {name: network.parameters.population[name].mean() for name in names}
    found = default_bounds(network, names, {"g_gaba_a": (0.1, 0.2)})
    assert list(found) == names
    assert found["g_gaba_a"] == (0.1, 0.2)
    np.testing.assert_allclose(found["g_ampa"], value["g_ampa"] * np.array([0.25, 2.0]))


# Refusals: before anything is written

WRONG = {
    "unknown method": ({"method": "kalman"}, "kalman.*etkf.*dhmda"),
    "no parameter": ({"parameters": ()}, "parameters is empty"),
    "unknown parameter": ({"parameters": ("g_ampa", "g_x")}, "'g_x'"),
    "a name for names": ({"parameters": "g_ampa"}, "parameters"),
    "bounds reversed": ({"bounds": {"g_ampa": (0.004, 0.0005)}}, "bounds of g_ampa.*0.004"),
    "bounds equal": ({"bounds": {"g_ampa": (0.004, 0.004)}}, "bounds of g_ampa"),
    "bounds of zero": ({"bounds": {"g_ampa": (0.0, 0.004)}}, "bounds of g_ampa"),
    "bounds nan": ({"bounds": {"g_ampa": (np.nan, 0.004)}}, "bounds of g_ampa"),
    "bounds infinite": ({"bounds": {"g_ampa": (0.001, np.inf)}}, "bounds"),
    "bounds of another": ({"bounds": {"g_amap": (0.001, 0.004)}}, "bounds.*g_amap"),
    "receptor that is off": ({"parameters": ("g_nmda",)}, "g_nmda"),
    "receptor that is off, bounds given": (
        {"parameters": ("g_nmda",), "bounds": {"g_nmda": (1e-5, 1e-4)}}, "g_nmda"
    ),
    "one member": ({"members": 1}, "members is 1"),
    "no member": ({"members": 0}, "members is 0"),
    "too many members": ({"members": 2**16}, "members"),
    "half a member": ({"members": 4.5}, "members"),
    "rho": ({"rho": 1.5}, "rho is 1.5"),
    "rho nan": ({"rho": np.nan}, "rho is nan"),
    "walk": ({"walk": -0.1}, "walk is -0.1"),
    "walk infinite": ({"walk": np.inf}, "walk is inf"),
    "warm-up": ({"warm_up_frames": -1}, "warm_up_frames is -1"),
    "half a frame": ({"warm_up_frames": 1.5}, "warm_up_frames"),
    "gamma": ({"gamma_shape": 0.0}, "gamma_shape is 0"),
    "gamma infinite": ({"gamma_shape": np.inf}, "gamma"),
    "seed": ({"seed": -1}, "seed is -1"),
    "truth of other voxels": ({"truth": TRUTH[:, :7]}, "truth"),
    "truth not positive": ({"truth": -TRUTH}, "truth|positive"),
}  # fmt: skip


def snapshot(path):
    return {file: file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_input_is_refused_and_nothing_written(network, quick, tmp_path, wrong, told):
    path = tmp_path / "fit"
    with pytest.raises(InputError, match=told):
        assimilate(network, quick, to=path, **{**FAST, **wrong})
    assert not path.exists()


def other_bold(kind, brain, quick):
    bold = brain["bold_rest"].isel(frame=slice(6))
    match kind:
        case "fewer voxels":
            return Observation(quick.y[:, :7], quick.error[:7], quick.tr_s), "7 voxels.*8"
        case "series of fewer voxels":
            return bold.isel(voxel=slice(5)), "5 voxels.*8"
        case "no tr_s":
            return bold.drop_attrs(), "tr_s"
        case "tr_s between steps":
            return Observation(quick.y, quick.error, 0.0205), "tr_s is 0.0205"
        case "constant voxel":
            return bold.where(bold["voxel"] != 3, 1.0), "constant"
        case "nan":
            return bold.where(bold["voxel"] != 3), "nan"
        case "dimensions":
            return bold.rename(voxel="space"), "voxel"


@pytest.mark.parametrize(
    "kind",
    ["fewer voxels", "series of fewer voxels", "no tr_s", "tr_s between steps", "constant voxel",
     "nan", "dimensions"],
)  # fmt: skip
def test_wrong_data_are_refused_and_nothing_written(network, brain, quick, tmp_path, kind):
    bold, told = other_bold(kind, brain, quick)
    with pytest.raises(InputError, match=told):
        assimilate(network, bold, to=tmp_path / "fit", **FAST)
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "network"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_posterior_is_never_touched(network, quick, tmp_path, kind, overwrite):
    path = tmp_path / "precious"
    if kind == "network":
        schema.commit(schema.create_store(path, "network", {}))
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years")
    else:
        path.write_text("years")
    before = snapshot(tmp_path)
    assert before
    with pytest.raises(StoreExistsError, match="untouched"):
        assimilate(network, quick, to=path, overwrite=overwrite, **FAST)
    assert snapshot(tmp_path) == before


def test_a_posterior_survives_a_wrong_call_that_would_replace_it(network, quick, tmp_path):
    assimilate(network, quick, to=tmp_path / "fit", **FAST)
    before = snapshot(tmp_path)
    for wrong in ({"method": "kalman"}, {"truth": TRUTH[:, :7]}, {"seed": -1}):
        with pytest.raises(InputError):
            assimilate(network, quick, to=tmp_path / "fit", overwrite=True, **{**FAST, **wrong})
        assert snapshot(tmp_path) == before, wrong


def test_an_interrupted_fit_is_not_taken_for_a_posterior(network, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(Ensemble, "put_balloon", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        assimilate(network, quick, to=tmp_path / "fit", **FAST)
    with pytest.raises(StoreError, match="never completed"):
        open_posterior(tmp_path / "fit")


def test_only_a_posterior_is_opened_as_one(network, tmp_path):
    with pytest.raises(StoreError, match="network"):
        open_posterior(network.path)
    with pytest.raises(StoreError, match="no such store"):
        open_posterior(tmp_path / "nothing")
