"""One probe model for each size of the training set, in processes of their own, and what they show together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ...data.cache import write_atomic
from ..config.language.reading import CoreDumper

if TYPE_CHECKING:
    from ..config.coverage import CoverageRecipe
    from ..config.loader import LoadedRecipe

RESULT = "result.json"
FIGURE = "accuracy.png"


class SizeError(RuntimeError):
    """The training of one size ended with an error."""


def train_sizes(loaded: LoadedRecipe[CoverageRecipe], resume: bool = False) -> Path:
    """Train every size, `processes` at a time; sizes that are finished are passed.

    Returns:
        The run folder: `rows_<N>/` for each size, `result.json`, and `accuracy.png` where matplotlib is installed.

    Raises:
        SizeError: A process failed; the others were waited for.
    """
    recipe = loaded.recipe
    folder = Path(recipe.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "recipe.resolved.yaml", loaded.to_yaml())
    with ThreadPoolExecutor(recipe.processes) as pool:
        codes = list(pool.map(lambda rows: _train_one(recipe, rows, resume), recipe.data.rows))
    failed = [rows for rows, code in zip(recipe.data.rows, codes, strict=True) if code]
    if failed:
        raise SizeError(f"{folder} · rows {failed} did not finish · mend it and run the same command again")
    results = [json.loads((_folder(recipe, rows) / RESULT).read_text(encoding="utf-8")) for rows in recipe.data.rows]
    write_atomic(folder / RESULT, json.dumps(results))
    print(table(results))
    if find_spec("matplotlib"):
        from .figure import draw

        draw(results, folder / FIGURE)
    return folder


def table(results: list[dict[str, Any]]) -> str:
    """Accuracy by type for each size, as aligned text."""
    groups = list(dict.fromkeys(name for result in results for name in result["right"]))
    lines = [["rows", "kappa", *groups, "steps"]]
    for result in results:
        contexts = result["shared_contexts"]
        cells = [f"{good / rows:.3f}" for good, rows in (result["right"].get(name, (0, 1)) for name in groups)]
        kappa = "-" if contexts is None else f"{contexts:.1f}"
        lines.append([str(result["data"]["task"]["rows"]), kappa, *cells, str(result["steps"])])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)


def _folder(recipe: CoverageRecipe, rows: int) -> Path:
    return Path(recipe.output_dir) / f"rows_{rows}"


def _train_one(recipe: CoverageRecipe, rows: int, resume: bool) -> int:
    """Write the recipe of one size and run it as a command on one thread; returns its exit code."""
    from ..run.checkpoints import sorted_checkpoints

    folder = _folder(recipe, rows)
    one = recipe.model_dump(mode="json")
    one["data"]["rows"] = [rows]
    one["output_dir"] = str(folder)
    one["trainer"] |= {"disable_tqdm": True}  # several bars would write over each other
    file = folder.with_suffix(".yaml")
    write_atomic(file, yaml.dump(one, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=10_000))
    command = [sys.executable, "-m", "quince.recipes.cli", "train", str(file)]
    if resume and sorted_checkpoints(folder):
        command.append("--resume")
    print(f"rows {rows}: quince train {file}", flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, check=False).returncode
