"""What the coverage tool says of real data and how long it takes.

    QUINCE_DATA=FOLDER python scripts/bench/probe/real_data.py

BFCL v4 and Spider are read from the folder that `QUINCE_DATA` names and left out without it; the project's own
function-calling rows are generated. Only counts and shares are stored; with `--reports FOLDER` the HTML pages are
written there.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quince.data.function_calling.generator_settings import SPLITS
from quince.eval.probe.probe_page import write_report
from quince.eval.probe.slot_analysis import analyse, read_sets
from quince.eval.probe.statuses import STATUSES
from quince.eval.probe.summary import summary
from quince.scripts.bench.pages import Page, Results, bench, table

NOISE = 0.8


def cases(benchmarks: bool) -> list[tuple[str, str, str, str | None, float | None]]:
    calls, own = "function_calls", "demonstrations/function_calls:size=3000"
    found: list[tuple[str, str, str, str | None, float | None]] = [
        (f"function calls → {split}", calls, own, f"{calls}:split={split},size=300", None) for split in SPLITS[1:]
    ]
    english = "function calls, English only → test"
    found.append((english, calls, f"{own},languages=[en]", f"{calls}:split=test,size=300", None))
    for agreement, kind in ((None, "strict"), (NOISE, "noise")) if benchmarks else ():
        spider = ("spider", "spider:split=train,style=compact", "spider:split=dev,style=compact")
        found.append((f"Spider train → dev, {kind}", *spider, agreement))
        fifth = f"BFCL single turn, a fifth held out, {kind}"
        found.append((fifth, "bfcl", "bfcl:split=single_turn", None, agreement))
        found.append((f"BFCL non-live → live, {kind}", "bfcl", "bfcl:split=non_live", "bfcl:split=live", agreement))
    return found


def analyse_case(case: Sequence[Any], reports: Path | None) -> dict[str, Any]:
    name, schema, train, test, agreement = case
    start, wall = time.process_time(), time.perf_counter()
    rows, requests, _ = read_sets(train, schema, test)
    read = time.process_time() - start
    data = summary(analyse(rows, requests, None, agreement))
    if reports:
        folder = reports / name.replace(" ", "_").replace("→", "to").replace(",", "")
        write_report(data, folder, (train, test or "a fifth held out"))
    right = [output["right"].values() for output in data["outputs"]]
    kept = ("training_rows", "requests", "determined_share", "statuses", "baselines")
    return {
        "name": name,
        "cpu_seconds": round(time.process_time() - start, 1),
        "read_cpu_seconds": round(read, 1),
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "right": [sum(pair[part] for own in right for pair in own) for part in (0, 1)],
        **{key: data[key] for key in kept},
        "outputs": [{key: output[key] for key in _OUTPUT} for output in data["outputs"]],
    }


_OUTPUT = ("name", "slots", "explained", "k", "inputs", "unclear_inputs", "statuses", "right")


def measure(reports: Path | None = None) -> Results:
    warnings.simplefilter("ignore")
    found = []
    for case in cases(bool(os.environ.get("QUINCE_DATA"))):
        found.append(analyse_case(case, reports))
        print(f"{found[-1]['cpu_seconds']:6.1f} CPU s  {found[-1]['name']}  {found[-1]['statuses']}", flush=True)
    return {"analyses": found}


def render(found: Results) -> str:
    analyses = found["analyses"]
    main, rights, baselines, blocks = [], [], [], []
    for one in analyses:
        counts = [one["statuses"][name] for name in STATUSES]
        figures = [*counts, _share(one["right"]), one["cpu_seconds"]]
        main.append([one["name"], one["training_rows"], one["requests"], *figures])
        rights.append([one["name"], *_rights(one)])
        base = one["baselines"]
        shares = [f"{100 * base[name]:.1f} %" for name in ("same_slots", "two_way", "three_way", "ngrams")]
        baselines.append([one["name"], *shares, f"{base['atoms']:.3f}", f"{base['compounds']:.3f}"])
        if one["name"].startswith(("Spider", "BFCL", "function calls → test")):
            blocks.append(f"\n## {one['name']}\n\n{_outputs(one)}")
    pooled = []
    for generated in (True, False):
        some = [one["right"] for one in analyses if one["name"].startswith("function") is generated]
        pooled.append(_share([sum(column) for column in zip(*some, strict=True)] or [0, 0]))
    head = ["data", "same slots", "2-way", "3-way", "trigrams", "atom div.", "compound div."]
    longest = max(one["cpu_seconds"] for one in analyses)
    return f"""Outputs that follow from the training rows are the request's own in {pooled[0]} of the generated
function calls and in
{pooled[1]} of the public sets. An analysis costs at most {longest:.0f} CPU seconds.

{table(["data", "rows", "requests", *STATUSES, "right", "CPU s"], main)}
Outputs that follow and are right, by the status of the output:

{table(["data", "seen", "determined", "weak"], rights)}
Baselines, which never look at outputs:

{table(head, baselines)}{"".join(blocks)}"""


def _share(counts: Sequence[int]) -> str:
    return f"{100 * counts[0] / counts[1]:.1f} %" if counts[1] else "–"


def _rights(result: Results) -> list[str]:
    cells = []
    for status in ("seen", "determined", "weak"):
        pairs = [output["right"][status] for output in result["outputs"] if status in output["right"]]
        cells.append(f"{sum(right for right, _ in pairs)} of {sum(of for _, of in pairs)}" if pairs else "–")
    return cells


def _outputs(result: Results) -> str:
    rows = []
    for output in result["outputs"]:
        right = [sum(pair[part] for pair in output["right"].values()) for part in (0, 1)]
        known = [", ".join(output["slots"]), f"{100 * output['explained']:.0f} %", output["k"]]
        unclear = f"{output['unclear_inputs']} of {output['inputs']}"
        rows.append([output["name"], *known, unclear, *(output["statuses"][name] for name in STATUSES), _share(right)])
    return table(["output", "slots that count", "explained", "k", "unclear inputs", *STATUSES, "right"], rows)


PAGE = Page("probe_real_data", "The coverage tool on real data", render, seeds=[0], needs="the_sets")

if __name__ == "__main__":
    bench(PAGE, measure)
