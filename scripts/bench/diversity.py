"""What each method gains and what it loses: Pass@1 against Pass@16 over seeds, methods and strengths.

    python scripts/bench/diversity.py run          # trains and evaluates what is missing; can be stopped and run again
    python scripts/bench/diversity.py report       # docs/results/diversity.{json,md,png} from what is there

Every run starts from the shipped tiny base, trains on `sql_idioms`, and is evaluated with n = 64 samples a problem on
new questions (in-domain), on databases with other quirks (cross-domain) and on an unrelated skill that the base has
and no run trains (old skill). Methods differ from `rlvr/tiny_grpo` only in what their recipe says.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

RUNS = Path("runs/bench/diversity")
SEEDS = range(1, 6)
KS = (1, 4, 16, 64)
SAMPLES = 64
PROBLEMS = 100
PILOT = {"size": 100, "seed": 0}
"""Problems that steps, learning rate and ranges of strengths were chosen on; the bench uses none of them."""
SUITES = {
    "in_domain": ("sql_idioms", "in_domain", "sql_execution"),
    "cross_domain": ("sql_idioms", "cross_domain", "sql_execution"),
    "old_skill": ("strategies", "test", "exact_match"),
}
SWEEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "GRPO": ("rlvr/tiny_grpo", ()),
    "GRPO on D_exp": ("rlvr/tiny_grpo_exp", ()),
    "DAPO-style": ("rlvr/tiny_dapo", ()),
    "replay-SFT": ("rlvr/tiny_replay", (0.3,)),
    "reverse KL (k2)": ("rlvr/tiny_reverse_kl", (0.1, 0.3)),
    "DPH-F": ("rlvr/tiny_dph_f", (1.0,)),
    "DPH-JS": ("rlvr/tiny_dph_js", (3.0,)),
    "DPH-alpha": ("rlvr/tiny_dph_alpha", (1.0, 3.0)),
    "DPH-F, wide store": ("rlvr/tiny_dph_f_wide", (0.3, 1.0)),
    "DPH-JS, wide store": ("rlvr/tiny_dph_js_wide", (1.0, 3.0)),
    "replay-SFT, wide store": ("rlvr/tiny_replay_wide", (0.1, 0.3)),
}


def jobs() -> list[dict[str, Any]]:
    """Every run, first seeds first, so that an interrupted bench has whole seeds."""
    found = [{"name": f"base-{seed}", "method": "base", "weight": None, "seed": seed} for seed in SEEDS]
    for seed in SEEDS:
        for method, (recipe, weights) in SWEEPS.items():
            for weight in weights or (None,):
                slug = f"{recipe.removeprefix('rlvr/tiny_')}{'' if weight is None else f'-{weight:g}'}"
                name = f"{slug}-{seed}"
                found.append({"name": name, "method": method, "weight": weight, "seed": seed, "recipe": recipe})
    return found


def train(job: dict[str, Any]) -> tuple[Path, float]:
    """Train one run (or find it done); returns the model folder and CPU seconds."""
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
    """Judged, correct, greedy and distinct counts per problem of each suite."""
    from quince.data.sources import load_rows
    from quince.eval.engines import Sampling, load_engine
    from quince.eval.measure.evaluate import evaluate as run
    from quince.eval.measure.metrics import per_problem
    from quince.rewards.registry import make_reward

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
    """Train and evaluate one run in this process; its result file makes it done."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    result = RUNS / "results" / f"{job['name']}.json"
    if result.exists():
        return f"{job['name']}: done before"
    start = time.time()
    model, cpu_seconds = train(job)
    record = {
        **job,
        "train_cpu_seconds": cpu_seconds,
        "suites": evaluate(model, 1000 * (job["method"] == "base") + job["seed"]),
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    result.with_suffix(".partial").write_text(json.dumps(record), encoding="utf-8")
    result.with_suffix(".partial").rename(result)
    return f"{job['name']}: {time.time() - start:.0f} s"


def run_all(workers: int) -> None:
    """Run all jobs in worker processes of one thread each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    os.environ["OMP_NUM_THREADS"] = "1"
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
    """Make the split of one seed."""
    from quince.recipes.config import load_recipe
    from quince.recipes.rlvr.split import run

    run(load_recipe(job["recipe"], [f"seed={job['seed']}", f"output_dir={RUNS / job['name']}"]))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "report"])
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2)), help="processes, one thread each")
    arguments = parser.parse_args()
    if arguments.verb == "run":
        run_all(arguments.workers)
    from diversity_report import report

    report(RUNS / "results", Path("docs/results"))


if __name__ == "__main__":
    main()
