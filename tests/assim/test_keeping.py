"""A fit that is cut short goes on as if it had not been, and one that loses workers goes on."""

import json
import logging
import os
import signal

import numpy as np
import pytest

from dtbdask import schema
from dtbdask.assim import fit as fits
from dtbdask.assim.cycle import assimilate, resume_fit
from dtbdask.assim.ensemble import Ensemble
from dtbdask.assim.observe import Observation
from dtbdask.assim.opening import open_posterior
from dtbdask.assim.walk import Walk
from dtbdask.cluster import connect
from dtbdask.errors import InputError, StoreError, StoreExistsError
from dtbdask.graph.build import build
from dtbdask.sim.moments import beside

WALK = Walk(1.0, memory=6, momentum=2, correlation=0.5 + 0.5 * np.eye(8), centred=True)
ALL = {"members": 4, "warm_up_frames": 1, "seed": 3, "method": "etkf", "walk": WALK, "lag": 3,
       "ahead": 3, "observed": [0, 1, 2, 4, 5, 6, 7], "checkpoint_every": 5}  # fmt: skip
PLAIN = {"members": 4, "warm_up_frames": 1, "seed": 3, "checkpoint_every": 4}


class Cut(Exception):
    """What ends a fit before its time."""


@pytest.fixture(scope="module")
def seen():
    draw = np.random.default_rng(5)
    return Observation(0.02 + 0.002 * draw.normal(size=(20, 8)), np.full(8, 1e-5), 0.02)


def cut_at(monkeypatch, frame):
    """Have fits end before a frame."""
    step = fits.Fit._step

    def cut(self, y):
        if self.frame == frame:
            raise Cut
        step(self, y)

    monkeypatch.setattr(fits.Fit, "_step", cut)


def same(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert one.attrs["scores"] == other.attrs["scores"]


@pytest.mark.parametrize(("options", "frame"), [(ALL, 7), (ALL, 19), (PLAIN, 18)])
def test_a_fit_that_is_resumed_is_that_of_a_fit_never_cut(
    network, seen, tmp_path, monkeypatch, options, frame
):
    """Also where rows wait for their chunk, and where some are on disk that are made again."""
    meant = assimilate(network, seen, to=tmp_path / "meant", **options)
    with monkeypatch.context() as patch:
        cut_at(patch, frame)
        with pytest.raises(Cut):
            assimilate(network, seen, to=tmp_path / "cut", **options)
    assert schema.read_root(tmp_path / "cut")["status"] == "writing"
    same(resume_fit(tmp_path / "cut", network), meant)
    same(resume_fit(tmp_path / "cut"), meant)  # it is finished


def test_a_fit_that_is_cut_again_and_again(network, seen, tmp_path, monkeypatch):
    meant = assimilate(network, seen, to=tmp_path / "meant", **ALL)
    for frame in (6, 11, 16):
        with monkeypatch.context() as patch:
            cut_at(patch, frame)
            with pytest.raises(Cut):
                again(network, seen, tmp_path / "cut")
    same(resume_fit(tmp_path / "cut", network), meant)
    assert len(list(beside(tmp_path / "cut").glob("filter-*.npz"))) <= 2


def again(network, seen, path):
    """Begin a fit, or go on with it."""
    if path.exists():
        return resume_fit(path, network)
    return assimilate(network, seen, to=path, **ALL)


def test_a_fit_that_replaces_another_does_not_go_on_from_its_checkpoints(
    network, seen, tmp_path, monkeypatch
):
    assimilate(network, seen, to=tmp_path / "fit", **PLAIN)
    cut_at(monkeypatch, 2)
    with pytest.raises(Cut):
        assimilate(network, seen, to=tmp_path / "fit", overwrite=True, **PLAIN)
    with pytest.raises(StoreError, match="no complete checkpoint"):
        resume_fit(tmp_path / "fit", network)


def test_checkpoints_leave_no_mark(network, seen, tmp_path):
    one = assimilate(network, seen, to=tmp_path / "one", **ALL)
    other = assimilate(network, seen, to=tmp_path / "other", **{**ALL, "checkpoint_every": None})
    same(one, other)


def test_what_cannot_be_resumed_is_told(network, brain, seen, tmp_path, monkeypatch):
    cut_at(monkeypatch, 3)
    for name, options in (("none", {**PLAIN, "checkpoint_every": None}), ("early", PLAIN)):
        with pytest.raises(Cut):
            assimilate(network, seen, to=tmp_path / name, **options)
    with pytest.raises(StoreError, match="kept no checkpoints"):
        resume_fit(tmp_path / "none", network)
    with pytest.raises(StoreError, match="no complete checkpoint"):
        resume_fit(tmp_path / "early", network)
    monkeypatch.undo()
    cut_at(monkeypatch, 6)
    with pytest.raises(Cut):
        assimilate(network, seen, to=tmp_path / "late", **PLAIN)
    other = build(brain, tmp_path / "other.zarr", neurons=1600, degree=20, seed=8)
    with pytest.raises(InputError, match="another network"):
        resume_fit(tmp_path / "late", other)
    (tmp_path / "late").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreExistsError, match="holds checkpoints"):
        assimilate(network, seen, to=tmp_path / "late", **PLAIN)
    (tmp_path / "elsewhere").rename(tmp_path / "late")
    for file in beside(tmp_path / "late").glob("filter-*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"filter-\d+.npz: damaged"):
        resume_fit(tmp_path / "late", network)


def test_the_settings_of_a_fit_are_json(network, seen, tmp_path):
    made = assimilate(network, seen, to=tmp_path / "fit", **ALL)
    told = json.loads(json.dumps(made.attrs))
    assert told["walk_of"]["memory"] == 6
    assert told["observed"] == ALL["observed"]
    np.testing.assert_array_equal(made["walk_correlation"], WALK.correlation)
    assert open_posterior(tmp_path / "fit").sizes["other"] == 8


# Workers are lost


def test_a_fit_goes_on_without_the_worker_that_was_killed(
    network, seen, two_workers, tmp_path, monkeypatch, caplog
):
    forecast, frames = Ensemble.forecast, []

    def struck(self):
        frames.append(1)
        if len(frames) == 8:
            where = self.session.workers[1]
            os.kill(two_workers.run(os.getpid, workers=[where])[where], signal.SIGKILL)
        return forecast(self)

    meant = assimilate(network, seen, to=tmp_path / "meant", **{**ALL, "checkpoint_every": None})
    monkeypatch.setattr(Ensemble, "forecast", struck)
    with caplog.at_level(logging.WARNING):
        made = assimilate(
            network, seen, two_workers, to=tmp_path / "fit", **{**ALL, "checkpoint_every": None}
        )
    assert "lost tcp://" in caplog.text
    assert "all 12 members go on" in caplog.text
    before = {name: made[name][:6] for name in ("bold_forecast", "parameter_value", "bold_free")}
    for name, values in before.items():
        np.testing.assert_array_equal(values, meant[name][:6], err_msg=name)
    for name in made:
        assert np.isfinite(made[name]).all()
        assert made[name].shape == meant[name].shape
    assert (made["bold_forecast"][8] != meant["bold_forecast"][8]).any()
    spread = [float(x["bold_forecast"][8:].std("member").mean()) for x in (made, meant)]
    assert 0.5 < spread[0] / spread[1] < 2


@pytest.fixture
def ten():
    """Ten workers, all in this process."""
    with connect("local", workers=10, processes=False) as client:
        yield client


def test_a_tenth_of_the_members_is_lost_with_its_worker_and_none_is_a_copy(
    network, seen, ten, tmp_path, monkeypatch, caplog
):
    """Every member goes on with what the filter knows of it, so that the spread stays honest."""
    options = {**ALL, "members": 10, "checkpoint_every": None}
    few = Observation(seen.y[:10], seen.error, seen.tr_s)
    forecast, frames = Ensemble.forecast, []

    def struck(self):
        frames.append(1)
        if len(frames) == 6:
            assert [told.shape[1] for told in self.session._crew.call("balloon")] == [3] * 10
            at = self.session.workers[4]
            lost = next(one for one in ten.cluster.workers.values() if one.address == at)
            ten.sync(lost.close, timeout=0, executor_wait=False, reason="struck")
        return forecast(self)

    meant = assimilate(network, few, to=tmp_path / "meant", **options)
    monkeypatch.setattr(Ensemble, "forecast", struck)
    with caplog.at_level(logging.WARNING):
        made = assimilate(network, few, ten, to=tmp_path / "fit", **options)
    assert "all 30 members go on, on 9 workers" in caplog.text
    for name in ("bold_forecast", "parameter_value", "bold_ahead"):
        np.testing.assert_array_equal(made[name][:4], meant[name][:4], err_msg=name)
        assert np.isfinite(made[name]).all()
    h = made["parameter_value"].isel(frame=-1).values.reshape(10, -1)
    assert len(np.unique(h, axis=0)) == 10
    for name in ("bold_forecast", "parameter_value"):
        one, other = (fit[name][5:].values.std(axis=1).mean() for fit in (made, meant))
        assert one == pytest.approx(other, rel=0.3), name
