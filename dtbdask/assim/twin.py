"""Twin experiments: a network with hidden hyper-parameters makes the data that are then fitted.

The fit knows the network, its wiring and the factors of its neurons; it does not know the
hyper-parameters of the voxels, the noise of the neurons or the error of the observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress, rng
from dtbdask.assim.ensemble import Ensemble
from dtbdask.assim.observe import Observation
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.network import Network

Floats = NDArray[np.float64]


def hidden_truth(
    bounds: Mapping[str, tuple[float, float]], voxels: int, seed: int, margin: float = 1.5
) -> Floats:
    """Hyper-parameters drawn log-uniformly inside their bounds.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
    voxels, seed : int
    margin : float
        Factor by which the truth stays away from either bound.

    Returns
    -------
    (parameter, voxel) float64
    """
    for name, (low, high) in bounds.items():
        if not 0 < low * margin < high / margin:
            raise InputError(
                f"bounds of {name} are ({low:g}, {high:g}): no room for margin {margin:g}"
            )
    draw = rng.generator(seed, "truth")
    return np.array(
        [
            np.exp(draw.uniform(np.log(low * margin), np.log(high / margin), voxels))
            for low, high in bounds.values()
        ]
    )


def observe_twin(
    network: Network,
    truth: Floats,
    client: Any = None,
    *,
    parameters: tuple[str, ...],
    frames: int,
    tr_s: float,
    error: float = 1e-6,
    warm_up_frames: int = 6,
    gamma_shape: float | None = 5.0,
    seed: int,
) -> Observation:
    """BOLD of a network whose hyper-parameters are the truth, with observation error.

    Parameters
    ----------
    network : Network
    truth : (parameter, voxel) float64
    client : distributed.Client, optional
    parameters : tuple of str
        Names of the hyper-parameters.
    frames : int
        Frames to observe, after the warm-up.
    tr_s : float
        Time between frames, s.
    error : float
        Variance of the observation error.
    warm_up_frames : int
    gamma_shape : float or None
        Shape of the factors of the neurons.
    seed : int
        Of the noise; not that of the fit.

    Returns
    -------
    Observation
        (frame, voxel), with the error that was really added.
    """
    frames = whole_number("frames", frames, 1)
    warm_up_frames = whole_number("warm_up_frames", warm_up_frames, 0)
    if not 0 < error < np.inf:
        raise InputError(f"error is {error}; expected a positive variance")
    wanted = (len(parameters), len(network.labels))
    if np.shape(truth) != wanted:
        raise InputError(f"truth has shape {np.shape(truth)}; expected {wanted}")
    twins = 2  # the smallest ensemble: the second is not looked at
    with (
        Ensemble(network, client, parameters=parameters, members=twins, tr_s=tr_s, seed=seed,
                 gamma_shape=gamma_shape) as ensemble,
        progress.track("Simulating the hidden truth", warm_up_frames + frames, "frames") as done,
    ):  # fmt: skip
        ensemble.put(np.repeat(truth[None], twins, axis=0))
        seen = []
        for _ in range(warm_up_frames + frames):
            seen.append(ensemble.forecast().bold[0])
            done(1)
    y = np.array(seen[warm_up_frames:])
    y += np.sqrt(error) * rng.generator(seed, "observation error").normal(size=y.shape)
    return Observation(y, np.full(y.shape[1], error), tr_s)
