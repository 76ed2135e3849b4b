"""The verb that shows stores in a browser: view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dtbdask.cli.telling import CONNECTOME, told

if TYPE_CHECKING:
    from dtbdask.viz.app.study import Study


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--connectome", help=CONNECTOME[0].upper() + CONNECTOME[1:] + ".")
@click.option("--port", type=int, default=5006, show_default=True, help="0 for any free one.")
@click.option(
    "--address", default="127.0.0.1", show_default=True,
    help="Interface; one that others can reach needs --password or --oauth-provider.",
)  # fmt: skip
@click.option(
    "--password", envvar="DTBDASK_PASSWORD", show_envvar=True,
    help="Asked of every visitor; better put into the variable than on the command line.",
)  # fmt: skip
@click.option("--oauth-provider", help="Such as github, google, azure: see Panel's manual.")
@click.option("--oauth-key", envvar="DTBDASK_OAUTH_KEY", show_envvar=True)
@click.option("--oauth-secret", envvar="DTBDASK_OAUTH_SECRET", show_envvar=True)
@click.option("--show", is_flag=True, help="Open a browser.")
@click.option("--no-pyramid", is_flag=True, help="Write nothing beside spikes that are many.")
@told
def view(
    stores: tuple[Path, ...], connectome: str | None, port: int, address: str,
    password: str | None, oauth_provider: str | None, oauth_key: str | None,
    oauth_secret: str | None, show: bool, no_pyramid: bool,
) -> None:  # fmt: skip
    """Show STORES (a network, recordings, a fit) in a browser, also while they are written."""
    from dtbdask import viz

    oauth = None
    if oauth_provider:
        given = {"provider": oauth_provider, "key": oauth_key, "secret": oauth_secret}
        oauth = {f"oauth_{name}": value for name, value in given.items() if value}
    viz.check_address(address, guarded=bool(password or oauth))
    study = viz.Study(stores, connectome)
    if not no_pyramid:
        _build_pyramids(study)
    port = port or viz.free_port(address)
    click.secho(f"Serving at http://{address}:{port}; interrupt to end.", err=True)
    viz.serve(study, address=address, port=port, password=password, oauth=oauth, show=show)


def _build_pyramids(study: Study) -> None:
    """Count the spikes of finished recordings that have too many to be read for a view."""
    from dtbdask.errors import StoreError
    from dtbdask.sim.pyramid_build import build_pyramid
    from dtbdask.viz.source import READ

    for run in study.runs:
        spikes = run.spikes
        if spikes is None or spikes.pyramid or not run.finished or spikes.n_spikes <= READ:
            continue
        click.secho(f"Counting the {spikes.n_spikes:,} spikes of {run.path}, once.", err=True)
        try:
            spikes.pyramid = build_pyramid(run.path)
        except StoreError as error:
            click.secho(f"Long views of the raster show their last part only: {error}", err=True)
