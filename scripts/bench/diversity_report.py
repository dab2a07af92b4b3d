"""Tables, claims and figure of the diversity bench, from its result files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import diversity_figure
import diversity_page
from diversity_claims import Claim, base_and_grpo, best_of_both, gain_of_grpo, loss_of_grpo
from diversity_frontiers import Comparison, comparisons, match_of_controls
from diversity_statistics import DRAWS, METRICS, SUITES, Setting, average, difference, read_settings
from quince.eval.measure.statistics import Interval

COMMAND = "python scripts/bench/diversity.py run"
Plan = Sequence[tuple[str, float | None, int]]


def report(results: Path, out: Path) -> None:
    """Write diversity.json, diversity.md and diversity.png into a folder, from what runs there are.

    Args:
        results: Folder with one JSON file a run, all judged on the same problems in the same order.
        out: Folder of the report.

    Raises:
        ResultsError: There are no results, or they are not of the same problems.
    """
    from diversity import SAMPLES, jobs

    plan = [(job["method"], job["weight"], job["seed"]) for job in jobs()]
    settings = read_settings(results, list(dict.fromkeys((method, weight) for method, weight, _ in plan)))
    found = comparisons(settings)
    claims = judge_claims(settings, found)
    newest = max(path.stat().st_mtime for path in results.glob("*.json"))
    about = describe(settings, plan, SAMPLES, date.fromtimestamp(newest))
    out.mkdir(parents=True, exist_ok=True)
    (out / "diversity.json").write_text(as_json(about, settings, claims, found), encoding="utf-8")
    (out / "diversity.md").write_text(diversity_page.page(about, settings, claims, found), encoding="utf-8")
    diversity_figure.draw(settings, highlights(settings, claims), out / "diversity.png")


def judge_claims(settings: Sequence[Setting], found: Sequence[Comparison]) -> list[Claim]:
    """The four claims that the bench was made for."""
    base, grpo = base_and_grpo(settings)
    return [
        gain_of_grpo(base, grpo),
        loss_of_grpo(base, grpo),
        best_of_both(settings, base, grpo),
        match_of_controls(found),
    ]


def describe(settings: Sequence[Setting], plan: Plan, samples: int, day: date) -> dict[str, Any]:
    """What was run, where and when, and what of the plan is missing."""
    done = {(setting.method, setting.weight, seed) for setting in settings for seed in setting.seeds}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "trl", "transformers")}
    return {
        "command": COMMAND,
        "date": day.isoformat(),
        "hardware": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "versions": versions,
        "seeds": sorted({seed for setting in settings for seed in setting.seeds}),
        "samples_per_problem": samples,
        "problems": {suite: settings[0].values[suite]["pass@1"].shape[1] for suite in SUITES},
        "bootstrap_draws": DRAWS,
        "runs": len(done),
        "missing_runs": sorted(f"{m}{'' if w is None else f' {w:g}'} seed {s}" for m, w, s in set(plan) - done),
    }


def cpu_name() -> str:
    """The processor's name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def highlights(settings: Sequence[Setting], claims: Sequence[Claim]) -> dict[str, list[Setting]]:
    """Per suite, the settings that a claim names there: their Pass@k is drawn beside base and GRPO."""
    named = {(part.name, part.setting) for claim in claims for part in claim.parts}
    return {suite: [s for s in settings if (name, s.label) in named] for suite, name in SUITES.items()}


def as_json(
    about: dict[str, Any], settings: Sequence[Setting], claims: Sequence[Claim], found: Sequence[Comparison]
) -> str:
    """All figures as [estimate, low, high], one line a setting."""
    base, grpo = base_and_grpo(settings)
    rows = [
        {
            "setting": s.label,
            "method": s.method,
            "weight": s.weight,
            "recipe": s.recipe,
            "seeds": s.seeds,
            "train_cpu_seconds": round(s.cpu_seconds, 1),
            "suites": {
                suite: {
                    metric: {
                        "mean": triple(average(s, suite, metric)),
                        "minus_base": triple(difference(s, base, suite, metric)),
                        "minus_grpo": triple(difference(s, grpo, suite, metric)),
                    }
                    for metric in METRICS
                }
                for suite in SUITES
            },
        }
        for s in settings
    ]
    parts = {
        "claims": [{"verdict": claim.verdict, **plain(asdict(claim))} for claim in claims],
        "at_equal_pass1": [plain(asdict(comparison)) for comparison in found],
        "settings": rows,
    }
    lists = ",\n".join(
        f' "{name}": [\n  ' + ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in part) + "\n ]"
        for name, part in parts.items()
    )
    head = "".join(f' "{name}": {json.dumps(value, ensure_ascii=False)},\n' for name, value in about.items())
    return f"{{\n{head}{lists}\n}}\n"


def triple(figure: Interval | None) -> list[float] | None:
    """Estimate and ends."""
    return [round(v, 4) for v in (figure.estimate, figure.low, figure.high)] if figure else None


def plain(value: Any) -> Any:
    """Nested data with intervals as triples and floats rounded."""
    if isinstance(value, dict):
        if "estimate" in value:
            return triple(Interval(**value))
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
