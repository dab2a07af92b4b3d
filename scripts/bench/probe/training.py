"""Do verdicts on function-calling rows hold for a model that was trained on them, and do planned rows beat random ones?

    for seed in 0 1 2; do python scripts/bench/probe/training.py run --seed $seed; done   # 20 minutes each
    python scripts/bench/probe/training.py report                                         # the page

The tiny base learns to copy, then the training rows of a split by `quince probe split`. Training goes on with the rows
that `quince probe plan` takes from the rest, or with as many random ones.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from quince.scripts.bench.pages import Page, Results, bench, quince, span, stamp_of, table
from quince.scripts.bench.probe.training_figures import figures

RUNS = Path("runs/bench/probe_training")
POOL = "demonstrations/function_calls:size=20000,max_tools=2"
SPLIT_SEED = 3  # Chosen by the split alone: of six, the one with most different inputs in its smallest status
TEST_SIZE = 150  # Requests of each status
REPAIRED = ("weak", "uncovered", "new-primitive")  # Statuses of the requests that rows are planned for
REPEATS, EPOCHS = 8, 2.5  # How often an added row is written among the training rows
REHEARSED = 4  # One training row in so many is among the added ones
COPYING = 4000  # Conversations of strings to repeat, before any call: names and values are copied
ARMS = ("rows", "random")


def sft(data: list[dict[str, Any]], model: str, epochs: float, decay: int, rate: float) -> dict[str, Any]:
    decay_to = {"num_decay_steps": decay, "min_lr_ratio": 0.02}
    trainer = {"num_train_epochs": epochs, "lr_scheduler_kwargs": decay_to, "save_strategy": "no"}
    base = {"extends": "function_calling/tiny_bg.yaml", "model": {"id": model}, "first": [], "data": data}
    return base | {"launch": {"processes": 1}, "optimizer": {"learning_rate": rate}, "trainer": trainer}


def train(recipe: dict[str, Any], folder: Path, seed: int) -> str:
    file = write_yaml(folder.with_suffix(".yaml"), recipe)
    quince("train", file, f"seed={seed}", f"output_dir={folder}")
    return str(folder / "model")


def evaluate(model: str, folder: Path) -> None:
    judge = {"reward": {"kind": "function_call"}, "sampling": {"n": 1, "temperature": 0.0, "max_tokens": 160}}
    data = {file.stem.removeprefix("test_"): [{"kind": "jsonl", "path": str(file)}] for file in tests()}
    suites = [{"name": name, "data": rows} | judge for name, rows in data.items()]
    recipe = {"extends": "_base/eval.yaml", "model": {"id": model, "dtype": "float32"}, "suites": suites}
    quince("eval", write_yaml(folder.with_suffix(".yaml"), recipe), f"output_dir={folder}")


def tests() -> list[Path]:
    return sorted((RUNS / "split").glob("test_*.jsonl"))


def write_yaml(file: Path, recipe: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return file


def prepare() -> None:
    split, plan = RUNS / "split", RUNS / "plan"
    if not (split / "split.json").is_file():
        where = ["--schema", "function_calls", "--seed", SPLIT_SEED, "--test-size", TEST_SIZE, "--out", split]
        quince("probe", "split", POOL, *where)
    if not (plan / "rows.jsonl").is_file():
        wanted = RUNS / "wanted.jsonl"
        texts = [(split / f"test_{status}.jsonl").read_text(encoding="utf-8") for status in REPAIRED]
        wanted.write_text("".join(texts), encoding="utf-8")
        options = ["--schema", "function_calls", "--test", wanted, "--pool", split / "rest.jsonl", "--rows", 200]
        quince("probe", "plan", split / "train.jsonl", *options, "--out", plan)
    learned = (split / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[::REHEARSED]
    for arm in ARMS:
        lines = (plan / f"{arm}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [row | {"id": f"{row['id']}/{copy}"} for row in map(json.loads, lines) for copy in range(REPEATS)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (plan / f"{arm}_repeated.jsonl").write_text(text + "".join(learned), encoding="utf-8")


def run(seed: int = 0) -> None:
    prepare()
    split, plan, folder = RUNS / "split", RUNS / "plan", RUNS / f"seed_{seed}"
    rows = {"kind": "jsonl", "path": str(split / "train.jsonl")}
    copies = train(sft([{"kind": "copying", "size": COPYING}], "tiny", 1, 1, 0.05), RUNS / "copying", 0)
    model = train(sft([rows], copies, EPOCHS, 800, 0.05), folder / "calls", seed)
    evaluate(model, folder / "calls_eval")
    options = [option for file in tests() for option in ("--test", file)]
    where = ["--schema", "function_calls", *options, "--out", folder / "calibration"]
    quince("probe", "calibrate", split / "train.jsonl", folder / "calls_eval", *where)
    for arm in ARMS:
        added = {"kind": "jsonl", "path": str(plan / f"{arm}_repeated.jsonl")}
        longer = train(sft([added], model, 1, 150, 0.03), folder / arm, seed)
        evaluate(longer, folder / f"{arm}_eval")


def report() -> Results:
    seeds = sorted(folder for folder in RUNS.glob("seed_*") if (folder / f"{ARMS[-1]}_eval").is_dir())
    stamps = [stamp_of(file.parent) for seed in seeds for file in sorted(seed.rglob("record.json"))]
    found = {"epochs": EPOCHS, "repeats": REPEATS, "pool": POOL, "stamps": stamps}
    return found | figures(RUNS, seeds, tests(), ARMS)


ORDER = ("seen", "determined", "weak", "ambiguous", "uncovered", "new-primitive")
CHAIN = ("seen", "determined", "weak", "uncovered")


def render(found: Results) -> str:
    made, parts = found["calibration"], found["calibration"]["parts"]
    claims = judged(found)
    planned, random = (found["with_a_wanted_input"][arm] for arm in ("rows", "random"))
    numbered = "".join(f"{n}. {text}: {_holds(held)}. {shown}.\n" for n, (text, held, shown) in enumerate(claims, 1))
    opening = f"""For a model trained on function-calling rows {sum(held for _, held, _ in claims)} of {len(claims)}
claims about verdicts hold. {claims[2][0]}: {_holds(claims[2][1])}.

The tiny base of a million parameters learns to copy strings, then the {found["split"]["train"]:,} training rows of a
split of `{found["pool"]}`, {found["epochs"]} times. Its greedy answers to
{made["requests"]} held-out requests with {made["inputs"]} different inputs are what verdicts are compared with: whole
answers, and output by output. Brackets are 95 % intervals over inputs; seeds are pooled, their own means stand beside.
"""
    shared = f"Of the planned rows {planned} have the input of a request that they were planned for, of the random rows"
    sections = {
        "Claims": f"{numbered}\n{shared} {random}.\n",
        "By status, % right": _statuses(found),
        "By output and its own status, % right": _outputs(made["outputs"]),
        "By k-cutoff, % right": _cutoffs(made, parts),
        "What tells right answers from wrong ones": _predictors(made, parts),
        "Planned rows against random ones": _repair(found),
    }
    return "\n".join([opening, *(f"## {title}\n\n{text}" for title, text in sections.items())])


def judged(found: Results) -> list[tuple[str, bool, str]]:
    parts = found["calibration"]["parts"]
    chain = {name: parts["statuses"][name]["estimate"] for name in CHAIN}
    steps = {f"{step['firm']} less {step['less']}": step["gap"] for step in found["steps"]}
    within = {name: steps[name] for name in (f"{a} less {b}" for a, b in pairwise(CHAIN))}
    ordered = all(a > b for a, b in pairwise(chain.values())) and all(low > 0 for _, low, _ in within.values())
    shares = ", ".join(f"{name} {100 * value:.0f} %" for name, value in chain.items())
    gaps = "; ".join(f"{name} {_points(gap)}" for name, gap in within.items())
    behind = {part["name"]: part["behind"] for part in parts["predictors"] if part["behind"]}
    rivals = ("2-way coverage", "3-way coverage", "n-gram overlap")
    better = all(behind[name]["low"] > 0 for name in rivals)
    areas = "; ".join(f"{name} {_area(behind[name])}" for name in rivals)
    gain = {kind: found["repair"][0][kind]["gain"] for kind in ("whole", "outputs")}
    firmer = "Outputs are right more often the firmer their status (seen > determined > weak > uncovered)"
    tells = "The k-cutoff tells right outputs from wrong ones better than t-way coverage and n-gram overlap"
    helps = f"The {found['planned_rows']} rows of the repair plan help more than as many random rows of the pool"
    gains = f"whole answers {_points(gain['whole'])} points, outputs {_points(gain['outputs'])} points"
    return [
        (firmer, ordered, f"Measured: {shares}; within outputs that have both, in points: {gaps}"),
        (tells, better, f"Measured, area of the k-cutoff less theirs: {areas}"),
        (helps, gain["whole"][1] > 0, f"Measured: {gains}"),
    ]


def _statuses(found: Results) -> str:
    made, parts = found["calibration"], found["calibration"]["parts"]
    rows = []
    for name in [name for name in ORDER if name in made["statuses"]]:
        calls = found["where_a_call_is_right"].get(name)
        seeds = {k: ", ".join(f"{100 * seed[k][name]:.0f}" for seed in found["by_seed"]) for k in ("whole", "parts")}
        whole = [made["counts"][name], _percent(made["statuses"][name]), seeds["whole"]]
        whole.append(f"{_percent(calls)} of {found['call_is_right'][name]}" if calls else "–")
        outputs = [parts["counts"].get(name, 0), _percent(parts["statuses"].get(name)), seeds["parts"]]
        rows.append([name, *whole, *outputs])
    head = ["status", "requests", "whole", "by seed", "whole, where a call is right", "outputs", "right", "by seed"]
    asked = found["requests"]["seen"] - found["call_is_right"]["seen"]
    return f"{table(head, rows)}\nOf the requests that are seen, {asked} ask for words instead of a call.\n"


def _outputs(outputs: Results) -> str:
    rows = [[name, *(_percent(own.get(status)) for status in ORDER)] for name, own in outputs.items()]
    return table(["output", *ORDER], rows)


def _cutoffs(made: Results, parts: Results) -> str:
    rows = []
    for name, share in parts["cutoffs"].items():
        known = name in made["cutoffs"]
        whole = f"{_percent(made['cutoffs'][name])} of {made['counts'].get(name, 0)}" if known else "–"
        rows.append([name, whole, _percent(share) + ("" if name == "seen" else f" of {parts['counts'][name]}")])
    return table(["k-cutoff", "whole answers", "outputs"], rows)


def _predictors(made: Results, parts: Results) -> str:
    blocks = []
    for title, scale in (("outputs", parts), ("whole answers", made)):
        keys = ("auc", "behind", "auc_unseen", "behind_unseen")
        rows = [[part["name"], *(_area(part[key]) for key in keys)] for part in scale["predictors"]]
        blocks.append(table([f"figure, {title}", "all", "behind", "not seen", "behind"], rows))
    return "\n".join(blocks)


def _repair(found: Results) -> str:
    text = (
        f"Training goes on for an epoch of one training row in four, and of {found['planned_rows']} planned or as many "
        f"random rows, {found['repeats']} times each. Gain: planned less random, paired, in points.\n\n"
    )
    blocks = []
    for kind, title in (("whole", "whole answers"), ("outputs", "outputs")):
        rows = []
        for line in found["repair"]:
            shares = [_percent(line[kind][arm]) for arm in ("calls", "rows", "random")]
            gains = [_points(line[kind][name]) for name in ("gain", "planned")]
            rows.append([line["group"], line["requests"], *shares, *gains])
        head = [f"{title}, %", "requests", "before", "planned", "random", "gain", "planned less before"]
        blocks.append(table(head, rows))
    return text + "\n".join(blocks)


def _holds(held: bool) -> str:
    return "**holds**" if held else "**does not hold**"


_percent, _points = partial(span, form="{:.0f}", scale=100), partial(span, form="{:+.1f}", scale=100)
_area = partial(span, form="{:.3f}")


PAGE = Page("probe_training", "Do verdicts on function-calling rows hold for a trained model?", render)

if __name__ == "__main__":
    bench(PAGE, run=run, report=report)
