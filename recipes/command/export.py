"""`quince export`: recipes for engines that own the placement of their processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """Take a recipe to another engine."""


@app.command()
def verl(
    recipe: Annotated[str, typer.Argument(help="A name from `quince list`, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("verl"),
) -> None:
    """Tables, loss, rewards and settings of an `rlvr` recipe, for verl."""
    from ..config import load_recipe
    from ..export.verl.export import export_verl

    print(f"bash {export_verl(load_recipe(recipe, overrides or ()), out)}/run.sh")
