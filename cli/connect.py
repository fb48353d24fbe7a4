"""`headrace connect`: sinks and Kafka Connect."""

import typer

from headrace.cli import connect_worker

app = typer.Typer(help="Kafka Connect, for sinks: start, stop, plugin.", no_args_is_help=True, rich_markup_mode=None)
app.command()(connect_worker.start)
app.command()(connect_worker.stop)
app.command()(connect_worker.plugin)
