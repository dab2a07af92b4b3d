"""The README of a trained model: what it is, everything needed to make it again, and what it was measured to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import yaml

from ...data.cache import write_atomic
from .run_folder import RECIPE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from ...eval.measure.records import Record
    from ...eval.show.hub_results import Benchmark
    from ..config.loaded import LoadedRecipe, Training

CARD_FILE = "README.md"
RESULTS_FOLDER = ".eval_results"
CARD = """---
library_name: transformers
tags: [quince, {kind}]
{base}---
# {name}

{about}

```bash
quince train {name}
```

The resolved recipe:

```yaml
{recipe}
```
"""
_HEADING = "## Evaluation"


class CardError(ValueError):
    """Results that do not belong to the model."""


def write_card(folder: Path, loaded: LoadedRecipe[Training]) -> None:
    """Put the card and the resolved recipe into a model folder; the recipe says whose result it is."""
    (folder / CARD_FILE).write_text(model_card(loaded), encoding="utf-8")
    (folder / RECIPE_FILE).write_text(loaded.to_yaml(), encoding="utf-8")


def model_card(loaded: LoadedRecipe[Training]) -> str:
    """Markdown with the model card metadata of the Hugging Face Hub and the resolved recipe."""
    recipe = loaded.recipe
    base = getattr(getattr(recipe, "model", None), "id", None)
    known = f"base_model: {base}\n" if base and base != "tiny" else ""
    about = recipe.description or f"Made by the Quince recipe `{loaded.name}`."
    return CARD.format(kind=recipe.kind, base=known, name=loaded.name, about=about, recipe=loaded.to_yaml().rstrip())


def write_results(records: Path, folder: Path, benchmarks: Mapping[str, Benchmark]) -> list[Path]:
    """Write results into a model folder: `model-index` and a table in its card, and `.eval_results/*.yaml`.

    Args:
        records: A record folder, or a folder with records below.
        folder: The model that was evaluated.
        benchmarks: Datasets on the Hub by suite; the other suites have no file in `.eval_results`.

    Raises:
        CardError: A record is of another model, or a suite was not evaluated.
        RecordError: There is no record.
    """
    from ...eval.measure.records import find_records, read_record
    from ...eval.show.hub_results import eval_results

    found = [read_record(place) for place in find_records([records])]
    _check(found, folder, benchmarks)
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8") if card.exists() else f"# {folder.resolve().name}\n"
    written = [write_atomic(card, with_results(text, found, benchmarks))]
    for record in found:
        benchmark = benchmarks.get(record.settings.suite)
        for name, entries in (eval_results(record, benchmark) if benchmark else {}).items():
            written.append(write_atomic(folder / RESULTS_FOLDER / name, _yaml(entries)))
    return written


def with_results(card: str, records: Sequence[Record], benchmarks: Mapping[str, Benchmark]) -> str:
    """Return a card with `model-index` in its front matter and the section "Evaluation", which replace older ones."""
    from ...eval.show.hub_results import evaluation_grid, model_index
    from ...eval.show.tables import markdown

    parts = re.match(r"---\n(.*?)\n---\n", card, re.S)
    front, body = (yaml.safe_load(parts[1]) or {}, card[parts.end() :]) if parts else ({}, card)
    title = re.search(r"^# (.+)$", body, re.M)
    name = title[1].strip() if title else "model"
    front["model-index"] = model_index(name, records, dict(benchmarks))
    section = markdown(evaluation_grid(records)).replace("### Evaluation", _HEADING, 1)
    without = re.sub(rf"^{_HEADING}\n.*?(?=^## |\Z)", "", body, flags=re.M | re.S).rstrip()
    return f"---\n{_yaml(front)}---\n{without}\n\n{section}\n"


def _check(records: Sequence[Record], folder: Path, benchmarks: Mapping[str, Benchmark]) -> None:
    from ..parts.fingerprint import files_fingerprint

    own, suites = files_fingerprint(folder), [record.settings.suite for record in records]
    for record in records:
        if record.settings.model_fingerprint != own:
            raise CardError(
                f"{record.folder} · is of {record.settings.model} ({record.settings.model_fingerprint}), "
                f"{folder} holds {own} · evaluate this model, or give the folder of that one"
            )
    for suite in benchmarks:
        if suite not in suites:
            raise CardError(f"dataset · found {suite!r} · one of {', '.join(suites)}")
    if len(set(suites)) < len(suites):
        raise CardError(f"{len(suites)} records of {len(set(suites))} suites · give one record of each suite")


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
