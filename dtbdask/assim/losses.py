"""A fit goes on when workers are lost, with all its members.

What the filter knows of a member, its hyper-parameters and haemodynamic state, is with the driver.
With a worker only neurons are lost, and these forget within a frame. So members of a lost worker
come back on those that are left: all gangs are made anew, their neurons run a frame with the
members' hyper-parameters, and the frame that was cut short is run again from the haemodynamic
states of its beginning. No member has to be replaced by a copy of another, and the spread of the
ensemble is what it was. The noise is another from there on.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from dtbdask.assim.ensemble import Ensemble, Forecast
from dtbdask.sim.losses import ANSWER_S, answering, is_loss

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

TRIES = 3
"""Losses in the same frame at which a fit gives up."""


def forecast_whatever(ensemble: Ensemble, h: Floats, balloon: Floats) -> Forecast:
    """Forecast of the next frame; workers may be lost meanwhile.

    Parameters
    ----------
    ensemble : Ensemble
    h : (member, parameter, voxel) float64
        Hyper-parameters.
    balloon : (member, voxel, 4) float64
        Haemodynamic states at the beginning of the frame.

    Raises
    ------
    ExchangeError, LostError
        Workers were lost again and again, or none answers.
    """
    why: Exception | None = None
    for left in reversed(range(TRIES)):
        try:
            if why is not None:
                _mend(ensemble, h, why)
            ensemble.put(h)
            ensemble.put_balloon(balloon)
            return ensemble.forecast()
        except Exception as error:
            client = ensemble.session.client
            ensemble.session.check_uncancelled()
            lost = client is not None and client.status == "running" and is_loss(error)
            if not lost or not left:
                raise
            why = error
    raise AssertionError


def _mend(ensemble: Ensemble, h: Floats, why: Exception) -> None:
    """Have gangs on the workers that answer, and neurons that have forgotten their beginning."""
    session = ensemble.session
    before = session.workers
    there = answering(session.client, ANSWER_S)
    if not there:
        raise why
    session.gather_anew(there)
    ensemble.begin()
    ensemble.put(h)
    ensemble.forecast()
    lost = ", ".join(sorted(set(before) - set(there))) or "no worker, but their gang"
    logger.warning(
        "lost %s (%s); all %d members go on, on %d workers",
        lost, why, session.members, len(session.workers),
    )  # fmt: skip
