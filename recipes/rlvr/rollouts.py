"""Rollouts: which prompts come when, what the policy writes to them, and the batch of it on its way to the loss.

All of it follows from seed, step and prompt alone, so that the rollouts, and with them the whole run, are the same for
any number of processes and after any resume.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import DistributedType
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad
from trl.trainer.utils import RepeatSampler

from ...eval.engines.base import Sampling

if TYPE_CHECKING:
    from accelerate import Accelerator
    from trl import GRPOConfig

    from ...eval.engines.transformers import TransformersEngine

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
