"""What tiny compressors learned, from the records of their evaluations; several seeds, and the controls.

    for seed in 0 1 2; do python scripts/bench/compression/capsules.py run --seed $seed; done     # 50 CPU minutes each
    python scripts/bench/compression/capsules.py report runs/capsules

Every seed has its own reader, warm start and start of the grounding controls. What is there already is not made again.
Controls: `semantics`, `no_gate`, `paper`, and `grounding` and `no_grounding` from `early`, a start that makes up facts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from quince.eval.compression import measures
from quince.eval.compression.capsule_analysis import READING, figures
from quince.eval.compression.capsule_tables import Entry, suite_grids
from quince.eval.compression.results import CAPSULE, RANDOM_FACTS, SWAPPED, Results
from quince.eval.compression.seeds import over_seeds, pool
from quince.eval.measure.statistics import Interval, paired_difference, proportion
from quince.eval.show.tables import Grid, markdown, spread
from quince.scripts.bench import pages
from quince.scripts.bench.pages import Page, bench, quince, stamp_of

MAIN, START, EARLY = "grpo", "sft", "early"
TRAINED = dict.fromkeys(("reader", "sft"), None) | dict.fromkeys(("grpo", "semantics", "no_gate", "paper"), "sft")
TRAINED |= {"early": None, "grounding": "early", "no_grounding": "early"}
"""Runs in their order, with the one whose model they start from."""
RECIPES = {"early": "sft_early"}
TIMED = ("grpo",)
CAPSULES = Path("runs/capsules")
Runs = Mapping[str, Sequence[Results]]


@dataclass(frozen=True)
class Aim:
    """One line of the summary: a figure with its interval, what was aimed at, and whether the estimate is there."""

    what: str
    figure: str
    aim: str
    held: bool | None


def run(
    seed: int, only: Sequence[str] = tuple(TRAINED), runs: Path = Path("runs/compression"), capsules: Path = CAPSULES
) -> None:
    folder = runs / f"seed_{seed}"
    for name in only:
        if not (folder / name / "model" / "model.safetensors").exists():
            quince("train", f"compression/tiny_{RECIPES.get(name, name)}", *training(name, folder, seed))
        record = capsules / f"{name}_{seed}"
        if name != "reader" and not (record / "compression" / "record.json").exists():
            quince("eval", "compression_tiny", *evaluation(name, folder, record))


def training(name: str, folder: Path, seed: int) -> list[str]:
    overrides = [f"seed={seed}", f"output_dir={folder / name}"]
    if (start := TRAINED[name]) is not None:
        overrides += [f"model.id={folder / start / 'model'}", f"readers.0.model.id={folder / 'reader' / 'model'}"]
    return [*overrides, f"encoder.id={folder / 'sft' / 'model'}"] if name == "semantics" else overrides


def evaluation(name: str, folder: Path, record: Path) -> list[str]:
    """Overrides of the evaluation: the models of this seed; only the demonstration itself is timed."""
    start = folder / "sft" / "model"
    models = {"readers.0.model.id": folder / "reader" / "model", "readers.1.model.id": start}
    models |= {"encoder.id": start, "baselines.base.id": start, "model.id": folder / name / "model"}
    overrides = [f"{field}={path}" for field, path in models.items()] + [f"output_dir={record}"]
    return overrides if name in TIMED else [*overrides, "latency=null"]


def read_runs(root: Path, suite: str) -> dict[str, list[Results]]:
    found = defaultdict(list)
    for file in sorted(root.glob(f"*/{suite}/analysis.json")):
        name = re.sub(r"_\d+$", "", file.parts[-3])
        found[name].append(Results.from_dict(json.loads(file.read_text(encoding="utf-8"))["data"]))
    return {name: found[name] for name in sorted(found, key=lambda n: (n != MAIN, n != START, n))}


def aims(runs: Runs) -> list[Aim]:
    pooled = {name: pool(own) for name, own in runs.items()}
    controls = [*control_aims(pooled), *grounding_aims(runs)]
    return [*main_aims(pooled[MAIN]), read_aim(runs[MAIN]), *time_aims(pooled[MAIN]), *controls]


def main_aims(of: Results) -> list[Aim]:
    first = of.readers[0]
    gained, kept = measures.gain(of, RANDOM_FACTS, first), measures.retention(of, first)
    cut, over = measures.length_cut(of, first), measures.over_budget(of)
    right = f"right minus random facts, reader {first}, points"
    found = [
        Aim("length cut, %", _percent(cut), "at least 80", cut.estimate >= 0.8),
        Aim("capsules written over the budget, %", _percent(over), "0", over.estimate == 0),
        Aim(right, _points(gained), "at least 20", gained.estimate >= 0.2),
        Aim(f"kept of full accuracy, reader {first}, %", _percent(kept), "at least 85", _at_least(kept, 0.85)),
    ]
    for reader in of.readers:
        leak, what = measures.leak(of, reader), f"swapped minus nothing, reader {reader}, points"
        found.append(Aim(what, _points(leak), "at most 2", leak.estimate <= 0.02))
    for reader in of.readers[1:]:
        ratio = measures.transfer(of, reader)
        found.append(Aim(f"transfer ratio, reader {reader}", _ratio(ratio), "at least 0.95", _at_least(ratio, 0.95)))
    return found


def read_aim(runs: Sequence[Results]) -> Aim:
    lengths = [zip(of.tokens[CAPSULE][of.readers[0]], of.budgets, strict=True) for of in runs]
    over = [tokens > budget for pairs in lengths for tokens, budget in pairs]
    return Aim("capsules read over the budget, %", _percent(proportion(sum(over), len(over))), "0", not any(over))


def time_aims(of: Results) -> list[Aim]:
    found = []
    for reader, one in ((reader, one) for reader, timings in of.timings.items() for one in timings):
        pays = "never pays" if one.reads_to_pay is None else f"pays from read {one.reads_to_pay} on"
        what = f"reader {reader} faster, batch {one.batch}"
        found.append(Aim(what, f"{one.ratio:.2f}, {pays}", "at least 3", one.ratio >= 3))
    return found


def control_aims(pooled: Mapping[str, Results]) -> list[Aim]:
    found = []
    if (of := pooled.get("semantics")) and (start := pooled.get(START)):
        below = measures.gain(of, RANDOM_FACTS, of.readers[0])
        found.append(
            Aim("semantics: right minus random facts, points", _points(below), "at most 0", below.estimate <= 0)
        )
        old, new = map(measures.similarity, (start, of))
        rises = old is not None and new is not None and new.low > old.high
        found.append(Aim("semantics: cosine, start to end", f"{_ratio(old)} to {_ratio(new)}", "up", rises))
    if of := pooled.get("no_gate"):
        over = measures.over_budget(of)
        found.append(Aim("no gate: over the budget, %", _percent(over), "above 50", over.estimate > 0.5))
    if of := pooled.get("paper"):
        right = measures.accuracy(of, CAPSULE, of.readers[0])
        found.append(Aim("paper mode: right, %", _percent(right), "as measured", None))
    return found


def grounding_aims(runs: Runs) -> list[Aim]:
    """What leaving the grounding penalty out does, against the start and against training with it."""
    against = {EARLY: "no grounding penalty: grounded, end less start, points"}
    against["grounding"] = "grounded, without the penalty less with it, points"
    ends = runs.get("no_grounding", ())
    return [_fall(what, runs[name], ends) for name, what in against.items() if ends and name in runs]


def _fall(what: str, starts: Sequence[Results], ends: Sequence[Results]) -> Aim:
    of = _grounded_difference(pool(starts), pool(ends))
    each = [_grounded_difference(*pair) for pair in zip(starts, ends, strict=False)]
    seeds = ", ".join("–" if own is None else f"{100 * own.estimate:+.1f}" for own in each)
    return Aim(what, f"{_points(of)}; by seed {seeds}", "below 0", of is not None and of.high < 0)


def _grounded_difference(start: Results, end: Results) -> Interval | None:
    both = [pair for pair in zip(start.grounded, end.grounded, strict=True) if None not in pair]
    return paired_difference(*zip(*both, strict=True)) if both else None


def run_grid(runs: Runs) -> Grid:
    """A line a run: means over its seeds with intervals over passages, and the range over seeds."""
    first, *others = next(iter(runs.values()))[0].readers
    header = ["Run", "Seeds", f"Right, {first}", "of seeds", *(f"Right, {name}" for name in others)]
    header += [*(f"Transfer to {name}" for name in others), "Tokens", "Over budget", "Grounded", "Cosine", "Swapped"]
    rows = []
    for name, own in runs.items():
        of = pool(own)
        right = [_percent(measures.accuracy(of, CAPSULE, reader)) for reader in of.readers]
        written = sum(of.written) / len(of.written)
        rest = [measures.over_budget(of), measures.grounding(of)]
        swapped = measures.accuracy(of, SWAPPED, first)
        seeds = over_seeds(own, lambda run: measures.accuracy(run, CAPSULE, first))
        cells = [name, str(len(own)), right[0], _range(seeds), *right[1:]]
        cells += [_ratio(measures.transfer(of, reader)) for reader in others]
        cells += [f"{written:.1f}", *map(_percent, rest), _ratio(measures.similarity(of)), _percent(swapped)]
        rows.append(tuple(cells))
    note = "Tokens and grounded are of capsules as written; right, swapped and cosine of what is left after the cut."
    return Grid("Runs, mean over seeds", tuple(header), tuple(rows), note)


def report(records: Path, out: Path, suite: str = "compression") -> pages.Results:
    runs = read_runs(records, suite)
    if MAIN not in runs:
        raise SystemExit(f"{records}: no run {MAIN}_SEED with a record of {suite}")
    entry = Entry(MAIN, pool(runs[MAIN]))
    return {
        "stamps": [stamp_of(file.parent) for file in sorted(records.glob(f"*/{suite}/record.json"))],
        "seeds": sorted({int(path.name.rpartition("_")[2]) for path in records.glob(f"{MAIN}_*")}),
        "runs": {name: len(own) for name, own in runs.items()},
        "passages": len(entry.results.ids),
        "aims": [asdict(aim) for aim in aims(runs)],
        "figures": [link.replace("](", "](compression/") for link in figures("tiny", [entry], out / "compression")],
        "grids": [asdict(grid) for grid in (run_grid(runs), *suite_grids([entry]))],
    }


def render(found: pages.Results) -> str:
    held, right = [aim["held"] for aim in found["aims"]], found["aims"][2]
    words = {None: "–", True: "yes", False: "no"}
    rows = tuple((aim["what"], aim["figure"], aim["aim"], words[aim["held"]]) for aim in found["aims"])
    seeds = ", ".join(f"{name} {count}" for name, count in found["runs"].items())
    opening = f"""The compressor of the tiny world reaches {held.count(True)} of {len(held) - held.count(None)} aims.
The capsules of `{MAIN}` have in {right["what"]}: {right["figure"]}, where the aim is {right["aim"]}.

{found["passages"]} held-out passages; runs, each with its number of seeds: {seeds}. Runs of several seeds are averaged
passage by passage; intervals are over passages, ranges over seeds.

{READING}"""
    aims_grid = markdown(Grid("Aims", ("What", "Figure", "Aim", "Held"), rows, "Held: by the estimate."))
    return "\n\n".join([opening, *found["figures"], aims_grid, *(markdown(Grid(**grid)) for grid in found["grids"])])


def _at_least(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.estimate >= value


def _percent(interval: Interval | None, kind: str = "proportion", signed: bool = False) -> str:
    return "–" if interval is None else spread(interval, kind, signed=signed)


_points, _ratio = partial(_percent, signed=True), partial(_percent, kind="reward")


def _range(ends: tuple[float, float] | None) -> str:
    return "–" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


PAGE = Page("compression", "Prompt compression in the tiny world", render)

if __name__ == "__main__":
    bench(PAGE, run=run, report=report)
