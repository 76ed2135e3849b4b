"""Scores of runs to tables: what `evidence.py` found, beside predictors that need no model.

Scores are by row and column of a table. RMSE and CRPS are in units of the standard deviation of the
data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dtbdask.assim import scores as plain
from dtbdask.assim.evidence import (
    ahead_scores,
    autoregression,
    free_run_scores,
    held_scores,
    structure_function,
)
from dtbdask.assim.walk import connectome_correlation

FIRST = 20
"""Frames that are not scored: a fit needs some to find its feet."""
REACH = 5
"""Frames that forecasts reach."""
LAGS = (1, 3, REACH)

Scores = dict[str, float]
Table = dict[str, Scores]


def fit_scores(fit: Any, y: Any, watched: Any, connection: Any) -> Table:
    """Scores of the members of a fit, and of those that were never updated."""
    kept = fit[["bold_forecast", "bold_analysis", "rate"]].load()
    told = forecasts(kept["bold_forecast"].values, y, watched)
    if "bold_ahead" in fit:
        bold = fit["bold_ahead"].values[:, :, watched]
        ahead = ahead_scores(bold, y[:, watched], REACH, FIRST)
        for lag in LAGS[1:]:
            if scored := ahead.get(str(lag)):
                told |= {f"r, {lag} TR ahead": scored["r"], f"RMSE, {lag} TR": scored["rmse"]}
    wired = connectome_correlation(connection)
    held = held_scores(kept["bold_analysis"].values, y, watched, wired, FIRST)
    told |= {"r held out": held["r"], "RMSE held out": held["rmse"]}
    rate = kept["rate"].values[FIRST:].mean(axis=1)
    told |= {"rate, Hz": rate.mean(), "lowest": rate.min(), "highest": rate.max()}
    found = {"fit": told}
    if "bold_free" in fit:
        free = fit["bold_free"].values
        alone = forecasts(free, y, watched)
        alone |= {f"r, {lag} TR ahead": alone["r, 1 TR ahead"] for lag in LAGS[1:]}
        alone["r held out"] = held_scores(free, y, watched, None, FIRST)["r"]
        found["never updated"] = alone
    return {name: relative(scored, y[FIRST:, watched]) for name, scored in found.items()}


def forecasts(bold: Any, y: Any, watched: Any) -> Scores:
    """Scores one frame ahead, of the regions that are observed."""
    x, truth = bold[FIRST:][:, :, watched], y[FIRST:, watched]
    told = plain.ensemble_scores(x, truth)
    counts, _ = plain.rank_histogram(x, truth)
    return {"r, 1 TR ahead": told["r"], "RMSE, 1 TR": told["rmse"], "CRPS": told["crps"],
            "spread/RMSE": told["spread_over_rmse"],
            "outside the members": float((counts[0] + counts[-1]) / counts.sum())}  # fmt: skip


def run_scores(bold: Any, y: Any, watched: Any, name: str) -> Scores:
    """Scores of a run that sees no data."""
    told = free_run_scores(bold[:, watched], y[:, watched], FIRST)
    return {f"r {name}": told["r"], f"FC {name}": told["fc_similarity"]}


def baselines(y: Any, watched: Any, connection: Any) -> Table:
    """Predictors that need no model, on the same frames: of 3 and 5 TR those of the forecasts."""
    x = y[FIRST:, watched]
    found: Table = {"persistence": {}, "line": {}, "autoregression": {}, "others": {}, "wiring": {}}
    for name, key in (("persistence", "persistence"), ("line", "linear_extrapolation")):
        told = plain.baseline_scores(x, plain.FIRST)
        found[name] = {"r, 1 TR ahead": told[f"r_{key}"], "RMSE, 1 TR": told[f"rmse_{key}"],
                       "CRPS": told[f"crps_{key}"]}  # fmt: skip
    if (predicted := autoregression(x, 1)) is not None:
        found["autoregression"] |= two(predicted, x)
    twice = np.repeat(y[:, None], 2, axis=1)
    ahead = ahead_scores(twice[:, :, watched], y[:, watched], REACH, FIRST)
    for lag, told in ahead.items():
        for name in ("persistence", "autoregression"):
            if int(lag) in LAGS[1:] and f"r_{name}" in told:
                found[name] |= {f"r, {lag} TR ahead": told[f"r_{name}"],
                                f"RMSE, {lag} TR": told[f"rmse_{name}"]}  # fmt: skip
    held = held_scores(twice, y, watched, connectome_correlation(connection), FIRST)
    for name, key in (("others", "mean_of_others"), ("wiring", "kriging")):
        found[name] = {"r held out": held[f"r_{key}"], "RMSE held out": held[f"rmse_{key}"]}
    found["wiring"]["FC free run"] = structure_function(connection, y)
    return {name: relative(told, x) for name, told in found.items()}


def relative(scores: Scores, y: Any) -> Scores:
    """Errors in units of the standard deviation of the data, whatever their scale."""
    sd = float(np.sqrt(y.var(axis=0).mean()))
    return {
        name: float(value) / sd if name.startswith(("RMSE", "CRPS")) else float(value)
        for name, value in scores.items()
    }


def two(predicted: Any, x: Any) -> Scores:
    truth = x[-len(predicted) :]
    return {"r, 1 TR ahead": float(plain.correlation(predicted, truth).mean()),
            "RMSE, 1 TR": float(plain.rmse(predicted, truth).mean())}  # fmt: skip


def markdown(table: dict[str, list[Scores]], found: Table) -> Iterator[str]:
    """Rows of scores, columns of methods; means over seeds, with their range."""
    rows = list(dict.fromkeys(row for scored in table.values() for of in scored for row in of))
    yield "| | " + " | ".join([*table, *found]) + " |"
    yield "|---" * (len(table) + len(found) + 1) + "|"
    for row in rows:
        cells = [cell([of[row] for of in scored if row in of]) for scored in table.values()]
        cells += [cell([of[row]] if row in of else []) for of in found.values()]
        yield f"| {row} | " + " | ".join(cells) + " |"


def cell(values: list[float]) -> str:
    """A mean, and the range where values differ."""
    if not values:
        return ""
    mean, low, high = (told(float(f(values))) for f in (np.mean, np.min, np.max))
    return mean if low == high else f"{mean} ({low} to {high})"


def told(value: float) -> str:
    """A number with as many digits as one reads."""
    if abs(value) >= 10:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{value:.3f}".replace("-", "−")


def brief(scores: Scores) -> str:
    """Scores on one line."""
    return ", ".join(f"{name} {told(value)}" for name, value in scores.items())
