"""What each method gains and what it loses: Pass@1 against Pass@16 over seeds, methods and strengths.

    python scripts/bench/diversity/runs.py run     # trains and evaluates what is missing; can be stopped and run again
    python scripts/bench/diversity/runs.py report  # the page, from what is there

Every run starts from the shipped tiny base and is evaluated with n = 64 samples a problem on new questions (in-domain),
on databases with other quirks (cross-domain) and on a skill that no run trains (old skill).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import asdict
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from quince.eval.measure.statistics import Interval
from quince.scripts.bench.diversity import claims as judging
from quince.scripts.bench.diversity.page import KS, METHODS, draw, render
from quince.scripts.bench.diversity.resampling import DRAWS, METRICS, Setting, average, difference, find, read_settings
from quince.scripts.bench.pages import Page, Results, bench, stamp

RUNS = Path("runs/bench/diversity")
SEEDS = range(1, 6)
SAMPLES = 64
PROBLEMS = 100
PILOT = {"size": 100, "seed": 0}
"""Problems that steps, learning rate and ranges of strengths were chosen on; the bench uses none of them."""
SUITES = {
    "in_domain": ("sql_idioms", "in_domain", "sql_execution"),
    "cross_domain": ("sql_idioms", "cross_domain", "sql_execution"),
    "old_skill": ("strategies", "test", "exact_match"),
}
SWEEPS = {name: (one["recipe"], one["weights"]) for name, one in METHODS.items() if "recipe" in one}


def jobs() -> list[dict[str, Any]]:
    found = [{"name": f"base-{seed}", "method": "base", "weight": None, "seed": seed} for seed in SEEDS]
    for seed, (method, (recipe, weights)) in product(SEEDS, SWEEPS.items()):
        for weight in weights or (None,):
            name = f"{recipe.removeprefix('rlvr/tiny_')}{'' if weight is None else f'-{weight:g}'}-{seed}"
            found.append({"name": name, "method": method, "weight": weight, "seed": seed, "recipe": recipe})
    return found


def train(job: dict[str, Any]) -> tuple[Path, float]:
    from quince.recipes.config import load_recipe
    from quince.recipes.parts.models import model_path
    from quince.recipes.rlvr.train import run

    if job["method"] == "base":
        # Another sampling seed for each, so that keep and explore compare independent samples.
        return Path(model_path("tiny")), 0.0
    folder = RUNS / job["name"]
    overrides = [f"seed={job['seed']}", f"output_dir={folder}", "trainer.save_strategy=no", "trainer.disable_tqdm=true"]
    if job["weight"] is not None:
        overrides.append(f"divergence.weight={job['weight']}")
    start = time.process_time()
    run(load_recipe(job["recipe"], overrides))
    return folder / "model", time.process_time() - start


def evaluate(model: Path, seed: int) -> dict[str, Any]:
    from quince.data.sources import load_rows
    from quince.eval.engines import Sampling, load_engine
    from quince.eval.measure.evaluate import evaluate as run
    from quince.eval.measure.metrics import per_problem
    from quince.rewards.base import make_reward

    engine = load_engine("transformers", model)
    found = {}
    for suite, (kind, part, reward) in SUITES.items():
        pilot = {row["id"] for row in load_rows(kind, split=part, **PILOT)}
        rows = [row for row in load_rows(kind, split=part, seed=1) if row["id"] not in pilot][:PROBLEMS]
        sampling = Sampling(n=SAMPLES, max_tokens=48, seed=seed)
        evaluation = run(rows, make_reward(reward), engine, sampling, KS)
        columns = per_problem(evaluation.problems, KS)
        names = (*(f"pass@{k}" for k in KS), "greedy", "distinct_correct", "idiom_entropy")
        found[suite] = {name: [None if v != v else round(float(v), 6) for v in columns[name]] for name in names}
    engine.close()
    return found


def work(job: dict[str, Any]) -> str:
    import torch
    from quince.data.cache import write_atomic

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    result = RUNS / "results" / f"{job['name']}.json"
    if result.exists():
        return f"{job['name']}: done before"
    start = time.time()
    model, cpu_seconds = train(job)
    suites = evaluate(model, 1000 * (job["method"] == "base") + job["seed"])
    record = {**job, "train_cpu_seconds": cpu_seconds, "stamp": stamp(), "suites": suites}
    write_atomic(result, json.dumps(record))
    return f"{job['name']}: {time.time() - start:.0f} s"


def run(workers: int = os.cpu_count() or 2) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    todo = jobs()
    # Splits are shared by the runs of a seed and must not be made twice at once.
    firsts = ("rlvr/tiny_grpo_exp", "rlvr/tiny_dph_f_wide")
    prepare = [job for job in todo if job.get("recipe") in firsts and job["weight"] in (None, 0.3)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with multiprocessing.get_context("spawn").Pool(workers) as pool, Progress(*columns) as progress:
        task = progress.add_task("diversity", total=len(todo))
        pool.map(split, prepare, chunksize=1)
        for line in pool.imap_unordered(work, todo, chunksize=1):
            progress.console.print(line)
            progress.advance(task)


def split(job: dict[str, Any]) -> None:
    from quince.recipes.config import load_recipe
    from quince.recipes.rlvr.split import run

    run(load_recipe(job["recipe"], [f"seed={job['seed']}", f"output_dir={RUNS / job['name']}"]))


def report(results: Path = RUNS / "results") -> Results:
    plan = [(job["method"], job["weight"], job["seed"]) for job in jobs()]
    settings = read_settings(results, list(dict.fromkeys((method, weight) for method, weight, _ in plan)))
    return summarise(settings, plan) | {"stamps": [_stamp(path) for path in sorted(results.glob("*.json"))]}


def _stamp(path: Path) -> dict[str, Any]:
    day = date.fromtimestamp(path.stat().st_mtime).isoformat()
    unknown = {"date": day, "commit": None, "modified": None, "machine": "machine not recorded", "versions": {}}
    return json.loads(path.read_text(encoding="utf-8")).get("stamp", unknown)


def summarise(settings: list[Setting], plan: list[tuple[str, float | None, int]]) -> Results:
    done = {(setting.method, setting.weight, seed) for setting in settings for seed in setting.seeds}
    base, grpo = find(settings, "base"), find(settings, "GRPO")
    found = judging.comparisons(settings)
    claims = [judging.gain_of_grpo(base, grpo), judging.loss_of_grpo(base, grpo)]
    claims += [judging.best_of_both(settings, base, grpo), judging.match_of_controls(found)]

    def against(s: Setting, suite: str, metric: str) -> dict[str, Interval | None]:
        gaps = {f"minus_{name}": difference(s, one, suite, metric) for name, one in (("base", base), ("grpo", grpo))}
        return {"mean": average(s, suite, metric)} | gaps

    rows = [
        {
            **{"setting": s.label, "method": s.method, "weight": s.weight, "recipe": s.recipe, "seeds": s.seeds},
            "train_cpu_seconds": round(s.cpu_seconds, 1),
            "suites": {suite: {metric: against(s, suite, metric) for metric in METRICS} for suite in SUITES},
        }
        for s in settings
    ]
    return plain(
        {
            "seeds": sorted({seed for setting in settings for seed in setting.seeds}),
            "samples_per_problem": SAMPLES,
            "problems": {suite: settings[0].values[suite]["pass@1"].shape[1] for suite in SUITES},
            "bootstrap_draws": DRAWS,
            "runs": len(done),
            "missing_runs": sorted(f"{m}{'' if w is None else f' {w:g}'} seed {s}" for m, w, s in set(plan) - done),
            "claims": [{"verdict": claim.verdict, **asdict(claim)} for claim in claims],
            "at_equal_pass1": [asdict(comparison) for comparison in found],
            "settings": rows,
        }
    )


def plain(value: Any) -> Any:
    if isinstance(value, Interval):
        value = asdict(value)
    if isinstance(value, dict) and "estimate" in value:
        return [round(value[key], 4) for key in ("estimate", "low", "high")]
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


PAGE = Page("diversity", "What each method gains, and what it keeps", render, draw=draw)

if __name__ == "__main__":
    bench(PAGE, run=run, report=report)
