"""Synthetic brains, recordings and posteriors, small enough to check every number of a picture."""

import json

import dask.array as da
import numpy as np
import xarray as xr

REGIONS = ("Precentral", "Frontal_Sup_Orb", "Rolandic_Oper", "Insula", "Hippocampus", "Thalamus")


FIRST_STEP = 100
"""Steps that the session made before it recorded."""


def region_labels(n):
    names = [f"{name}_{side}" for name in REGIONS for side in "LR"]
    return [names[i] if i < len(names) else f"Temporal_Pole_Mid_{i}" for i in range(n)]


def lazy(frames):
    return da.from_array(frames, chunks=(4, *frames.shape[1:]))


def make_brain(n_voxels=6, n_frames=60, seed=0):
    rng = np.random.default_rng(seed)
    fibres = np.floor(rng.lognormal(3.4, 2.0, (n_voxels, n_voxels)))
    fibres[rng.random(fibres.shape) < 0.15] = 0
    np.fill_diagonal(fibres, 0)
    common = np.convolve(rng.standard_normal(n_frames + 8), np.ones(9) / 3, "valid")
    own = np.apply_along_axis(
        lambda x: np.convolve(x, np.ones(9) / 3, "valid"),
        0,
        rng.standard_normal((n_frames + 8, n_voxels)),
    )
    bold = 1.2 * common[:, None] + own
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), da.from_array(fibres, chunks=4)),
            "bold_rest": (("frame", "voxel"), da.from_array(bold, chunks=(16, -1)), {"tr_s": 0.8}),
            "grey_matter": ("voxel", rng.uniform(0.3, 0.7, n_voxels)),
        },
        coords={"label": ("voxel", region_labels(n_voxels))},
        attrs={"source": "synthetic"},
    )


def make_recording(n_voxels=3, n_neurons=60, n_steps=95, n_frames=8, rate_hz=20.0, seed=0):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(n_voxels, 20.0))
    size = np.stack([np.floor(share * n_neurons * 0.8), np.floor(share * n_neurons * 0.2)], 1)
    size = np.maximum(size.ravel().astype(int), 1)
    voxel = np.repeat(np.arange(n_voxels), 2)
    excitatory = np.tile([True, False], n_voxels)
    owner = np.repeat(np.arange(2 * n_voxels), size)
    wave = 1 + 0.9 * np.sin(np.arange(n_steps)[:, None] / 25 + voxel[owner] * 0.3)
    rate = (
        rate_hz
        * np.where(excitatory, 0.6, 1.6)[owner]
        * rng.lognormal(0, 0.4, n_voxels)[voxel[owner]]
    )
    step, neuron = np.nonzero(rng.random((n_steps, size.sum())) < wave * rate / 1e3)
    count = np.zeros((n_steps, 2 * n_voxels), np.int32)
    np.add.at(count, (step, owner[neuron]), 1)
    names = region_labels(n_voxels)
    bold = 0.02 + 0.01 * rng.standard_normal((n_frames, n_voxels)).cumsum(axis=0)
    return xr.Dataset(
        {
            "spike_count": (("step", "population"), da.from_array(count, chunks=(40, -1))),
            "n_spikes": ("step", da.from_array(count.sum(axis=1), chunks=40)),
            "spike_step": ("spike", da.from_array(FIRST_STEP + step, chunks=1000)),
            "spike_neuron": ("spike", da.from_array(neuron, chunks=1000)),
            "bold": (("frame", "voxel"), da.from_array(bold, chunks=(4, -1))),
        },
        coords={
            "time_ms": ("step", FIRST_STEP + 1.0 + np.arange(n_steps)),
            "population_label": (
                "population",
                [f"{names[v]} {'EI'[i % 2]}" for i, v in enumerate(voxel)],
            ),
            "population_voxel": ("population", voxel),
            "excitatory": ("population", excitatory),
            "size": ("population", size),
            "first_neuron": ("population", np.concatenate([[0], np.cumsum(size)[:-1]])),
            "time_s": ("frame", 0.8 * np.arange(1, n_frames + 1)),
            "voxel_label": ("voxel", names),
        },
        attrs={
            "dt_ms": 1.0,
            "seed": seed,
            "n_neurons": int(size.sum()),
            "first_step": FIRST_STEP,
            "n_steps": n_steps,
        },
    )


def make_posterior(n_voxels=6, n_members=5, n_frames=12, twin=True, seed=0):
    rng = np.random.default_rng(seed)
    parameter, low, high = ["g_ampa", "g_gabaa"], np.array([0.001, 0.01]), np.array([0.02, 0.1])
    truth = low[:, None] + (high - low)[:, None] * rng.uniform(0.3, 0.7, (2, n_voxels))
    spread = 0.35 * rng.standard_normal((n_members, 2, n_voxels)) + 0.3 * rng.standard_normal(
        n_voxels
    )
    prior = np.clip(truth * np.exp(spread), low[:, None], high[:, None])
    shrink = np.exp(-np.arange(n_frames) / (n_frames / 4))[:, None, None, None]
    value = truth * np.exp(spread * (0.15 + 0.85 * shrink))
    observed = 0.03 + 0.008 * np.sin(np.arange(n_frames)[:, None] / 3 + np.linspace(0, 6, n_voxels))
    noise = 0.003 * rng.standard_normal((n_frames, n_members, n_voxels))
    forecast = observed[:, None] + noise + 0.01 * shrink[:, 0]
    free = 0.045 + 0.004 * rng.standard_normal((n_frames, n_members, n_voxels))
    member = ("frame", "member", "voxel")
    data = {
        "parameter_value": (("frame", "member", "parameter", "voxel"), lazy(value)),
        "bold_observed": (("frame", "voxel"), observed),
        "bold_forecast": (member, lazy(forecast)),
        "bold_analysis": (member, lazy(forecast - noise / 2)),
        "rate": (member, lazy(rng.gamma(5, 2, forecast.shape))),
        "bold_free": (member, lazy(free)),
        "parameter_prior": (("member", "parameter", "voxel"), prior),
    }  # fmt: skip
    if twin:
        data["parameter_truth"] = (("parameter", "voxel"), truth)
    return xr.Dataset(
        data,
        coords={
            "parameter": parameter,
            "voxel_label": ("voxel", region_labels(n_voxels)),
            "time_s": ("frame", 0.8 * np.arange(1, n_frames + 1)),
        },
        attrs={
            "tr_s": 0.8,
            "bounds": json.dumps(
                {p: [float(a), float(b)] for p, a, b in zip(parameter, low, high, strict=True)}
            ),
            "method": "etkf",
        },
    )
