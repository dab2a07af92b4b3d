"""How function calls of the tiny models grow with the tokens they were trained on.

    python scripts/bench/function_calling_curve.py runs/fc --out docs/results/function_calling/curve.png

Takes the records that `scripts/bench/function_calling.py` takes, of checkpoints as well. The tokens of a model are
those of its own run (`data.json` in the run folder) and of the models it started from. Controls, whose rows are others,
are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from function_calling import MEASURES, SUITES, Line, read_report, summary

CONTROLS = ("tiny_bg_known_names",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    points: dict[int, list[Line]] = {}
    for file in sorted(given.records.glob("*/test/record.json")):
        if file.parent.parent.name in CONTROLS:
            continue
        tokens = trained_tokens(Path(json.loads(file.read_text(encoding="utf-8"))["model_info"]["id"]))
        if tokens:
            folder = file.parent.parent
            points[tokens] = summary(folder.name, {name: read_report(folder / name) for name in SUITES})
    if not points:
        parser.error(f"{given.records}: no records of models whose run folders are here")
    print(table(points))
    draw(points, given.out)


def trained_tokens(model: Path) -> int:
    """Tokens of SFT behind a model, those of the models it started from included; 0 without any or after other runs."""
    run = model.parent
    if not (run / "data.json").is_file():
        return 0
    recipe = yaml.safe_load((run / "recipe.resolved.yaml").read_text(encoding="utf-8"))
    own = json.loads((run / "data.json").read_text(encoding="utf-8"))["tokens"]
    if model.name.startswith("checkpoint-"):
        step = int(model.name.rpartition("-")[2])
        logged = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        own = next(int(line["num_tokens"]) for line in logged if line["step"] == step)
    return own + trained_tokens(Path(recipe["model"]["id"]))


def table(points: dict[int, list[Line]]) -> str:
    """Figures down, models across, in the order of their tokens."""
    columns = [points[tokens] for tokens in sorted(points)]
    rows = [
        "| figure, % | " + " | ".join(f"{lines[0].model}" for lines in columns) + " | aim |",
        "|---|" + "---:|" * (len(columns) + 1),
        "| million tokens | " + " | ".join(f"{tokens / 1e6:.1f}" for tokens in sorted(points)) + " | |",
    ]
    for index, what in enumerate(MEASURES):
        rows.append(
            f"| {what} | " + " | ".join(f"{c[index].percent}" for c in columns) + f" | {columns[0][index].aim} |"
        )
    return "\n".join(rows)


def draw(points: dict[int, list[Line]], target: Path) -> None:
    """One small panel a figure, with 95 % intervals and the aim as a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 4, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for index, (what, panel) in enumerate(zip(MEASURES, panels.flat, strict=False)):
        lines = {tokens / 1e6: points[tokens][index] for tokens in sorted(points)}
        _panel(panel, what, lines)
    for panel in panels.flat[len(MEASURES) :]:
        panel.set_visible(False)
    figure.supxlabel("million tokens of SFT")
    figure.supylabel("right, %")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def _panel(panel: Any, what: str, lines: dict[float, Line]) -> None:
    values = [line.percent for line in lines.values()]
    below = [line.percent - line.low for line in lines.values()]
    above = [line.high - line.percent for line in lines.values()]
    panel.errorbar(list(lines), values, [below, above], marker="o", color="#2e7da8", capsize=3)
    aim = next(iter(lines.values())).aim
    if aim != "-":
        panel.axhline(float(aim), color="#6c695f", linestyle="--", linewidth=1)
    panel.set(title=what, ylim=(0, 102))
    panel.title.set_fontsize(9)
    panel.grid(alpha=0.3)


if __name__ == "__main__":
    main()
