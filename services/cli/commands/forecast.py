"""`spendgate forecast`: what will be spent, and how far such forecasts can be trusted."""

from __future__ import annotations

import inspect

import typer

from services.cli.commands import forecast_backtest, forecast_calibrate
from services.cli.commands.foreseen import forecast_show

app = typer.Typer(no_args_is_help=True, help="What will be spent, and how far such forecasts can be trusted.")
app.command("show", epilog="Example:  spendgate forecast show --window quarter", help=inspect.getdoc(forecast_show))(
    forecast_show
)
app.command(
    "backtest", epilog="Example:  spendgate forecast backtest --no-prophet --seed 7", help=forecast_backtest.HELP
)(forecast_backtest.backtest)
app.command("calibrate", epilog="Example:  spendgate forecast calibrate --check", help=forecast_calibrate.HELP)(
    forecast_calibrate.calibrate
)
