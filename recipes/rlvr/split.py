"""The split: which prompts the initial policy already solves, and fresh right answers to rehearse them.

For every prompt `rollouts` answers are sampled at temperature 1 with nothing truncated, so that they are a sample of
π_ref itself (the paper's code samples at top-p 0.9 and 0.95). A prompt with at least `threshold` right answers is
near-perfect (D_pef); fresh answers are drawn for it and kept if right, since answers chosen by the draw that selected
the prompt would be luckier than the policy. A prompt without a confirmed answer goes to exploration (D_exp).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.cache import one_writer, write_atomic
from ...data.chat.renderer import read_template, render_prompts
from ...data.rows import Row
from ...eval.measure.settings import rows_sha256
from ..config.trainer_arguments import trainer_value
from ..parts.fingerprint import model_fingerprint, tokenizer_fingerprint, weights_fingerprint
from ..parts.loading import build_engine, build_rewards, load_training_and_old
from ..parts.models import load_policy, load_tokenizer
from ..parts.preflight import fitting, judgeable
from ..run.progress import quiet_libraries
from .store import Origin, RehearsalRow, StoreError, write_store

if TYPE_CHECKING:
    from ...eval.engines.base import Completion, Engine
    from ..config.loader import LoadedRecipe
    from ..config.rlvr import RlvrRecipe, Split

FRESH_SEED = 1_000_003
"""Added to the recipe's seed for the confirming draw, so that it shares nothing with the selecting one."""


@dataclass(frozen=True)
class SplitResult:
    """What a split decided, by the ids of rows."""

    folder: Path
    near_perfect: tuple[str, ...]  # D_pef
    explore: tuple[str, ...]  # D_exp
    dropped: tuple[str, ...]  # left out of training: all completions wrong, if the recipe says so
    train_on: str  # `all` or `exp`

    @property
    def store(self) -> Path:
        """Folder of the rehearsal store."""
        return self.folder / "store"

    def training_rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that reinforcement learning sees."""
        wanted = set(self.explore) if self.train_on == "exp" else {*self.explore, *self.near_perfect}
        return [row for row in rows if row["id"] in wanted]


def needs_split(recipe: RlvrRecipe) -> bool:
    """True if training uses D_exp or the rehearsal store."""
    return recipe.split is not None and (recipe.divergence.rehearses or recipe.split.train_on == "exp")


def run(loaded: LoadedRecipe[RlvrRecipe]) -> Path:
    """Split the recipe's data, or find it done; `quince split RECIPE`."""
    quiet_libraries()
    rows = load_tried(loaded.recipe, load_tokenizer(loaded.recipe.model))
    result = ensure_split(loaded.recipe, rows.everything, rows.good, rows.longest)
    sizes = f"{len(result.near_perfect)} near-perfect, {len(result.explore)} to explore, {len(result.dropped)} dropped"
    print(f"{result.folder}: {sizes}")
    return result.folder


@dataclass(frozen=True)
class TriedRows:
    """The rows of a recipe that can be judged and whose prompts fit."""

    everything: list[Row]  # all rows of the recipe, before any was left out; they name the split
    train: list[Row]
    old: list[Row]  # of old skills, only rehearsed
    longest: int | None  # tokens that prompts are cut to on their left

    @property
    def good(self) -> list[Row]:
        """Those to train on and those of old skills."""
        return [*self.train, *self.old]


def load_tried(recipe: RlvrRecipe, tokenizer: Any) -> TriedRows:
    """Load the rows of a recipe and leave out what cannot be judged or does not fit.

    Raises:
        RowError: Too many rows cannot be judged, or a prompt is too long.
    """
    rewards = build_rewards([section for section in recipe.rewards if section.weight])
    answer, options = trainer_value(recipe.trainer, "max_completion_length"), template_options(recipe)
    found = []
    loaded = load_training_and_old(recipe)
    for field, rows in zip(("data", "rehearsal.data"), loaded, strict=True):
        good = judgeable(rows, rewards, recipe.max_unjudgeable, field) if rows else []
        found.append(fitting(good, tokenizer, recipe.model, answer, recipe.long_prompts, field, **options))
    (train, _), (old, _) = found
    cuts = [cut for _, cut in found if cut]
    return TriedRows([row for rows in loaded for row in rows], train, old, min(cuts, default=None))


def ensure_split(
    recipe: RlvrRecipe, rows: Sequence[Row], sampled: Sequence[Row] | None = None, longest: int | None = None
) -> SplitResult:
    """Read the split of this model and data, making it first if there is none.

    Args:
        recipe: Of the training.
        rows: All rows of the recipe, which name the split.
        sampled: Those of them that can be judged; None is all.
        longest: What their prompts are cut to, in tokens.

    Raises:
        FileError: Another process is making it.
        StoreError: Several processes train and the split is missing; it is made by one.
    """
    folder = split_folder(recipe, rows)
    if not (folder / "split.json").exists():
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise StoreError(f"{folder} · no split · run `quince split` on this recipe first, in one process")
        with one_writer(folder):
            make_split(recipe, rows if sampled is None else sampled, folder, longest)
    record = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    near_perfect, explore, dropped = (tuple(record[name]) for name in ("near_perfect", "explore", "dropped"))
    return SplitResult(folder, near_perfect, explore, dropped, section(recipe).train_on)


def split_folder(recipe: RlvrRecipe, rows: Sequence[Row]) -> Path:
    """Beside the run folders, named by everything that decides a split, so that runs share it."""
    chat_template = recipe.model.chat_template
    settings = {
        "model": weights_fingerprint(recipe.model) or [recipe.model.id, recipe.model.revision],
        "dtype": recipe.model.dtype,
        "chat": [chat_template and read_template(chat_template), template_options(recipe)],
        "rows": rows_sha256(rows),
        "rewards": [reward.model_dump() for reward in recipe.rewards],
        "split": section(recipe).model_dump(exclude={"train_on"}),
        "max_tokens": max_tokens(recipe),
        "seed": recipe.seed,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return Path(recipe.output_dir).parent / "splits" / digest


def make_split(recipe: RlvrRecipe, rows: Sequence[Row], folder: Path, longest: int | None = None) -> None:
    """Sample, judge, confirm, and write `store/` and then `split.json`."""
    how = section(recipe)
    tokenizer = load_tokenizer(recipe.model)
    engine = build_engine(recipe.model, how.engine, tokenizer)
    try:
        draw = Draw(recipe, engine, tokenizer, longest)
        first = draw(rows, how.rollouts, recipe.seed)
        counts = [sum(right for _, right in answers) for answers in first]
        candidates = [row for row, count in zip(rows, counts, strict=True) if count >= how.threshold]
        answers = confirmed(draw, candidates, how, first, rows, recipe.seed)
        origin = draw.origin(how.rollouts)
    finally:
        engine.close()
    rows_of_store, ids = store_rows(candidates, answers, draw.prompt)
    write_store(folder / "store", rows_of_store, ids, origin)
    record = describe(rows, counts, set(ids), how) | {"origin": asdict(origin)}
    write_atomic(folder / "split.json", json.dumps(record, indent=1, ensure_ascii=False))


class Draw:
    """Samples answers and says which are right: all rewards that judge a row give it their highest value."""

    def __init__(self, recipe: RlvrRecipe, engine: Engine, tokenizer: Any, longest: int | None = None) -> None:
        self.recipe, self.engine, self.tokenizer, self.longest = recipe, engine, tokenizer, longest
        self.rewards = build_rewards([section for section in recipe.rewards if section.weight > 0])

    def prompt(self, row: Row) -> list[int]:
        """Token ids of a row's prompt, as training renders it."""
        return self._prompts([row])[0]

    def _prompts(self, rows: Sequence[Row]) -> list[list[int]]:
        return render_prompts(rows, self.tokenizer, longest=self.longest, **template_options(self.recipe))

    def __call__(self, rows: Sequence[Row], n: int, seed: int) -> list[list[tuple[Completion, bool]]]:
        """`n` judged answers for each row."""
        from ...eval.engines.base import Sampling

        sampling = Sampling(n=n, temperature=1.0, top_p=1.0, max_tokens=max_tokens(self.recipe), seed=seed)
        drawn = self.engine.generate(self._prompts(rows), sampling)
        texts = [completion.text for answers in drawn for completion in answers]
        right = iter(self._right(texts, [row for row in rows for _ in range(n)]))
        return [[(completion, next(right)) for completion in answers] for answers in drawn]

    def _right(self, texts: Sequence[str], rows: Sequence[Row]) -> list[bool]:
        right: list[list[bool]] = [[] for _ in texts]
        for reward in self.rewards:
            for found, verdict in zip(right, reward.judge_batch(texts, rows), strict=True):
                if verdict.outcome != "skipped":
                    found.append(verdict.value is not None and verdict.value >= reward.range[1])
        return [bool(found) and all(found) for found in right]

    def origin(self, rollouts: int) -> Origin:
        """What made this draw."""
        policy = getattr(self.engine, "model", None)
        model = policy if policy is not None else load_policy(self.recipe.model)
        sampling: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "rollouts": rollouts}
        sampling |= {"max_tokens": max_tokens(self.recipe), "seed": self.recipe.seed, "engine": self.engine.name}
        weights, vocabulary = model_fingerprint(model), tokenizer_fingerprint(self.tokenizer)
        return Origin(self.recipe.model.id, weights, vocabulary, str(model.dtype).removeprefix("torch."), sampling)


def confirmed(
    draw: Draw, candidates: Sequence[Row], section: Split, first: Sequence[Any], rows: Sequence[Row], seed: int
) -> list[list[Completion]]:
    """Right answers of each candidate: fresh ones, or the selecting draw's own where `confirm` is off.

    An answer that was cut off at the token limit is not stored: rehearsing it would teach the policy not to stop.
    """
    if section.confirm:
        judged = draw(candidates, section.samples_per_prompt, seed + FRESH_SEED) if candidates else []
    else:
        by_id = {row["id"]: answers for row, answers in zip(rows, first, strict=True)}
        judged = [by_id[row["id"]] for row in candidates]
    whole = [[answer for answer, right in answers if right and answer.finish_reason == "stop"] for answers in judged]
    return [answers[: section.samples_per_prompt] for answers in whole]


def store_rows(
    candidates: Sequence[Row], answers: Sequence[Sequence[Completion]], prompt: Callable[[Row], list[int]]
) -> tuple[list[RehearsalRow], list[str]]:
    """Store rows and the prompt id of each: `answers` of the candidates, whose token ids `prompt` gives."""
    stored, ids = [], []
    for row, completions in zip(candidates, answers, strict=True):
        for completion in completions:
            tokens = np.asarray(prompt(row), np.int32), np.asarray(completion.token_ids, np.int32)
            stored.append(RehearsalRow(*tokens, np.asarray(completion.logprobs, np.float32)))
            ids.append(row["id"])
    return stored, ids


def describe(rows: Sequence[Row], counts: Sequence[int], confirmed_ids: set[str], section: Split) -> dict[str, Any]:
    """The record of a split: sizes, settings, and where each prompt went with its number of right answers."""
    dropped = {row["id"] for row, count in zip(rows, counts, strict=True) if count == 0 and section.all_wrong == "drop"}
    explore = [row["id"] for row in rows if row["id"] not in confirmed_ids and row["id"] not in dropped]
    return {
        "settings": section.model_dump(),
        "sizes": {"near_perfect": len(confirmed_ids), "explore": len(explore), "dropped": len(dropped)},
        "candidates": sum(count >= section.threshold for count in counts),
        "near_perfect": [row["id"] for row in rows if row["id"] in confirmed_ids],
        "explore": explore,
        "dropped": sorted(dropped),
        "right_of_rollouts": {row["id"]: count for row, count in zip(rows, counts, strict=True)},
    }


def section(recipe: RlvrRecipe) -> Split:
    """The recipe's `split:` section; whoever asks for it has looked that there is one."""
    assert recipe.split is not None
    return recipe.split


def max_tokens(recipe: RlvrRecipe) -> int:
    """Longest answer of the split in tokens: its own limit, else the trainer's."""
    return section(recipe).max_tokens or trainer_value(recipe.trainer, "max_completion_length")


def template_options(recipe: RlvrRecipe) -> dict[str, Any]:
    """Arguments of the chat template, those that training renders prompts with."""
    return recipe.trainer.get("chat_template_kwargs") or {}
