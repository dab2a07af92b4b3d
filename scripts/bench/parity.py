"""The same loss however a step is cut: 1, 2 and 4 gloo processes, accumulation, checkpointing.

Every run is a forked child of one process that has imported the libraries. Its losses, gradient norms and sampled
completions are compared with those of one process that takes the whole batch at once. What earlier calls found for
other families and ways is kept, so that the page can be made in parts.

    python scripts/bench/parity.py
    python scripts/bench/parity.py --steps 3 --ways "2 processes" --families DPO --out somewhere
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml
from quince.scripts.bench.pages import Page, Results, bench, stamp, table

GOAL = 1e-5
BATCH = 16
COMPARED = ("loss", "grad_norm", "reward")

RECIPES = Path(__file__).with_suffix(".yaml")
TABLE = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
FAMILIES = {name: (recipe, overrides) for name, (recipe, *overrides) in TABLE["families"].items()}
WAYS = {name: tuple(way) for name, way in TABLE["ways"].items()}
ONCE = (1, 1, False)
NOT_CUT = {(family, "checkpointing") for family in ("pretraining", "coverage")}
"""Their recipes have no such switch; the models are small."""

Run = tuple[list[dict[str, float]], Counter[str]]
"""The log of each step; how often each answer was sampled, with its step and prompt."""


def recipe_file(folder: Path, family: str, steps: int) -> Path:
    pairs = folder / "pairs.jsonl"
    if not pairs.exists():
        pairs.write_text("\n".join(json.dumps(pair(number)) for number in range(400)), encoding="utf-8")
    file = folder / f"{family.replace(', ', '_')}.yaml"
    text = RECIPES.read_text(encoding="utf-8").replace("PAIRS", str(pairs)).replace("STEPS", str(steps))
    file.write_text(yaml.safe_dump(yaml.safe_load(text)[FAMILIES[family][0]]), encoding="utf-8")
    return file


def pair(number: int) -> dict[str, object]:
    answers = {"chosen": f"number {number}", "rejected": f"no {number} {'at all ' * (number % 3)}"}
    made = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return {"id": str(number), "task": "t", "prompt": [{"role": "user", "content": f"{number}?"}], **made}


def run_way(file: Path, family: str, way: tuple[int, int, bool], folder: Path) -> Run:
    processes, accumulation, checkpointing = way
    batch = BATCH // (processes * accumulation)
    overrides = [f"output_dir={folder / 'run'}", f"trainer.per_device_train_batch_size={batch}", *FAMILIES[family][1]]
    if accumulation > 1:
        overrides.append(f"trainer.gradient_accumulation_steps={accumulation}")
    if checkpointing:
        overrides.append("trainer.gradient_checkpointing=true")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    children = [fork(file, overrides, rank, processes, port, folder) for rank in range(processes)]
    codes = [os.waitpid(child, 0)[1] for child in children]
    if any(codes):
        print((folder / "error.txt").read_text(encoding="utf-8"), file=sys.stderr)
        return [], Counter()
    log = [line for line in read_lines(folder / "run" / "metrics.jsonl") if "loss" in line]
    samples = read_lines(folder / "run" / "samples.jsonl")
    return log, Counter(json.dumps([line[key] for key in ("step", "prompt", "completion")]) for line in samples)


def read_lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def fork(file: Path, overrides: Sequence[str], rank: int, processes: int, port: int, folder: Path) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        if processes > 1:
            names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"})
        train(file, overrides)
        code = 0
    except BaseException:
        with suppress(FileExistsError), (folder / "error.txt").open("x") as file_of_the_first:
            file_of_the_first.write(traceback.format_exc())
    finally:
        os._exit(code)


def train(file: Path, overrides: Sequence[str]) -> None:
    """As `quince train` does; a coverage run is one process by nature, so only its trainer runs."""
    from importlib import import_module

    from quince.recipes.config import load_recipe
    from quince.recipes.rlvr import samples

    samples.PER_STEP = BATCH
    loaded = load_recipe(str(file), overrides)
    if loaded.recipe.kind != "coverage":
        import_module(f"quince.recipes.{loaded.recipe.kind}.train").run(loaded)
        return
    from quince.recipes.coverage.train_probe import build_trainer

    Path(loaded.recipe.output_dir).mkdir(parents=True, exist_ok=True)
    build_trainer(loaded).train()


def compare(families: Sequence[str], ways: Sequence[str], steps: int, folder: Path) -> list[Results]:
    import quince.recipes.dpo.train
    import quince.recipes.rlvr.trainer
    import quince.recipes.sft.trainer  # noqa: F401  - imported once for all children

    found = []
    for family in families:
        file = recipe_file(folder, family, steps)
        place = folder / file.stem / "whole"
        place.mkdir(parents=True)
        whole = run_way(file, family, ONCE, place)
        for way in (way for way in ways if (family, way) not in NOT_CUT):
            place = folder / file.stem / way.replace(" ", "_")
            place.mkdir()
            if (split := folder / file.stem / "whole" / "splits").is_dir():
                shutil.copytree(split, place / "splits")  # several processes do not make it
            found.append(difference(family, way, whole, run_way(file, family, WAYS[way], place)))
            print(found[-1], file=sys.stderr, flush=True)
    return found


def difference(family: str, way: str, whole: Run, cut: Run) -> Results:
    (log, answers), (other_log, other_answers) = whole, cut
    found = {"family": family, "way": way}
    if not log or len(log) != len(other_log):
        return found | {"steps": min(len(log), len(other_log)), "differences": {}, "other_answers": None}
    names = [name for name in COMPARED if name in log[0]]
    largest = {name: max(abs(a[name] - b[name]) for a, b in zip(log, other_log, strict=True)) for name in names}
    other = (answers - other_answers).total() if answers else None
    return found | {"steps": len(log), "differences": largest, "other_answers": other}


def measure(
    out: Path, steps: int = 20, families: Sequence[str] = tuple(FAMILIES), ways: Sequence[str] = tuple(WAYS)
) -> Results:
    here = stamp()
    with tempfile.TemporaryDirectory() as folder:
        found = [entry | {"stamp": here} for entry in compare(families, ways, steps, Path(folder))]
    file = out / "parity.json"
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"steps": 0}
    if earlier["steps"] == steps:
        again = {(entry["family"], entry["way"]) for entry in found}
        old = {"stamp": earlier["provenance"]}
        found += [old | entry for entry in earlier["found"] if (entry["family"], entry["way"]) not in again]
    order = [*FAMILIES, *WAYS]
    found.sort(key=lambda entry: (order.index(entry["family"]), order.index(entry["way"])))
    return {"steps": steps, "found": found, "stamps": [entry["stamp"] for entry in found]}


def render(results: Results) -> str:
    found = results["found"]
    within = sum(entry["differences"].get("loss", 1.0) <= GOAL for entry in found)
    rows = []
    for entry in found:
        cells = [f"{entry['differences'][name]:.1e}" if name in entry["differences"] else "" for name in COMPARED]
        cells = cells if entry["differences"] else ["did not run", "", ""]
        other = "" if entry["other_answers"] is None else entry["other_answers"]
        rows.append([entry["family"], entry["way"], *cells, other])
    return f"""Loss is within {GOAL:g} at each of {results["steps"]} steps in {within} of {len(found)} ways to cut a
step.
Figures are the largest absolute differences from one process that takes the whole batch of {BATCH} rows at once, in
float32 over gloo.

{table(["family", "cut into", "loss", "gradient norm", "reward", "other completions"], rows)}"""


PAGE = Page("parity", "The same loss however a step is cut", render, seeds=[0])

if __name__ == "__main__":
    bench(PAGE, measure)
