"""Which prompts come when, what the policy writes to them, and fresh prompts in place of uninformative groups.

All of it follows from seed, step and prompt alone, so that the rollouts, and with them the whole run, are the same for
any number of processes and after any resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import DistributedType
from trl.trainer.utils import RepeatSampler

from ...eval.engines.base import Sampling
from ...eval.engines.transformers import TransformersEngine
from .rollouts import Batch, best_groups, concatenate, informative_groups

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import GRPOConfig

EPOCH_STRIDE = 1_000_003
"""Added to the seed once an epoch; far from the small numbers that people choose as seeds."""

WHOLE_MODEL = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Set-ups in which every process holds the whole policy."""

PLAIN_SAMPLING = {"top_k": (0, None), "min_p": (None,), "repetition_penalty": (1.0,), "generation_kwargs": (None,)}
"""Sampling options that the engine does not have, with the values that mean "not used"."""


class EpochSampler(RepeatSampler):
    """TRL's sampler, each epoch's order drawn from seed and epoch.

    TRL draws all epochs from one generator, which a resumed run starts anew.

    Args:
        epoch: The current epoch, read when an epoch begins.
        **kwargs: Arguments of `RepeatSampler`.
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
    other = args.use_vllm or args.use_transformers_continuous_batching
    plain = all(getattr(args, name, None) in values for name, values in PLAIN_SAMPLING.items())
    return not other and plain and args.distributed_state.distributed_type in WHOLE_MODEL


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    args: GRPOConfig,
    seed: int,
) -> list[list[int]]:
    """Token ids of a completion for each prompt; equal prompts that follow each other are one group."""
    engine = TransformersEngine(model, tokenizer)
    groups = [(key, len(list(members))) for key, members in groupby(prompts, key=tuple)]
    completions: list[list[int]] = []
    for n, run in groupby(groups, key=lambda group: group[1]):
        sampling = Sampling(
            n=n,
            temperature=args.temperature,
            top_p=args.top_p,
            max_tokens=args.max_completion_length,
            seed=seed,
        )
        drawn = engine.generate([key for key, _ in run], sampling)
        completions += [list(completion.token_ids) for group in drawn for completion in group]
    return completions


def seed_of(*parts: object) -> int:
    """A seed from everything that a draw depends on."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest())


def reserve_prompts(seed: int, step: int, draw: int, count: int, rows: int) -> np.ndarray:
    """Indices of `count` prompts out of `rows`, different ones as long as there are enough.

    Args:
        seed: Of the run.
        step: Micro-batches done.
        draw: Which draw of this step.
        count: For all processes together.
        rows: Prompts there are.
    """
    return np.resize(np.random.default_rng((seed, step, draw)).permutation(rows), count)


def with_fresh_groups(
    batch: Batch, size: int, rounds: int, fresh: Callable[[int, int], Batch], accelerator: Accelerator
) -> tuple[Batch, int]:
    """Dynamic sampling (DAPO, https://huggingface.co/papers/2503.14476).

    A group whose advantages are all 0 teaches nothing. Up to `rounds` times, a whole batch of fresh prompts is rolled
    out and its informative groups take the places of such groups; all processes do the same number of rounds.

    Args:
        batch: Rollouts of this process.
        size: Completions of a group.
        rounds: At most.
        fresh: Rolls out so many fresh prompts in a draw, `fresh(prompts, draw)`.
        accelerator: Of the run.

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
