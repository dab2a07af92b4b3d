"""What the golden curves share: a random model that depends on nothing but these files, the command, and the files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import pytest

UPDATE = "QUINCE_UPDATE_CURVES" in os.environ
STEPS = 20
TOLERANCE = {"rel": 1e-6, "abs": 1e-6}
APART = 1e-5
"""Curves of different methods differ by more, those of one method done in two ways by less."""
SECONDS = 60.0
"""What all curves of a process may take together, of CPU time without imports."""

TINY = {"hidden_size": 16, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 8, "intermediate_size": 32}


class Curves:
    """The curves of one file: what a run logged is compared with it, or written to it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: dict[str, dict[str, list[float]]] = {}
        self.stored = {} if UPDATE else json.loads(file.read_text(encoding="utf-8"))["curves"]

    def check(self, name: str, lines: Sequence[dict]) -> None:
        curve = {key: [line[key] for line in lines] for key in ("loss", "grad_norm")}
        self.found[name] = curve
        for key, values in curve.items():
            assert len(values) == STEPS
            assert UPDATE or values == pytest.approx(self.stored[name][key], **TOLERANCE), key

    def check_names(self, names: Sequence[str], alike: Sequence[set[str]] = ()) -> None:
        """Every curve is there, all have gradients, and only those that mean the same are alike."""
        curves = self.found if UPDATE else self.stored
        assert set(curves) == set(names)
        assert all(any(curve["grad_norm"]) for curve in curves.values())
        for one, two in combinations(curves, 2):
            assert (distance(curves[one], curves[two]) < APART) == ({one, two} in alike), (one, two)

    def write(self) -> None:
        versions = {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
        text = json.dumps({"versions": versions, "curves": self.found}, indent=1)
        self.file.write_text(text + "\n", encoding="utf-8")


def distance(one: dict[str, list[float]], two: dict[str, list[float]]) -> float:
    """Largest difference at any step."""
    return max(abs(a - b) for key in one for a, b in zip(one[key], two[key], strict=True))


@pytest.fixture(scope="module")
def curves(request):
    """The curves of the file that the module names by `FILE`."""
    found = Curves(request.module.FILE)
    yield found
    if UPDATE:
        found.write()


@pytest.fixture(scope="session")
def libraries():
    """Imported before the time of the curves is taken."""
    import quince.recipes.coverage.train_probe
    import quince.recipes.dpo.train
    import quince.recipes.pretrain.train
    import quince.recipes.rlvr.capsulator
    import quince.recipes.rlvr.trainer
    import quince.recipes.sft.trainer  # noqa: F401


@pytest.fixture(scope="session")
def spent() -> list[float]:
    """Seconds of each training so far."""
    return []


@pytest.fixture
def seconds(libraries, monkeypatch) -> dict[str, float]:
    """Of the training that this test did: seconds between its first step and its end, and those of all phases."""
    from quince.recipes.run.trainer_base import Clock
    from transformers import Trainer

    run_epoch, summary = Trainer._run_epoch, Clock.summary
    found = {"passed": 0.0, "in phases": 0.0}

    def timed(*args, **kwargs):
        start = time.perf_counter()
        run_epoch(*args, **kwargs)
        found["passed"] += time.perf_counter() - start

    def summed(clock):
        found["in phases"] = (clock.total + clock.seconds).total()
        return summary(clock)

    monkeypatch.setattr(Trainer, "_run_epoch", timed)
    monkeypatch.setattr(Clock, "summary", summed)
    return found


@pytest.fixture
def train(spent, seconds, logged, tmp_path):
    """`train(recipe, *overrides)`: the lines that `quince train` logs, on one thread; its seconds add up."""
    import torch
    from quince.recipes.cli import main

    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(recipe: str | Path, *overrides: str) -> list[dict]:
        start = time.process_time()
        with pytest.raises(SystemExit) as ended:
            main(["train", str(recipe), f"output_dir={tmp_path / 'curve'}", *overrides])
        spent.append(time.process_time() - start)
        assert not ended.value.code
        lines = logged(tmp_path / "curve")
        assert seconds["in phases"] >= 0.98 * seconds["passed"]
        for line in lines:
            phases = [value for key, value in line.items() if key.startswith("seconds/") and key != "seconds/step"]
            assert sum(phases) >= 0.98 * line["seconds/step"] > 0
        return lines

    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def golden_model(tmp_path_factory) -> Path:
    """A folder with a random model and a tokenizer that knows a few sums."""
    import torch
    from quince.recipes.config.pretrain import Architecture
    from quince.recipes.pretrain.tokenizer import train_tokenizer
    from quince.recipes.pretrain.train import new_model

    folder = tmp_path_factory.mktemp("golden")
    tokenizer = train_tokenizer([{"messages": [question]} for question in questions()], vocab_size=288, max_length=64)
    torch.manual_seed(0)
    model = new_model(Architecture(**TINY, max_positions=64), tokenizer)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(3, 288, 4)]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def questions() -> list[dict[str, str]]:
    """Messages of a user who asks for sums."""
    return [{"role": "user", "content": f"{number} + {number * 7 % 13}"} for number in range(12)]


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory):
    """`rows_file(name, rows)`: a file of rows of that name."""
    folder = tmp_path_factory.mktemp("rows")

    def write(name: str, rows: Sequence[dict]) -> Path:
        file = folder / f"{name}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return file

    return write
