"""The command line: one function a command, heavy imports inside it, one boundary for errors."""

import typer

from edgecam.boundary import guarded
from edgecam.cli import building, datasets, measuring, running, starting, teaching, training

app = typer.Typer(
    name="edgecam",
    help="Labelled photos in, a camera that names what it sees and shows where.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(training.train)
app.command()(building.build_engine)
app.command()(building.lint)
app.command("eval")(measuring.evaluate)
app.command()(measuring.bench)
app.command(cls=running.Grouped)(running.run)
app.command()(running.devices)
app.command()(building.export)
app.command()(teaching.teach)
app.command()(starting.doctor)
app.command()(starting.demo)

data = typer.Typer(help="Make data sets.", no_args_is_help=True, rich_markup_mode=None)
data.command()(datasets.composite)
data.command()(datasets.augment)
data.command()(datasets.shards)
app.add_typer(data, name="data")


def main() -> None:
    """The console script."""
    guarded(app)
