"""GRPO with the pieces of DPH-RL, added to TRL's `GRPOTrainer` through its own methods.

Added: any advantage function; masking of unjudged completions; zero-variance groups that cost no training tokens;
rehearsal of stored answers in forward passes of their own; divergences on rollouts with the estimator named; exact
resume in the middle of a rollout buffer; whole checkpoints only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather
from torch import Tensor
from trl import GRPOTrainer

from ...data.chat.renderer import Renderer
from . import divergences, generation, rollouts
from .advantages import Advantage, unlikeliness
from .buffer import KeepsRollouts
from .dynamic_sampling import Reserve
from .graders import GraderWatch
from .memory import FitsMemory
from .prompt_order import EpochSampler
from .rehearsal_loss import Rehearsal
from .rehearsing import MeasuresReference, Rehearses
from .shared_prompts import SharesPrompts


@dataclass(frozen=True)
class RolloutDivergence:
    """A divergence from the initial policy on rollouts; needs a reference model.

    Attributes:
        generator: Value and coefficient on samples of π_θ, or None for k1 in the reward.
        weight: β, on the mean over rollout tokens; for k1 in the reward, per nat of sequence log-ratio.
    """

    generator: divergences.Generator | None
    weight: float


class RlvrTrainer(Rehearses, FitsMemory, KeepsRollouts, SharesPrompts, GRPOTrainer):
    """`GRPOTrainer` with our advantages, rehearsal and divergences.

    Args:
        advantage: Pure function of rewards `[groups, group_size]`.
        unlikeliness_strength: If set, rewards are re-weighted by rarity first (see `advantages.unlikeliness`).
        skip_zero_variance: Leave completions with advantage 0 out of the training forward pass.
        dynamic_sampling_rounds: How often prompts with zero variance are replaced by fresh ones (DAPO); 0 is never.
        rehearsal: The store and its divergence, or None.
        rollout_divergence: Or None; the trainer arguments must then have `beta > 0` so that TRL keeps a reference.
        max_grader_errors: Share of judgements that may fail, see `GraderWatch`.
        longest_prompt: Tokens that prompts are cut to on their left, or None.
    """

    phases = ("data", "generate", "reward", "reference", "policy", "rehearsal", "backward", "update", "sync")
    within_step = "backward"  # forward passes have phases of their own

    def __init__(
        self,
        *args: Any,
        advantage: Advantage,
        unlikeliness_strength: float | None = None,
        skip_zero_variance: bool = True,
        dynamic_sampling_rounds: int = 0,
        rehearsal: Rehearsal | None = None,
        rollout_divergence: RolloutDivergence | None = None,
        max_grader_errors: float = 0.05,
        longest_prompt: int | None = None,
        **kwargs: Any,
    ) -> None:
        if generation.can_use_engine(kwargs["args"]):
            kwargs["rollout_func"] = generation.engine_rollouts
        if rehearsal is not None:
            kwargs["callbacks"] = [MeasuresReference(self), *kwargs.get("callbacks", ())]
        super().__init__(*args, **kwargs)
        if self.use_vllm:
            self.vllm_generation.sync_weights = self.clock.phase("sync")(self.vllm_generation.sync_weights)
        self.renderer = Renderer(self._tokenizer, self.chat_template, **self.chat_template_kwargs)
        self._rows: list[dict[str, Any]] = []  # of the rollout batch at hand
        self.generations = 0  # within the current rollout batch: 0 is the first, then come dynamic sampling's
        self.advantage = advantage
        self.unlikeliness_strength = unlikeliness_strength
        self.rehearsal = rehearsal
        self.rollout_divergence = rollout_divergence
        self.graders = GraderWatch(max_grader_errors)
        self.longest_prompt = longest_prompt
        # A completion with advantage 0 may still be pulled by an entropy bonus or a divergence on rollouts.
        self.skip_zero_variance = skip_zero_variance and not rollout_divergence and not self._entropy_bonus_enabled
        self.reserve = Reserve(self, dynamic_sampling_rounds) if dynamic_sampling_rounds else None
        self._rewards: Tensor | None = None
        self._policy_log_probs: Tensor | None = None

    # --- rollouts and advantages ------------------------------------------------------------------------------------

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        rows = [{**row, "verdicts": []} for row in inputs]
        with self.clock.phase("reward"):
            rewards = super()._calculate_rewards(rows, prompts, completions, completion_ids_list)
            self.graders.look(rows, self.accelerator)
        applies = rollouts.applicable(inputs, self.reward_funcs).to(rewards.device)
        self._rewards = rollouts.combine(rewards, gather(applies), self.reward_weights.to(rewards.device))
        return rewards

    def _generate(self, prompts: list[Any]) -> Any:
        with self.clock.phase("generate"):
            return super()._generate(prompts)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Prompt ids, each row with its own tools, and as in evaluation; TRL knows one list of tools for all rows."""
        pairs = list(zip(self._rows, prompts, strict=True))
        rendered = self.renderer.render_all(pairs, add_generation_prompt=True)
        return [prompt.ids[-(self.longest_prompt or 0) :] for prompt in rendered], None, {}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.generations = 0
        output = self._scored(inputs)
        if self.reserve is not None and self.model.training:
            output = self.reserve.replace_uninformative(output)
        return output

    def _scored(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Generate and judge one batch, with our advantages in place of TRL's."""
        self._rows = inputs
        output = super()._generate_and_score_completions(inputs)
        self.generations += 1
        size = self.num_generations if self.model.training else self.num_generations_eval
        rewards = self._rewards
        self._log("reward/unjudged", torch.isnan(rewards).float().mean().item())
        if self.rollout_divergence is not None and self.rollout_divergence.generator is None:
            ratio = self._sampled_log_probs(output) - output["ref_per_token_logps"]
            rewards = rewards - self.rollout_divergence.weight * gather(self._sequence_sum(ratio, output))
        grouped = rewards.view(-1, size)
        if self.unlikeliness_strength is None:
            advantages = self.advantage(grouped)
        else:
            log_probs = gather(self._sequence_sum(self._sampled_log_probs(output), output)).view(-1, size)
            advantages = unlikeliness(grouped, log_probs, self.unlikeliness_strength)
        rank, local = self.accelerator.process_index, len(inputs)
        output["advantages"] = advantages.reshape(-1)[rank * local : (rank + 1) * local]
        self._log_advantages(advantages.reshape(-1).tolist())
        return output

    def _log_advantages(self, advantages: list[float]) -> None:
        """Put our advantages where TRL has just logged its own."""
        logged = self._logs["advantages"]
        for _ in range(min(len(advantages), len(logged))):
            logged.pop()
        logged.extend(advantages)

    def _sampled_log_probs(self, output: dict[str, Any]) -> Tensor:
        """Log-probs of the rollouts under the policy that made them, `[batch, completion_tokens]`."""
        if "old_per_token_logps" not in output:
            ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)
            mask = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)
            tokens = output["completion_ids"].shape[1]
            with torch.no_grad():
                log_probs, _, _ = self._get_per_token_logps_and_entropies(
                    self.model, ids, mask, tokens, self.args.per_device_train_batch_size
                )
            output["old_per_token_logps"] = log_probs
        return output["old_per_token_logps"]

    @staticmethod
    def _sequence_sum(values: Tensor, output: dict[str, Any]) -> Tensor:
        return (values * rollouts.loss_mask(output)).sum(1)

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        return EpochSampler(
            lambda: int((self.state.epoch or 0) + 1e-6),
            data_source=self.train_dataset if dataset is None else dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    # --- loss -------------------------------------------------------------------------------------------------------

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        whole, scale = self._trained_rows(inputs)
        self._log("tokens/trained", float(rollouts.loss_mask(whole).sum()))
        cut = rollouts.cut(whole, self.pieces)
        parts = [partial(self._policy_part, model, part, scale * self._share(part, whole)) for part in cut]
        if self.rehearsal is not None and self.model.training:
            parts += [partial(self._rehearsal_part, model, share) for share in self._rehearsal_shares(self.pieces)]
        return self.in_pieces(parts)

    def _trained_rows(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """The rows that train, and what their loss weighs in that of all rows."""
        if not (self.skip_zero_variance and self.model.training):
            return inputs, 1.0
        least = int(gather(rollouts.counts(inputs).sum().reshape(1)).max())
        return rollouts.informative(inputs, self.loss_type, max(1, least))

    def _share(self, part: dict[str, Any], whole: dict[str, Any]) -> float:
        return rollouts.share(part, whole, self.loss_type)

    def _policy_part(self, model: Any, inputs: dict[str, Any], weight: float) -> Tensor:
        with self.clock.phase("policy"):
            return self._policy_loss(model, inputs, weight)

    def _policy_loss(self, model: Any, inputs: dict[str, Any], weight: float) -> Tensor:
        """The loss of some rows as a part of the micro-batch's, in which they weigh `weight`."""
        with self._own_divergence():
            loss = super()._compute_loss(model, inputs) * weight
        if self.rollout_divergence is not None and self.rollout_divergence.generator is not None:
            log_ratio = self._policy_log_probs - inputs["ref_per_token_logps"]
            values = divergences.differentiable(self.rollout_divergence.generator, log_ratio)
            mean = (values * rollouts.loss_mask(inputs)).sum() / self._step_tokens(inputs)
            self._log("divergence/rollouts", mean.item() * self.current_gradient_accumulation_steps * self.pieces)
            loss = loss + self.rollout_divergence.weight * mean
        return loss

    def _step_tokens(self, inputs: dict[str, Any]) -> Tensor:
        """This process's share of the rollout tokens of one optimizer step."""
        buffered = inputs["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes
        return buffered * self.current_gradient_accumulation_steps / self.args.steps_per_generation

    @contextmanager
    def _own_divergence(self) -> Iterator[None]:
        """Keep TRL from adding its k3 term for `beta`, which is set only so that it holds a reference model."""
        beta, self.beta = self.beta, 0.0 if self.rollout_divergence is not None else self.beta
        try:
            yield
        finally:
            self.beta = beta

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():  # of the reference, or of the policy as it was when it sampled
            with self.clock.phase("reference"):
                return super()._get_per_token_logps_and_entropies(*args, **kwargs)
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self.rollout_divergence is not None:
            self._policy_log_probs = result[0]
        return result

    # --- log --------------------------------------------------------------------------------------------------------

    def _log(self, name: str, value: float) -> None:
        self._metrics["train" if self.model.training else "eval"][name].append(value)
