"""Rollouts from the policy in the training process, through our own engine.

TRL's `generate` path prefills every prompt once per completion and decodes until the longest answer ends; the engine
prefills a group once and drops finished rows. Its draws depend on seed, step and prompt only, so the rollouts, and
with them the whole run, are the same for any number of processes and after any resume.
"""

from __future__ import annotations

import hashlib
import os
from itertools import groupby
from typing import TYPE_CHECKING, Any

from accelerate.utils import DistributedType

from ...eval.engines.base import Sampling
from ...eval.engines.transformers import TransformersEngine

if TYPE_CHECKING:
    from trl import GRPOConfig

    from .trainer import RlvrTrainer

WHOLE_MODEL = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Set-ups in which every process holds the whole policy."""

PLAIN_SAMPLING = {"top_k": (0, None), "min_p": (None,), "repetition_penalty": (1.0,), "generation_kwargs": (None,)}
"""Sampling options that the engine does not have, with the values that mean "not used"."""


def can_use_engine(args: GRPOConfig) -> bool:
    """True if rollouts can come from the engine: no vLLM, no sharded weights, nothing but temperature and top-p."""
    # Accelerate tells of FSDP only once the trainer has prepared itself.
    sharded = args.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    other = args.use_vllm or args.use_transformers_continuous_batching or sharded
    plain = all(getattr(args, name, None) in values for name, values in PLAIN_SAMPLING.items())
    return not other and plain and args.distributed_state.distributed_type in WHOLE_MODEL


def engine_rollouts(prompts: list[Any], trainer: RlvrTrainer) -> dict[str, Any]:
    """TRL's `rollout_func`: completions for this process's prompts, group by group.

    Args:
        prompts: Conversations; the members of a group follow each other.
        trainer: Gives policy, tokenizer, sampling settings and step.
    """
    prompt_ids, _, _ = trainer._tokenize_prompts(prompts)
    args = trainer.args
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    engine = TransformersEngine(model, trainer._tokenizer)
    groups = [(key, len(list(members))) for key, members in groupby(prompt_ids, key=tuple)]
    completion_ids: list[list[int]] = []
    for n, run in groupby(groups, key=lambda group: group[1]):
        sampling = Sampling(
            n=n,
            temperature=args.temperature,
            top_p=args.top_p,
            max_tokens=args.max_completion_length,
            seed=step_seed(trainer),
        )
        answers = engine.generate([key for key, _ in run], sampling)
        completion_ids += [list(completion.token_ids) for group in answers for completion in group]
    return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}


def step_seed(trainer: RlvrTrainer) -> int:
    """Seed of one generation: the run's seed, the rollout batch, and which generation for it this is."""
    size = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
    local = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
    # A group that lies on two processes must not be drawn twice alike.
    rank = trainer.accelerator.process_index if local % size else 0
    batch = trainer._step // (trainer.args.steps_per_generation * trainer.num_iterations)
    parts = (trainer.args.seed, batch, trainer.generations, trainer.model.training, rank)
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest())
