"""The command line: the same verbs as the library, `--json` where figures are reported."""

from __future__ import annotations

import logging
import sys

import click

from dtbdask.cli import checks, formats, networks, restarts, runs, spikes, view


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dtbdask")
@click.option("-v", "--verbose", is_flag=True, help="Log what the library does.")
def main(verbose: bool) -> None:
    """From diffusion MRI and grey matter to a spiking brain, its BOLD, and a fit of it."""
    ours = logging.getLogger("dtbdask")
    if not ours.handlers:
        ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO if verbose or not sys.stderr.isatty() else logging.WARNING)


for verb in (
    runs.demo, networks.plan, networks.build, networks.inspect, networks.verify, networks.modify,
    formats.import_dtb, formats.export_dtb, formats.import_network, formats.export_network,
    runs.run, restarts.resume, runs.report, view.view, spikes.export_spikes, checks.doctor,
    checks.verify_dtb, checks.bench, checks.dry_run,
):  # fmt: skip
    main.add_command(verb)
