"""Rollouts: which prompts come when, what the policy writes to them, and the batch of it on its way to the loss.

All of it follows from seed, step and prompt alone, so that the rollouts, and with them the whole run, are the same for
any number of processes and after any resume.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import DistributedType, gather_object
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad
from trl.trainer.utils import RepeatSampler

from ...eval.engines.base import Sampling
from ...eval.measure.statistics import pass_at_k

if TYPE_CHECKING:
    from accelerate import Accelerator
    from trl import GRPOConfig

    from ...eval.engines.transformers import TransformersEngine
    from ...rewards.base import Reward, Verdict

BATCHES = 10  # rollout batches that are looked back at
LEAST = 20  # judgements before a share means something
MOST_ROWS = 0.5  # share of rows without one judgement from which the reward is the cause, and not the rows


class Judge:
    """A reward as TRL calls it, which keeps the values and verdicts of the last batch, in a phase of the clock.

    It may be a function like those of TRL, which gives no verdicts and so cannot be the verifier.
    """

    def __init__(self, reward: Reward, timed: Callable[[], AbstractContextManager[None]]) -> None:
        self.reward, self.timed = reward, timed
        self.__name__ = reward.__name__
        self.values: list[float | None] = []
        self.verdicts: list[list[tuple[str, Verdict]]] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Judge a batch; see `Reward.__call__`."""
        self.verdicts = [[] for _ in completions]
        with self.timed():
            columns = columns | {"verdicts": self.verdicts}
            self.values = self.reward(prompts=prompts, completions=completions, **columns)
        return self.values


def judged(
    judges: Sequence[Judge], rows: Sequence[Mapping[str, Any]], weights: Tensor, verifiers: Sequence[int]
) -> Tensor:
    """Rewards (of `weights`) and correctness of the batch that was judged last, `[2, rows]`, NaN where not known.

    `verifiers` are the indices of the rewards whose verdicts say what is correct.
    """
    values = [[torch.nan if value is None else value for value in judge.values] for judge in judges]
    rewards = torch.tensor(values, dtype=torch.float32).T
    applies = applicable(rows, [judge.reward for judge in judges])
    known = [correctness([judges[index].verdicts[row] for index in verifiers]) for row in range(len(rows))]
    return torch.stack([combine(rewards, applies, weights.cpu()), torch.tensor(known)])


def correctness(given: Sequence[Sequence[tuple[str, Verdict]]]) -> float:
    """1 if every verifier that judges a completion finds it correct, 0 if one does not, NaN if one could not say."""
    verdicts = [verdict for pairs in given for _, verdict in pairs if verdict.outcome != "skipped"]
    if not verdicts or any(verdict.value is None for verdict in verdicts):
        return torch.nan
    return float(all(verdict.outcome == "correct" for verdict in verdicts))


def applicable(rows: Sequence[Mapping[str, Any]], rewards: Sequence[Any]) -> Tensor:
    """Which rewards judge which rows: those whose columns the row has, `[batch, rewards]` of bool."""
    columns = [getattr(reward, "columns", ()) for reward in rewards]
    table = [[all(row.get(name) is not None for name in names) for names in columns] for row in rows]
    return torch.tensor(table, dtype=torch.bool)


def combine(rewards: Tensor, applies: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the rewards that apply, NaN where one of them could not judge.

    TRL counts a missing reward as 0 when another reward is there, which would turn a broken grader into a wrong answer.

    Args:
        rewards: `[batch, rewards]`, NaN where a reward gave None.
        applies: `[batch, rewards]`.
        weights: `[rewards]`.

    Returns:
        `[batch]`.
    """
    applies = applies & (weights != 0)
    return (rewards.where(applies, 0) * weights).sum(1).where(applies.any(1), torch.nan)


def passes_at_k(correct: Tensor, k: int) -> list[float]:
    """Unbiased Pass@k of each prompt of `[prompts, samples]`, 1 for correct and NaN for not judged.

    Prompts with fewer than k judged samples are left out.
    """
    counts, right = (~correct.isnan()).sum(1), correct.nansum(1)
    kept = counts >= k
    return pass_at_k(counts[kept].cpu().numpy(), right[kept].cpu().numpy(), k).tolist()


class GraderError(RuntimeError):
    """Rewards fail on more completions than the recipe allows."""


class GraderWatch:
    """Ends a run whose rewards fail often: what is left to train on would be what their failures chose.

    Only `error` verdicts count. Where they hit some completions of a row, the share of judgements that failed must
    stay below the limit. A row on which a reward failed for every completion is taken for a row that cannot be judged
    (a gold query that does not run): it is left out and counted, and ends the run only if most rows are like that.
    The limit is a share of the judgements of the last rollout batches; 1 never stops.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.recent: deque[tuple[int, ...]] = deque(maxlen=BATCHES)

    def look(
        self, rows: Sequence[Mapping[str, Any]], judges: Sequence[Judge], accelerator: Accelerator
    ) -> dict[str, float]:
        """Count a batch that was just judged, and return what to log.

        Raises:
            GraderError: On every process, with an example.
        """
        counts, example = [0, 0, 0, 0], list[str]()
        for judge in judges:
            for group in by_row(rows, judge.verdicts):
                errors = [f"{name}: {verdict.detail}" for name, verdict in group if verdict.outcome == "error"]
                whole = len(errors) == len(group) > 1
                found = (0, 0, 1, 1) if whole else (len(group), len(errors), bool(group), 0)
                counts = [a + b for a, b in zip(counts, found, strict=True)]
                example = example or errors[:1]
        total = accelerator.reduce(torch.tensor(counts, device=accelerator.device)).tolist()
        self.recent.append(tuple(total))
        given, failed, judged_rows, failed_rows = (sum(column) for column in zip(*self.recent, strict=True))
        often = given >= LEAST and failed > self.limit * given
        mostly = judged_rows > 1 and failed_rows > MOST_ROWS * judged_rows and self.limit < 1
        if often or mostly:
            first = next(iter(gather_object(example)), "see the warnings above")
            share = (failed, given, "judgements") if often else (failed_rows, judged_rows, "rows")
            what = "{} of the last {} {}".format(*share)
            raise GraderError(
                f"rewards · {what} failed, max_grader_errors is {self.limit:g}"
                f" · for example {first} · repair the reward and go on with --resume"
            )
        return {"reward/rows_not_judged": total[3] / max(total[2], 1)}


def by_row(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Sequence[tuple[str, Verdict]]]
) -> Iterator[list[tuple[str, Verdict]]]:
    """The verdicts on each row's completions, which follow each other, without `skipped` ones."""
    ids = [row.get("id", place) for place, row in enumerate(rows)]
    for _, members in groupby(zip(ids, verdicts, strict=True), key=lambda pair: pair[0]):
        yield [pair for _, given in members for pair in given if pair[1].outcome != "skipped"]


Batch = dict[str, Any]  # what TRL keeps of a batch: tensors whose first dimension is the row, and scalars

LEFT_PADDED = ("prompt_ids", "prompt_mask")
RIGHT_PADDED = (
    *("completion_ids", "completion_mask", "tool_mask", "importance_sampling_ratio", "advantages"),
    *("old_per_token_logps", "ref_per_token_logps", "sampling_per_token_logps"),
)

EPOCH_STRIDE = 1_000_003  # added to the seed once an epoch; far from the small numbers that people choose as seeds

WHOLE_MODEL = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Set-ups in which every process holds the whole policy."""

PLAIN_SAMPLING = {"top_k": (0, None), "min_p": (None,), "repetition_penalty": (1.0,), "generation_kwargs": (None,)}
"""Sampling options that the engine does not have, with the values that mean "not used"."""


class EpochSampler(RepeatSampler):
    """TRL's sampler, each epoch's order drawn from the seed and `epoch()`.

    TRL draws all epochs from one generator, which a resumed run starts anew.
    """

    def __init__(self, epoch: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(self.seed + EPOCH_STRIDE * self._epoch())
        yield from super().__iter__()


def can_use_engine(args: GRPOConfig) -> bool:
    """True if rollouts can come from the engine: no vLLM, no sharded weights, nothing but temperature and top-p.

    TRL's own way prefills every prompt once per completion and decodes until the longest completion ends; the engine
    prefills a group once and drops finished rows.
    """
    # Accelerate tells of FSDP only once the trainer has prepared itself.
    sharded = args.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    other = args.use_vllm or args.use_transformers_continuous_batching or sharded
    plain = all(getattr(args, name, None) in values for name, values in PLAIN_SAMPLING.items())
    return not other and plain and args.distributed_state.distributed_type in WHOLE_MODEL


def sample(engine: TransformersEngine, prompts: Sequence[list[int]], args: GRPOConfig, seed: int) -> list[list[int]]:
    """Token ids of a completion for each prompt; equal prompts that follow each other are one group."""
    groups = [(key, len(list(members))) for key, members in groupby(prompts, key=tuple)]
    completions: list[list[int]] = []
    for n, run in groupby(groups, key=lambda group: group[1]):
        most = args.max_completion_length
        sampling = Sampling(n=n, temperature=args.temperature, top_p=args.top_p, max_tokens=most, seed=seed)
        drawn = engine.generate([key for key, _ in run], sampling)
        completions += [list(completion.token_ids) for group in drawn for completion in group]
    return completions


def seed_of(*parts: object) -> int:
    """A seed from everything that a draw depends on."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest())


def reserve_prompts(seed: int, step: int, draw: int, count: int, rows: int) -> np.ndarray:
    """Indices of `count` prompts for all processes, out of `rows` prompts; different ones as long as there are enough.

    They follow from the run's seed, the micro-batches done (`step`), and which draw for this batch it is.
    """
    return np.resize(np.random.default_rng((seed, step, draw)).permutation(rows), count)


def with_fresh_groups(
    batch: Batch, size: int, rounds: int, fresh: Callable[[int, int], Batch], accelerator: Accelerator
) -> tuple[Batch, int]:
    """Dynamic sampling (DAPO, https://huggingface.co/papers/2503.14476).

    A group whose advantages are all 0 teaches nothing. Up to `rounds` times, a whole batch of fresh prompts is rolled
    out (`fresh(prompts, draw)`) and its informative groups take the places of such groups; all processes do the same
    number of rounds. `size` counts the completions of a group.

    Returns:
        A batch of the same number of rows, and the rounds used.
    """
    wanted, used = len(batch["advantages"]) // size, 0
    while used < rounds:
        missing = wanted - int(informative_groups(batch, size).sum())
        if not accelerator.reduce(torch.tensor(missing, device=batch["advantages"].device)).item():
            break
        used += 1
        batch = best_groups(concatenate(batch, fresh(wanted, used)), size, wanted)
    return batch, used


def loss_mask(batch: Batch) -> Tensor:
    """Completion tokens that the policy wrote itself, `[batch, completion_tokens]`."""
    mask: Tensor = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask


def whole_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Prompts and completions end to end: token ids and attention mask, `[batch, tokens]`."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    return ids, torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)


def informative(batch: Batch) -> Batch:
    """The rows with a non-zero advantage, at least one: a row with advantage 0 adds exactly 0 to the gradient."""
    keep = batch["advantages"].reshape(len(batch["advantages"]), -1).abs().sum(1) > 0
    if not keep.any():
        keep[0] = True
    return batch if keep.all() else selected(batch, keep)


def cut(batch: Batch, pieces: int) -> list[Batch]:
    """The rows of a batch in order, in that many pieces or as many as there are rows."""
    if pieces == 1:
        return [batch]
    numbers = torch.arange(len(batch["advantages"]))
    return [selected(batch, torch.isin(numbers, part)) for part in numbers.tensor_split(pieces) if len(part)]


def selected(batch: Batch, keep: Tensor) -> Batch:
    """Some rows, without the columns of prompts and completions that are padding in all of them."""
    batch = {name: _rows(value, keep) for name, value in batch.items()}
    width, prompt = batch["completion_mask"].shape[1], int(batch["prompt_mask"].sum(1).max())
    completion = max(1, int(batch["completion_mask"].sum(1).max()))
    for name, value in batch.items():
        if name in LEFT_PADDED:
            batch[name] = value[:, value.shape[1] - prompt :]
        elif name in RIGHT_PADDED and value.dim() == 2 and value.shape[1] == width:
            batch[name] = value[:, :completion]
    return batch


def _rows(value: Any, keep: Tensor) -> Any:
    return value[keep] if isinstance(value, Tensor) and value.dim() > 0 else value


def informative_groups(batch: Batch, size: int) -> Tensor:
    """True for groups with a non-zero advantage, `[groups]`."""
    return batch["advantages"].reshape(-1, size).abs().sum(1) > 0


def best_groups(batch: Batch, size: int, wanted: int) -> Batch:
    """Keep `wanted` groups, informative ones first, in their order."""
    kept = torch.argsort(~informative_groups(batch, size), stable=True)[:wanted]
    keep = (kept.unsqueeze(1) * size + torch.arange(size, device=kept.device)).reshape(-1)
    return {name: _rows(value, keep) for name, value in batch.items()}


def concatenate(first: Batch, second: Batch) -> Batch:
    """Join two batches row-wise, padding both to the longer prompt and completion."""
    joined = {}
    for name, a in first.items():
        b = second[name]
        if not isinstance(a, Tensor) or a.dim() == 0:
            joined[name] = a
            continue
        if a.dim() == 2 and a.shape[1] != b.shape[1]:
            missing = [max(0, other.shape[1] - side.shape[1]) for side, other in ((a, b), (b, a))]
            # Masked positions never count, so zeros serve.
            a, b = (pad(t, (n, 0) if name in LEFT_PADDED else (0, n)) for t, n in zip((a, b), missing, strict=True))
        joined[name] = torch.cat([a, b])
    return joined


def save_buffer(buffer: list[Batch], file: Path) -> None:
    """Write the micro-batches of a rollout buffer to one safetensors file; what they share is written for each."""
    tensors: dict[str, Tensor] = {}
    for index, batch in enumerate(buffer):
        whole = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        tensors |= {f"{index}.{name}": t.clone(memory_format=torch.contiguous_format) for name, t in whole.items()}
    save_file(tensors, file, metadata={"batches": json.dumps(len(buffer))})


def load_buffer(file: Path, device: torch.device) -> list[Batch]:
    """Read what `save_buffer` wrote."""
    with safe_open(file, framework="pt", device=str(device)) as stored:
        batches: list[Batch] = [{} for _ in range(json.loads(stored.metadata()["batches"]))]
        for key in stored.keys():  # noqa: SIM118 - not a mapping
            index, name = key.split(".", 1)
            batches[int(index)][name] = stored.get_tensor(key)
    return batches
