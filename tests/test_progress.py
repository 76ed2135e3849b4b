"""Progress is told where somebody reads it, and never changes what the work does."""

import logging
import re
import sys

import dask
import pytest

from dtbdask import progress
from dtbdask.errors import InputError
from dtbdask.progress import track

STYLES = ["auto", "bar", "log", "off"]


@pytest.fixture(autouse=True)
def _readable(caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="dtbdask.progress")
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def work(style, amounts=(1, 2, 3)):
    with (
        dask.config.set({"dtbdask.progress": style}),
        track("Wiring", sum(amounts), "rows") as step,
    ):
        return [step(amount) for amount in amounts]


@pytest.mark.parametrize("style", STYLES)
def test_standard_output_belongs_to_the_user(style, capsys):
    work(style)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("style", STYLES)
def test_failure_of_the_work_passes_unchanged_and_is_not_called_done(style, caplog):
    failure = ZeroDivisionError("of the work")
    with (  # noqa: PT012
        dask.config.set({"dtbdask.progress": style}),
        pytest.raises(ZeroDivisionError) as caught,
        track("Wiring", 10) as step,
    ):
        step(1)
        raise failure
    assert caught.value is failure
    assert "done" not in caplog.text


def test_a_bar_shows_title_and_amount_and_logs_nothing(capsys, caplog):
    work("bar")
    shown = capsys.readouterr().err
    assert "Wiring" in shown
    assert "6/6 rows" in shown
    assert caplog.records == []


def test_off_is_silent(capsys, caplog):
    work("off")
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_log_lines_go_to_the_logger_of_the_module_and_count_upwards(capsys, caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    work("log", amounts=(1000, 2000, 3000))
    assert capsys.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"dtbdask.progress"}
    *lines, last = caplog.messages
    assert lines == ["Wiring: 1,000 of 6,000 rows", "Wiring: 3,000 of 6,000 rows"]
    assert re.fullmatch(r"Wiring: done, \d+\.\d s", last)


def test_many_steps_make_few_lines(caplog):
    work("log", amounts=[1] * 10_000)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("seen", "notebook"), [(True, False), (False, True)])
def test_auto_is_a_bar_where_somebody_looks(seen, notebook, caplog, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: seen, raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", object())
    work("auto")
    assert "6/6 rows" in capsys.readouterr().err
    assert caplog.records == []


def test_auto_is_a_log_elsewhere(caplog, capsys):
    work("auto")
    assert "done" in caplog.text
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("style", ["loud", "", None, 3])
def test_an_unknown_style_is_refused_before_the_work_begins(style):
    begun = []
    with (
        dask.config.set({"dtbdask.progress": style}),
        pytest.raises(InputError, match=f"dtbdask.progress is {style!r}; use 'auto', 'bar'"),
        track("Wiring", 1),
    ):
        begun.append(True)
    assert begun == []
