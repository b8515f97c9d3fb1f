"""The program ``napari-prts`` and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_prts import __version__
from napari_prts.cli import (
    batch_command,
    convert_command,
    evaluate_command,
    export_commands,
    machine_commands,
    measure_command,
    model_commands,
    prepare_command,
    slide_commands,
    train_command,
    tune_command,
)
from napari_prts.cli.outcome import OneLineGroup, prepare_process

app = typer.Typer(
    name="napari-prts",
    cls=OneLineGroup,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    slide_commands.info,
    slide_commands.segment,
    tune_command.tune,
    convert_command.convert,
    slide_commands.simulate,
    measure_command.measure,
    prepare_command.prepare,
    train_command.train,
    model_commands.predict,
    evaluate_command.evaluate,
    model_commands.cluster,
    export_commands.figure,
    export_commands.export,
    batch_command.batch,
    machine_commands.demo,
    machine_commands.doctor,
):
    app.command()(command)
app.command("open")(export_commands.open_window)


@app.callback()
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Nuclei and predicted gene expression on H&E slides, in the order of the commands below.

    In napari the same steps are under Plugins > PRTS.
    """
    if version:
        typer.echo(f"napari-prts {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; the end of the process says how it went."""
    prepare_process()
    app(prog_name="napari-prts")
