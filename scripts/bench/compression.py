"""What tiny compressors learned, from the records of their evaluations; several seeds, and the controls.

    for seed in 0 1 2; do python scripts/bench/compression_runs.py --seed $seed; done
    python scripts/bench/compression.py runs/capsules

In the folder there is one folder a run, `NAME_SEED`, with the record of `quince eval compression_tiny`: of `sft` (the
start), `grpo`, and of the controls `semantics`, `no_gate`, `paper`, `early` (a start that makes up facts), `grounding`
and `no_grounding` (from it, with the penalty and without); any other name gets a line too.
Writes `docs/results/compression.md` with figures and numbers in `docs/results/compression/`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from quince.data.cache import write_atomic
from quince.eval.compression import measures
from quince.eval.compression.capsule_analysis import READING, figures
from quince.eval.compression.capsule_tables import Entry, suite_grids
from quince.eval.compression.results import CAPSULE, RANDOM_FACTS, SWAPPED, Results
from quince.eval.compression.seeds import over_seeds, pool
from quince.eval.measure.statistics import Interval, paired_difference, wilson
from quince.eval.show.record_tables import spread
from quince.eval.show.tables import Grid, markdown

TARGET = Path(__file__).parents[2] / "docs" / "results"
MAIN, START, EARLY = "grpo", "sft", "early"
Runs = Mapping[str, Sequence[Results]]


@dataclass(frozen=True)
class Aim:
    """One line of the summary: a figure with its interval, what was aimed at, and whether the estimate is there."""

    what: str
    figure: str
    aim: str
    held: bool | None

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of the table."""
        return (self.what, self.figure, self.aim, "–" if self.held is None else "yes" if self.held else "no")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the records and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--suite", default="compression")
    parser.add_argument("--hardware", default="two shared Xeon cores, torch 2.13 CPU")
    parser.add_argument("--note", default="", help="What else a reader must know of these runs.")
    parser.add_argument("--out", type=Path, default=TARGET)
    given = parser.parse_args(arguments)
    runs = read_runs(given.records, given.suite)
    if MAIN not in runs:
        parser.error(f"{given.records}: no run {MAIN}_SEED with a record of {given.suite}")
    page = write(runs, given.hardware, given.out, given.note)
    print(page.read_text(encoding="utf-8"))


def read_runs(root: Path, suite: str) -> dict[str, list[Results]]:
    """Results by name of the run, in the order of seeds; the main one first."""
    found = defaultdict(list)
    for file in sorted(root.glob(f"*/{suite}/analysis.json")):
        name = re.sub(r"_\d+$", "", file.parts[-3])
        found[name].append(Results.from_dict(json.loads(file.read_text(encoding="utf-8"))["data"]))
    return {name: found[name] for name in sorted(found, key=lambda n: (n != MAIN, n != START, n))}


def aims(runs: Runs) -> list[Aim]:
    """What was aimed at, for the main run and the controls that there are."""
    pooled = {name: pool(own) for name, own in runs.items()}
    controls = [*control_aims(pooled), *grounding_aims(runs)]
    return [*main_aims(pooled[MAIN]), read_aim(runs[MAIN]), *time_aims(pooled[MAIN]), *controls]


def main_aims(of: Results) -> list[Aim]:
    """Length, budget, accuracy, leaks and transfer of the trained compressor."""
    first = of.readers[0]
    gained, kept = measures.gain(of, RANDOM_FACTS, first), measures.retention(of, first)
    cut, over = measures.length_cut(of, first), measures.over_budget(of)
    found = [
        Aim("length cut, %", _percent(cut), "at least 80", cut.estimate >= 0.8),
        Aim("capsules written over the budget, %", _percent(over), "0", over.estimate == 0),
        Aim(
            f"right minus random facts, reader {first}, points", _points(gained), "at least 20", gained.estimate >= 0.2
        ),
        Aim(f"kept of full accuracy, reader {first}, %", _percent(kept), "at least 85", _at_least(kept, 0.85)),
    ]
    for reader in of.readers:
        leak = measures.leak(of, reader)
        found.append(
            Aim(f"swapped minus nothing, reader {reader}, points", _points(leak), "at most 2", leak.estimate <= 0.02)
        )
    for reader in of.readers[1:]:
        ratio = measures.transfer(of, reader)
        found.append(Aim(f"transfer ratio, reader {reader}", _ratio(ratio), "at least 0.95", _at_least(ratio, 0.95)))
    return found


def read_aim(runs: Sequence[Results]) -> Aim:
    """The budget of what readers get, over the capsules of all seeds."""
    lengths = [zip(of.tokens[CAPSULE][of.readers[0]], of.budgets, strict=True) for of in runs]
    over = [tokens > budget for pairs in lengths for tokens, budget in pairs]
    return Aim("capsules read over the budget, %", _percent(wilson(sum(over), len(over))), "0", not any(over))


def time_aims(of: Results) -> list[Aim]:
    """How much faster readers are, and the reads that pay for the compressor."""
    found = []
    for reader, timings in of.timings.items():
        for timing in timings:
            pays = "never pays" if timing.reads_to_pay is None else f"pays from read {timing.reads_to_pay} on"
            figure = f"{timing.ratio:.2f}, {pays}"
            found.append(Aim(f"reader {reader} faster, batch {timing.batch}", figure, "at least 3", timing.ratio >= 3))
    return found


def control_aims(pooled: Mapping[str, Results]) -> list[Aim]:
    """What each control is there to show."""
    found = []
    if (of := pooled.get("semantics")) and (start := pooled.get(START)):
        below = measures.gain(of, RANDOM_FACTS, of.readers[0])
        aim = Aim("semantics: right minus random facts, points", _points(below), "at most 0", below.estimate <= 0)
        found += [aim, _rise("semantics: cosine, start to end", *map(measures.similarity, (start, of)))]
    if of := pooled.get("no_gate"):
        over = measures.over_budget(of)
        found.append(Aim("no gate: over the budget, %", _percent(over), "above 50", over.estimate > 0.5))
    if of := pooled.get("paper"):
        right = measures.accuracy(of, CAPSULE, of.readers[0])
        found.append(Aim("paper mode: right, %", _percent(right), "as measured", None))
    return found


def grounding_aims(runs: Runs) -> list[Aim]:
    """What leaving the grounding penalty out does, against the start and against training with it."""
    against = {
        EARLY: "no grounding penalty: grounded, end less start, points",
        "grounding": "grounded, without the penalty less with it, points",
    }
    ends = runs.get("no_grounding", ())
    return [_fall(what, runs[name], ends) for name, what in against.items() if ends and name in runs]


def _rise(what: str, before: Interval | None, after: Interval | None) -> Aim:
    held = before is not None and after is not None and after.low > before.high
    return Aim(what, f"{_ratio(before)} to {_ratio(after)}", "up", held)


def _fall(what: str, starts: Sequence[Results], ends: Sequence[Results]) -> Aim:
    """By the mean over seeds; those of each seed stand beside it."""
    of = _grounded_difference(pool(starts), pool(ends))
    each = [_grounded_difference(*pair) for pair in zip(starts, ends, strict=False)]
    seeds = ", ".join("–" if own is None else f"{100 * own.estimate:+.1f}" for own in each)
    return Aim(what, f"{_points(of)}; by seed {seeds}", "below 0", of is not None and of.high < 0)


def _grounded_difference(start: Results, end: Results) -> Interval | None:
    """Paired by passage, over those with a capsule in both; None if there are none."""
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


def write(runs: Runs, hardware: str, out: Path, more: str = "") -> Path:
    """Write the page, its figures and the summary's numbers; return the page."""
    folder, entry = out / "compression", Entry(MAIN, pool(runs[MAIN]))
    found = aims(runs)
    seeds = ", ".join(f"{name} {len(own)}" for name, own in runs.items())
    passages = len(entry.results.ids)
    made = f"{date.today().isoformat()}, {hardware}; `python scripts/bench/compression.py`"
    head = f"{made}. {passages} held-out passages; runs, each with its seeds: {seeds}."
    summary = Grid("Aims", ("What", "Figure", "Aim", "Held"), tuple(aim.row for aim in found), "Held: by the estimate.")
    links = [link.replace("](", "](compression/") for link in figures("tiny", [entry], folder)]
    grids = [summary, run_grid(runs), *suite_grids([entry])]
    note = "Runs of several seeds are averaged passage by passage; intervals are over passages, ranges over seeds."
    parts = ["# Prompt compression in the tiny world", head, READING, f"{note} {more}".strip(), *links]
    parts += map(markdown, grids)
    write_atomic(folder / "summary.json", json.dumps([vars(aim) for aim in found], indent=1, ensure_ascii=False) + "\n")
    return write_atomic(out / "compression.md", "\n\n".join(parts) + "\n")


def _at_least(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.estimate >= value


def _shown(interval: Interval | None, text: Callable[[Interval], str]) -> str:
    return "–" if interval is None else text(interval)


def _percent(interval: Interval | None) -> str:
    return _shown(interval, lambda i: spread(i, "proportion"))


def _points(interval: Interval | None) -> str:
    return _shown(interval, lambda i: spread(i, "proportion", signed=True))


def _ratio(interval: Interval | None) -> str:
    return _shown(interval, lambda i: spread(i, "reward"))


def _range(ends: tuple[float, float] | None) -> str:
    return "–" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


if __name__ == "__main__":
    main()
