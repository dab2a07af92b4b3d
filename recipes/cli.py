"""The `quince` command: thin, every verb calls one function; torch is imported only by those that need it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command import export, probe
from .command.compress import compress

if TYPE_CHECKING:
    from .config.loaded import LoadedRecipe
    from .config.loaded import Recipe as AnyRecipe

app = typer.Typer(
    name="quince",
    help="Training recipes that teach a language model something new and keep what it already knew.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
preview_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(preview_app, name="preview", help="Look at rows and rewards before anything is trained.")
app.add_typer(probe.app, name="probe", help="What fine-tuning rows pin down, why, and which rows to add.")
app.command("compress")(compress)
app.add_typer(export.app, name="export", help="Take a recipe to an engine that owns its processes.")

Recipe = Annotated[str, typer.Argument(help="A name from `quince list`, or a YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example trainer.learning_rate=2e-6")
]
Rows = Annotated[int, typer.Option("--rows", "-n", min=1, help="Rows of each source.")]

_TRAINERS = {kind: f"quince.recipes.{kind}.train" for kind in ("rlvr", "sft", "dpo", "pretrain", "coverage")}
_TRAINERS["pipeline"] = "quince.recipes.run.pipeline"
_EVALUATIONS = {"eval": "quince.recipes.evaluate.evaluation", "compression_eval": "quince.recipes.evaluate.compression"}


@app.command("list")
def list_recipes() -> None:
    """The recipes shipped with Quince."""
    from .command.show import recipe_table
    from .config import library_recipes

    print(recipe_table(library_recipes()))


@app.command()
def show(
    recipe: Annotated[str | None, typer.Argument(help="A name from `quince list`, or a YAML file.")] = None,
    overrides: Overrides = None,
    schema: Annotated[
        str | None, typer.Option(help="Print the JSON schema of a kind instead, for example rlvr.")
    ] = None,
) -> None:
    """The resolved recipe with the origin of each value; itself a runnable recipe."""
    from .command.show import json_schema

    if schema is not None:
        print(json_schema(schema))
    elif recipe is None:
        raise typer.BadParameter("name a recipe, or a kind with --schema")
    else:
        print(_load(recipe, overrides).to_yaml(origins=True), end="")


@app.command()
def validate(recipe: Recipe, overrides: Overrides = None) -> None:
    """Check a recipe; every problem at once, exit code 2 if there is one."""
    from .run.console import load_for_launch

    loaded = load_for_launch(recipe, overrides or [])
    for note in loaded.notes:
        print(f"note: {note}")
    print(f"{loaded.name}: valid")


@app.command()
def plan(
    recipe: Recipe,
    overrides: Overrides = None,
    gpu: Annotated[str, typer.Option(help="What it is to run on, for example h200, a100 or 4090.")] = "h100",
) -> None:
    """Memory, tokens, steps, time, disk and the launch line, before anything is loaded."""
    from .plan.gpus import GPUS
    from .plan.make_plan import make_plan

    if gpu not in GPUS:
        raise typer.BadParameter(f"{gpu!r} is not one of {', '.join(GPUS)}")
    print(make_plan(_load(recipe, overrides), gpu, [recipe, *(overrides or [])]))


@app.command()
def copy(
    recipe: Recipe,
    to: Annotated[Path, typer.Argument(help="A folder or a file name.")] = Path("."),
) -> None:
    """Write a shipped recipe into your folder, to change it there."""
    from .config.language.library import copy_recipe

    print(copy_recipe(recipe, to))


@preview_app.command("data")
def preview_data(recipe: Recipe, overrides: Overrides = None, rows: Rows = 2) -> None:
    """Rows as the model sees them: dim what it reads, green what it learns to write."""
    from .preview.previews import show_data

    for part in _load(recipe, overrides).parts():
        show_data(part, rows)


@preview_app.command("rewards")
def preview_rewards(
    recipe: Recipe,
    overrides: Overrides = None,
    rows: Rows = 3,
    samples: Annotated[int, typer.Option(min=0, help="Answers of the model to each row, judged as well.")] = 0,
    model: Annotated[str | None, typer.Option(help="The model that answers; without it the recipe's.")] = None,
) -> None:
    """What the rewards give to gold, empty and near-miss answers, and to the model's own."""
    from .preview.previews import show_rewards

    for part in _load(recipe, overrides).parts():
        show_rewards(part, rows, samples or (4 if model else 0), model)


@app.command()
def split(recipe: Recipe, overrides: Overrides = None) -> None:
    """Find the prompts that the initial model already solves, and store its answers to them."""
    loaded = _load(recipe, overrides)
    if loaded.recipe.kind != "rlvr" or loaded.recipe.split is None:
        raise typer.BadParameter(f"{loaded.name} has no `split` section")
    _call("quince.recipes.rlvr.split", loaded)


@app.command()
def train(
    recipe: Recipe,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
) -> None:
    """Train; with `launch.processes` above 1 through `accelerate launch`."""
    from .run.console import load_for_launch
    from .run.launching import launch_command, run_launched

    loaded = load_for_launch(recipe, overrides or [])
    if loaded.recipe.kind not in _TRAINERS:
        raise typer.BadParameter(f"{loaded.name} is for `quince eval`")
    arguments = [recipe, *(overrides or []), *(["--resume"] if resume else [])]
    launch = getattr(loaded.recipe, "launch", None)  # a pipeline's stages are launched one by one
    if launch and (command := launch_command(launch, arguments)):
        run_launched(loaded, command, arguments)
    else:
        _call(_TRAINERS[loaded.recipe.kind], loaded, resume=resume)


@app.command("eval")
def evaluate(recipe: Recipe, overrides: Overrides = None) -> None:
    """Answer the questions of an eval recipe, or measure a compressor of prompts, and write the records."""
    from .config import evaluation_name

    loaded = _load(evaluation_name(recipe), overrides)
    if loaded.recipe.kind not in _EVALUATIONS:
        raise typer.BadParameter(f"{loaded.name} is for `quince train`")
    _call(_EVALUATIONS[loaded.recipe.kind], loaded)


@app.command()
def board(
    records: Annotated[list[Path], typer.Argument(help="Folders of records.")],
    out: Annotated[Path, typer.Option(help="Folder for the site.")] = Path("board"),
) -> None:
    """A static site that compares evaluations: open index.html in a browser."""
    from rich import print as show

    from ..eval.board import build_board
    from ..eval.measure.records import find_records, read_record
    from ..eval.show.tables import overview_table

    page = build_board(records, out)
    show(overview_table([read_record(folder) for folder in find_records(records)]))
    print(page)


@app.command()
def card(
    records: Annotated[Path, typer.Argument(help="A folder of records.")],
    model: Annotated[Path, typer.Argument(help="The folder of the model that they are of.")],
    dataset: Annotated[
        list[str] | None, typer.Option(help="SUITE=ORG/NAME:TASK, for the leaderboard of a dataset on the Hub.")
    ] = None,
) -> None:
    """Write results into a model folder: a table and model-index in its card, and .eval_results for the Hub."""
    from ..eval.show.hub_results import parse_benchmark
    from .run.cards import write_results

    for file in write_results(records, model, dict(map(parse_benchmark, dataset or ()))):
        print(file)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a training run.")]) -> None:
    """One page about a run: curves, time, answers, recipe; training writes it at its end."""
    from .run.report import write_report

    print(write_report(run))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, see `guarded`."""
    from .run.console import guarded

    guarded(lambda: app(args=arguments, prog_name="quince"))


def _load(recipe: str, overrides: Sequence[str] | None) -> LoadedRecipe[AnyRecipe]:
    from .config import load_recipe

    return load_recipe(recipe, overrides or ())


def _call(module: str, loaded: LoadedRecipe[AnyRecipe], **options: Any) -> None:
    import_module(module).run(loaded, **options)


if __name__ == "__main__":
    main()
