"""The table of private methods that trainers override is complete, and the library still is what they rely on."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest
import transformers
import trl
from transformers import Trainer

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "trl_overrides.md"
LIBRARIES = {"trl": trl, "transformers": transformers}
for family in ("coverage.train_probe", "dpo.train", "pretrain.train", "rlvr.capsulator", "sft.trainer"):
    import_module(f"quince.recipes.{family}")


def rows() -> dict[tuple[str, str], dict]:
    """(library class, method) to what the table says of it."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(\w+)\.(\w+)\(([^)]*)\)` \| (.+?) \| (.+?) \| (.+) \|$", line):
            owner, method, arguments, files, reason, relied = match.groups()
            found[owner, method] = {
                "arguments": [name for name in arguments.split(", ") if name],
                "files": set(re.findall(r"`(.+?)`", files)),
                "reason": reason,
                "relied": re.findall(r"`(.+?)`", relied),
            }
    return found


TABLE = rows()


def trainers(cls: type = Trainer) -> set[type]:
    below = set(cls.__subclasses__())
    return below.union(*(trainers(one) for one in below))


def overridden() -> dict[tuple[str, str], set[str]]:
    """Private methods of a library that trainers of the package override: the files that do."""
    found = defaultdict(set)
    for trainer in trainers():
        if not trainer.__module__.startswith("quince."):
            continue
        libraries = [cls for cls in trainer.__mro__ if cls.__module__.partition(".")[0] in LIBRARIES]
        for cls in trainer.__mro__:
            for name in vars(cls) if cls.__module__.startswith("quince.") else ():
                owner = next((one for one in libraries if name in vars(one)), None)
                if owner is not None and name.startswith("_") and not name.startswith("__"):
                    known = (owner.__name__, name) in TABLE
                    base = owner if known else next(one for one in reversed(libraries) if name in vars(one))
                    file = Path(inspect.getfile(cls)).resolve().relative_to(ROOT / "recipes")
                    found[base.__name__, name].add(str(file))
    return dict(found)


def library_method(owner: str, method: str):
    return getattr(getattr(trl, owner, None) or getattr(transformers, owner), method, None)


def test_the_table_lists_what_is_overridden_and_nothing_else():
    found = overridden()
    assert sorted(found.keys() - TABLE.keys()) == [], "write these into docs/trl_overrides.md, or use a public hook"
    assert sorted(TABLE.keys() - found.keys()) == [], "no longer overridden: take these out of docs/trl_overrides.md"
    assert {key: files for key, files in found.items() if files != TABLE[key]["files"]} == {}


def test_every_entry_gives_a_reason():
    assert len(TABLE) == 9
    assert all(len(row["reason"]) > 20 and row["relied"] for row in TABLE.values())


@pytest.mark.parametrize(("owner", "method"), TABLE, ids=lambda name: name)
def test_the_library_still_is_what_an_override_relies_on(owner, method):
    where, row = f"{owner}.{method} · see docs/trl_overrides.md", TABLE[owner, method]
    function = library_method(owner, method)
    assert function is not None, f"{where} · gone from the installed library"
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    assert names[: len(row["arguments"])] == row["arguments"], f"{where} · its arguments are now {names}"
    source = inspect.getsource(inspect.unwrap(function))
    for code in row["relied"]:
        assert code in source, f"{where} · the override relies on `{code}`, which is no longer in its source"


def test_the_sampler_draws_an_epoch_from_its_generator():
    from trl.trainer.utils import RepeatSampler

    source = inspect.getsource(RepeatSampler)
    assert "self.generator.manual_seed(seed)" in source and "generator=self.generator" in source, (
        "RepeatSampler · EpochSampler seeds `generator` anew each epoch, which no longer decides the order"
    )


@pytest.mark.parametrize(
    ("method", "relied"),
    [
        ("__init__", ["self._buffered_inputs = None", "self._step = 0", 'self._metrics = {"train"', "self._logs = {"]),
        ("_generate", ["output = self.rollout_func(prompts, self)"]),
        ("_generate_single_turn", ["return completion_ids, logprobs"]),
        ("_prepare_inputs", ["self._step % generate_every == 0", "self._step % self.args.steps_per_generation"]),
        ("training_step", ["self._step += 1"]),
        ("compute_loss", ["return self._compute_loss(model, inputs)"]),
        ("_calculate_rewards", ["prompts=prompts, completions=completions"]),
    ],
)
def test_what_the_trainer_reads_and_calls_is_there(method, relied):
    source = inspect.getsource(inspect.unwrap(getattr(trl.GRPOTrainer, method)))
    for code in relied:
        assert code in source, f"GRPOTrainer.{method} · rlvr/trainer.py relies on `{code}`, which is gone"
