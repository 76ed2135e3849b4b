"""A fit in motion: what the filter knows between two frames, and the step from one to the next."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress, rng
from dtbdask.assim.analysis import Analysis
from dtbdask.assim.ensemble import Ensemble, Forecast
from dtbdask.assim.keeping import keep
from dtbdask.assim.losses import forecast_whatever
from dtbdask.assim.observe import Observation
from dtbdask.assim.posterior import Posterior
from dtbdask.assim.settings import Settings
from dtbdask.sim.bold import Balloon

Floats = NDArray[np.float64]

LOWEST = np.array([-5.0, 0.1, 0.1, 0.1])[:, None, None]
HIGHEST = np.array([5.0, 20.0, 10.0, 10.0])[:, None, None]
"""Of s, f, v and q after an update: what blood does not leave, whatever a gain says."""


class Fit:
    """An ensemble, its filter, and where they are.

    Members come in groups of the same size: those that are fitted; those that keep the prior, if
    `free`; and, if `ahead`, those that set out from the fitted every so many frames and run on
    without being corrected. These take over hyper-parameters and haemodynamic state; the neurons
    are their own, which after a frame are neurons of those parameters.

    Parameters
    ----------
    ensemble : Ensemble
    observation : Observation
    settings : Settings
    prior : (member, parameter, voxel) float64
    posterior : Posterior

    Attributes
    ----------
    frame : int
        Frames that are behind.
    belief : dict of str to ndarray
        What the filter knows: z and velocity (member, parameter, voxel), those of the group that
        is ahead, and z of the last frames, which later observations may correct, (past, member,
        parameter, voxel); and the mean that the walk leads back to, (parameter, voxel).
    seconds : dict of str to float
        Time on the clock that forecasts and analyses have taken.
    balloon : (member, voxel, 4) float64
        Haemodynamic state of all groups.
    """

    def __init__(
        self, ensemble: Ensemble, observation: Observation, settings: Settings, prior: Floats,
        posterior: Posterior,
    ) -> None:  # fmt: skip
        self.ensemble, self.settings, self.posterior = ensemble, settings, posterior
        self._observation, self._prior = observation, prior
        self._map = settings.limits
        walk = settings.walk
        self._analysis = Analysis(
            settings.method, observation.error, settings.observed, rho=settings.rho,
            inflation=settings.inflation, taper=settings.taper, correlation=walk.correlation,
        )  # fmt: skip
        z = self._map.to_z(prior)
        still = np.zeros_like(z)
        self.frame = 0
        self.seconds = {"forecast": 0.0, "analysis": 0.0}
        self.belief: dict[str, Floats] = {
            "z": z, "velocity": still, "ahead_z": z, "ahead_velocity": still,
            "past": np.zeros((0, *z.shape)), "mean": z.mean(axis=0),
        }  # fmt: skip
        n_states = ensemble.members, settings.n_voxels
        self.balloon: Floats = np.moveaxis(Balloon.at_rest(*n_states).state, 0, -1)

    def run(self) -> None:
        """Go on to the last frame."""
        settings, y = self.settings, self._observation.y
        warm_up = settings.warm_up_frames if self.frame == 0 else 0
        with progress.track("Assimilating", warm_up + len(y) - self.frame, "frames") as done:
            for _ in range(warm_up):
                self.balloon = self._forecast().balloon
                done(1)
            while self.frame < len(y):
                self._step(y[self.frame])
                done(1)
                every = settings.checkpoint_every
                if every is not None and self.frame % every == 0 and self.frame < len(y):
                    keep(self)
        for z in self.belief["past"]:
            self.posterior.write(parameter_smoothed=self._h(z))

    def _step(self, y: Floats) -> None:
        """One frame: walk, forecast, analysis."""
        settings, belief = self.settings, self.belief
        self._walk("z", "velocity", "walk")
        if settings.ahead:
            self._walk("ahead_z", "ahead_velocity", "walk ahead")
        forecast = self._forecast()
        begun, n = time.perf_counter(), settings.members
        draw = rng.generator(settings.seed, "analysis", self.frame)
        state = self._analysis(self._joined(forecast), forecast.bold[:n], y, draw)
        self.balloon = forecast.balloon.copy()
        self.balloon[:n] = self._parted(state)
        belief["mean"] = (
            belief["mean"] + (belief["z"].mean(axis=0) - belief["mean"]) / settings.walk.adapts
        )
        if settings.ahead and self.frame % settings.ahead == 0:
            belief["ahead_z"], belief["ahead_velocity"] = belief["z"], belief["velocity"]
            self.balloon[-n:] = self.balloon[:n]
        self.seconds["analysis"] += time.perf_counter() - begun
        self._write(forecast)
        self.frame += 1

    def _walk(self, z: str, velocity: str, purpose: str) -> None:
        draw = rng.generator(self.settings.seed, purpose, self.frame)
        belief = self.belief
        belief[z], belief[velocity] = self.settings.walk.step(
            belief[z], belief[velocity], belief["mean"], draw
        )

    def _forecast(self) -> Forecast:
        """All groups one frame on, whatever happens to the workers."""
        begun = time.perf_counter()
        forecast = forecast_whatever(self.ensemble, self._all_h(), self.balloon)
        self.seconds["forecast"] += time.perf_counter() - begun
        return forecast

    def _all_h(self) -> Floats:
        """Hyper-parameters of all groups."""
        groups = [self._h(self.belief["z"])]
        if self.settings.free:
            groups.append(self._prior)
        if self.settings.ahead:
            groups.append(self._h(self.belief["ahead_z"]))
        return np.concatenate(groups)

    def _h(self, z: Floats) -> Floats:
        h: Floats = self._map.to_h(z)
        return h

    def _joined(self, forecast: Forecast) -> Floats:
        """State of the fitted members: (member, voxel, variable), z first."""
        belief, settings = self.belief, self.settings
        parts = [belief["z"], *belief["past"]]
        if settings.walk.momentum > 0:
            parts.append(belief["velocity"])
        parts.append(np.moveaxis(forecast.balloon[: settings.members], 2, 1))
        return np.concatenate(parts, axis=1).swapaxes(1, 2)

    def _parted(self, state: Floats) -> Floats:
        """Take the corrected state apart; the haemodynamic one is handed back."""
        belief, m = self.belief, len(self.settings.names)
        rows = state.swapaxes(1, 2)
        balloon = np.clip(np.moveaxis(rows[:, -4:], 1, 0), LOWEST, HIGHEST)
        parts = [rows[:, k : k + m] for k in range(0, rows.shape[1] - 4, m)]
        if self.settings.walk.momentum > 0:
            belief["velocity"] = parts.pop()
        belief["z"] = parts[0]
        if self.settings.lag:
            belief["past"] = np.array([*parts[1:], parts[0]])
        return np.moveaxis(balloon, 0, -1)

    def _write(self, forecast: Forecast) -> None:
        """Hand the posterior what there is to know of a frame."""
        n, belief, settings = self.settings.members, self.belief, self.settings
        self.posterior.write(
            parameter_value=self._h(belief["z"]),
            bold_forecast=forecast.bold[:n],
            bold_analysis=Balloon(np.moveaxis(self.balloon[:n], -1, 0)).bold(),
            rate=forecast.rate[:n],
            bold_free=forecast.bold[n : 2 * n],
            bold_ahead=forecast.bold[-n:],
        )
        if settings.lag and len(belief["past"]) > settings.lag:
            self.posterior.write(parameter_smoothed=self._h(belief["past"][0]))
            belief["past"] = belief["past"][1:]
