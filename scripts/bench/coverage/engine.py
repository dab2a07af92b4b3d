"""Cost of the coverage engine as it grows: CPU seconds and peak memory of whole processes, on generated two-hop data.

    python scripts/bench/coverage/engine.py
    python scripts/bench/coverage/engine.py --values 20 50 --rounds 1 --out FOLDER

Every figure is a fresh process that imports, reads inputs and outputs from a file, analyses, and reports what it used.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from quince.scripts.bench.pages import Page, Results, bench, table

VALUES = (20, 50, 100, 200)
JOBS = ("closure at k = 2", "closure, k = 1..20", "determined at k = 2", "determined at k = 3")
TARGETS = {100: (5, 400), 200: (20, 1536)}  # CPU seconds and MB that closure at k = 2 is to stay below


def make_data(values: int, path: Path) -> None:
    """Two-hop data with 4 n^2 rows and held-out compositions of used entries (type 0) and of unused ones (type 3)."""
    from quince.data.compositional.generate import Task, generate

    data = generate(Task("two_hop", values, 4 * values**2, validation=0.0))
    known, unknown = data.test[0], data.test[3].inputs
    train = {"inputs": data.train.inputs, "outputs": data.train.answers}
    np.savez(path, **train, queries=known.inputs, answers=known.answers, unknown=unknown)


def analyse(job: str, path: Path) -> dict[str, Any]:
    from quince.eval.coverage.closure import reach
    from quince.eval.coverage.determined import determine
    from quince.eval.coverage.null_model import smallest_k
    from quince.eval.coverage.observations import observe
    from quince.eval.coverage.pairs import all_pairs

    data = np.load(path)
    observations = observe(data["inputs"], data["outputs"])
    found: dict[str, Any] = {"queries": len(data["queries"])}
    if job.startswith("closure"):
        largest, smallest = (2, 2) if job.endswith("2") else (20, 1)
        result = reach(observations, data["queries"], largest_k=largest, smallest_k=smallest)
        assert not result.capped and not result.undecided.any()
        found["covered"] = [int((result.cutoffs >= k).sum()) for k in range(smallest, min(largest, 6) + 1)]
    else:
        k = int(job[-1])
        pairs = all_pairs(observations)
        family = smallest_k(observations, pairs).supported(k)
        result = determine(observations, data["queries"], k, family, pairs=pairs)
        unknown = determine(observations, data["unknown"], k, classes=result.classes)
        right = int((result.labels == data["answers"]).sum())
        found |= {"predicted": int((result.labels >= 0).sum()), "right": right}
        found |= {"unknown_predicted": int((unknown.labels >= 0).sum()), "subsets": list(map(list, family))}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return found | {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": peak_kib() / 1024}


def peak_kib() -> int:
    """Peak resident memory of this process; `ru_maxrss` would also count the parent that it was forked from."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise SystemExit("/proc/self/status · no VmHWM · run the bench on Linux")


def in_processes(job: str, path: Path, rounds: int) -> dict[str, Any]:
    runs = []
    for _ in range(rounds):
        command = [sys.executable, __file__, "job", job, str(path)]
        runs.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    seconds, peak = [run["cpu_seconds"] for run in runs], round(max(run["peak_mb"] for run in runs))
    costs = {"cpu_seconds": round(statistics.median(seconds), 2), "peak_mb": peak}
    return runs[0] | costs | {"cpu_seconds_of_rounds": [round(value, 2) for value in seconds]}


def job(name: str, data: Path) -> None:
    print(json.dumps(analyse(name, data)))


def measure(values: Sequence[int] = VALUES, rounds: int = 3) -> Results:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in values:
            path = Path(folder) / f"{number}.npz"
            make_data(number, path)
            results[str(number)] = {name: in_processes(name, path, rounds) for name in JOBS}
            print(number, results[str(number)], file=sys.stderr)
    return {"rounds": rounds, "sizes": results}


def cost(run: dict[str, Any]) -> str:
    return f"{run['cpu_seconds']:.2f} s, {run['peak_mb']} MB"


def goals(sizes: Results) -> str:
    lines = []
    for number, (seconds, peak) in TARGETS.items():
        if str(number) in sizes:
            one, sweep = (sizes[str(number)][name] for name in JOBS[:2])
            met = one["cpu_seconds"] <= seconds and one["peak_mb"] <= peak
            within = sweep["cpu_seconds"] <= 1.5 * one["cpu_seconds"]
            mark = f"n = {number}, at most {seconds} CPU seconds and {peak} MB at k = 2"
            lines.append(f"- {mark}: **{'met' if met else 'not met'}**.\n")
            lines.append(f"- n = {number}, a sweep within 1.5 times one run: **{'met' if within else 'not met'}**.\n")
    return "".join(lines)


def render(found: Results) -> str:
    sizes = found["sizes"]
    costs, contents = [], []
    for number, jobs in sizes.items():
        one, sweep, second, third = (jobs[name] for name in JOBS)
        ratio = sweep["cpu_seconds"] / one["cpu_seconds"]
        costs.append([number, f"{4 * int(number) ** 2:,}", cost(one), cost(sweep), f"{ratio:.2f}"])
        labels = [f"{labelled['predicted']}, {labelled['right']}" for labelled in (second, third)]
        unknown = f"{second['unknown_predicted']}, {third['unknown_predicted']}"
        covered = ", ".join(map(str, sweep["covered"]))
        contents.append([number, sweep["queries"], covered, *labels, unknown, cost(second)])
    powers = []
    for low, high in pairwise(sizes):
        seconds = [sizes[number][JOBS[0]]["cpu_seconds"] for number in (low, high)]
        powers.append(f"{log(seconds[1] / seconds[0]) / log(int(high) / int(low)):.1f} from {low} to {high}")
    head = ["n", "held out", "covered at k = 1 to 6", "k = 2: predicted, right", "k = 3: predicted, right"]
    return f"""The closure of {costs[-1][1]} rows at k = 2 costs {costs[-1][2]}. CPU seconds grow as n to the power of
{", ".join(powers)}, start-up included, where rows grow as n².

## Closure

{table(["n", "rows", "k = 2", "k = 1..20", "sweep over one run"], costs)}
{goals(sizes)}
## What is found

{table([*head, "unknown k = 2, 3", "cost of k = 2"], contents)}"""


PAGE = Page("coverage_engine", "Cost of the coverage engine", render, seeds=[0])

if __name__ == "__main__":
    bench(PAGE, measure, job=job)
