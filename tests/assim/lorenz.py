"""Twin experiments with Lorenz's models, the yardstick of ensemble filters in the literature.

Lorenz-96: 40 variables round a circle, forcing 8, all observed with error variance 1 every 0.05.
Sakov and Oke 2008, Tellus A 60, 361-371.
Lorenz-63: 3 variables, all observed with error variance 2 every 0.25, steps of 0.01.
Sakov, Oliver and Bertino 2012, Mon. Weather Rev. 140, 1988-2004.

Both are perfect models, integrated with Runge-Kutta of order 4. The figure is the root mean square
error of the analysed mean over variables, averaged over cycles. `published` are the figures that
DAPPER (Raanes and others, github.com/nansencenter/DAPPER) has for the same settings.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dtbdask.assim.filters import denkf, enkf, etkf
from dtbdask.assim.local import letkf
from dtbdask.assim.localisation import HALF_WIDTH, gaspari_cohn


def lorenz96(x):
    """Time derivative; variables last."""
    wide = np.concatenate([x[..., -2:], x, x[..., :1]], axis=-1)
    return (wide[..., 3:] - wide[..., :-3]) * wide[..., 1:-2] - x + 8.0


def lorenz63(x):
    """Time derivative; variables last."""
    a, b, c = x[..., 0], x[..., 1], x[..., 2]
    change = np.empty_like(x)
    change[..., 0] = 10 * (b - a)
    change[..., 1] = a * (28 - c) - b
    change[..., 2] = a * b - 8 / 3 * c
    return change


def rk4(f, x, dt):
    """One step of Runge-Kutta of order 4."""
    k1 = f(x)
    k2 = f(x + dt / 2 * k1)
    k3 = f(x + dt / 2 * k2)
    k4 = f(x + dt * k3)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@dataclass(frozen=True)
class Model:
    """A model, and how it is observed."""

    derivative: Callable
    variables: int
    dt: float
    steps: int  # from one observation to the next
    R: float

    def forecast(self, x):
        for _ in range(self.steps):
            x = rk4(self.derivative, x, self.dt)
        return x


L96 = Model(lorenz96, 40, 0.05, 1, 1.0)
L63 = Model(lorenz63, 3, 0.01, 25, 2.0)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    model: Model
    method: str
    members: int
    inflation: float
    published: float
    bounds: tuple[float, float]
    radius: float | None = None

    @property
    def name(self):
        where = "L96" if self.model is L96 else "L63"
        radius = f" radius {self.radius:g}" if self.radius else ""
        return f"{where} {self.method}{radius} N={self.members}"


CASES = (
    Case(L96, "EnKF", 40, 1.06, 0.22, (0, 0.235)),
    Case(L96, "DEnKF", 40, 1.01, 0.18, (0, 0.20)),
    Case(L96, "ETKF", 28, 1.02, 0.18, (0, 0.195)),
    Case(L96, "LETKF", 10, 1.04, 0.20, (0, 0.215), radius=6),
    Case(L96, "LETKF", 7, 1.04, 0.22, (0, 0.235), radius=4),
    Case(L63, "EnKF", 100, 1.01, 0.56, (0.50, 0.62)),
    Case(L63, "ETKF", 10, 1.02, 0.60, (0.54, 0.72)),
)

SEEDS = (1, 2, 3, 4)
FULL = {L96: (1500, 400), L63: (4000, 400)}
"""Cycles that are averaged, and of burn-in before them."""


def circle(variables):
    """Distance of points round a circle, (variable, variable)."""
    apart = np.abs(np.subtract.outer(np.arange(variables), np.arange(variables)))
    return np.minimum(apart, variables - apart)


def analysis(case):
    """The filter of a case, f(ensemble, y, generator)."""
    R, inflation = case.model.R, case.inflation
    if case.method == "EnKF":
        return lambda x, y, draw: enkf(x, x, y, R, draw, inflation)
    if case.method == "DEnKF":
        return lambda x, y, draw: denkf(x, x, y, R, inflation)
    if case.method == "ETKF":
        return lambda x, y, draw: etkf(x, x, y, R, inflation, draw)
    taper = gaspari_cohn(circle(case.model.variables), HALF_WIDTH * case.radius)
    return lambda x, y, draw: letkf(x, x, y, R, taper, inflation, draw)


def rmse(case, seed, cycles, burn_in):
    """Time-mean error of the analysed mean of one twin."""
    draw, model, update = np.random.default_rng(seed), case.model, analysis(case)
    x = draw.normal(size=model.variables)
    for _ in range(round(20 / (model.dt * model.steps))):  # on to the attractor
        x = model.forecast(x)
    start = x + np.sqrt(model.R) * draw.normal(size=model.variables)
    ensemble = start + np.sqrt(model.R) * draw.normal(size=(case.members, model.variables))
    errors = []
    for _ in range(burn_in + cycles):
        both = model.forecast(np.concatenate([ensemble, x[None]]))
        ensemble, x = both[:-1], both[-1]
        y = x + np.sqrt(model.R) * draw.normal(size=model.variables)
        ensemble = update(ensemble, y, draw)
        errors.append(np.sqrt(((ensemble.mean(axis=0) - x) ** 2).mean()))
    return float(np.mean(errors[burn_in:]))
