"""GRPO with the pieces of DPH-RL on TRL's `GRPOTrainer`, which generates, keeps buffers and runs the loop.

Ours are the objective, any advantage, masking of completions that were not judged, rehearsal in forward passes of its
own, divergences on rollouts, and exact resume. The methods of TRL that this overrides: `docs/trl_overrides.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather
from torch import Tensor
from transformers import TrainerState
from trl import GRPOTrainer

from ...data.chat.renderer import Renderer
from ...eval.engines.transformers import TransformersEngine
from ..methods.advantages import Advantage
from ..methods.divergences import Divergence, NoDivergence
from ..run.trainer_base import TrainerBase
from . import objective, rollouts
from .memory import FitsMemory, is_memory_full
from .rollouts import Batch, GraderWatch, Judge, judged, passes_at_k
from .shared_prompts import shared_log_probs
from .store import MeasuresReference, MicroBatch, Rehearsal


class RlvrTrainer(FitsMemory, TrainerBase, GRPOTrainer):
    """`GRPOTrainer` with our advantages, rehearsal and divergences.

    With a divergence on rollouts the arguments need `beta > 0`, so that TRL keeps a reference model.
    """

    phases = ("data", "generate", "reward", "reference", "policy", "rehearsal", "backward", "update", "sync")
    within_step = "backward"  # forward passes have phases of their own

    entropy_coef: float
    _last_world_entropy: float
    _entropy_window_stats: Tensor | None

    def __init__(
        self,
        *args: Any,
        reward_funcs: Sequence[Any],  # rewards, or functions like those of TRL
        advantage: Advantage,
        verifiers: Sequence[int] = (),  # indices of the rewards whose verdicts say what is correct
        rehearsal: Rehearsal | None = None,
        divergence: Divergence | None = None,
        max_grader_errors: float = 0.05,  # share of judgements that may fail, see `GraderWatch`
        share_prompts: bool = False,  # read each prompt of a training batch once
        held_out_ks: Sequence[int] = (),  # the k of each Pass@k of an evaluation
        longest_prompt: int | None = None,  # tokens that prompts are cut to on their left
        **kwargs: Any,
    ) -> None:
        self.judges = [Judge(reward, lambda: self.clock.phase("reward")) for reward in reward_funcs]
        kwargs["rollout_func"] = lambda prompts, _: self.generate(prompts)
        super().__init__(*args, reward_funcs=self.judges, **kwargs)
        if rehearsal is not None:
            self.add_callback(MeasuresReference(self._measure_reference))
        if self.use_vllm:
            self.vllm_generation.sync_weights = self.clock.phase("sync")(self.vllm_generation.sync_weights)
        self.settings = objective.PolicySettings.read(partial(getattr, self.args))
        self.renderer = Renderer(self._tokenizer, self.chat_template, **self.chat_template_kwargs)
        self.use_engine = rollouts.can_use_engine(self.args)
        self.rows: list[dict[str, Any]] = []  # of the rollout batch at hand
        self.generations = 0  # within the current rollout batch: 0 is the first, then come dynamic sampling's
        self.advantage, self.verifiers = advantage, verifiers
        self.rehearsal = rehearsal
        self.divergence = divergence or NoDivergence()
        acts = self.divergence.needs_reference
        self.rollout_generator = self.divergence.rollout_generator() if acts else None
        self.rollout_weight: float = getattr(self.divergence, "weight", 0.0)
        self.graders = GraderWatch(max_grader_errors)
        self.share_prompts, self.held_out_ks, self.longest_prompt = share_prompts, held_out_ks, longest_prompt
        # A completion with advantage 0 may still be pulled by an entropy bonus or a divergence on rollouts, and counts
        # in the quantile of entropies.
        others = acts or self._entropy_bonus_enabled or self.top_entropy_quantile < 1
        self.skip_zero_variance = advantage.skip_zero_variance and not others

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """Restore the rollout buffer of a checkpoint, and train."""
        if resume_from_checkpoint:
            folder = Path(resume_from_checkpoint)
            done = TrainerState.load_from_json(str(folder / "trainer_state.json")).global_step
            self._step = done * self.args.gradient_accumulation_steps
            if (file := folder / self._buffer_name()).exists():
                self._buffered_inputs = rollouts.load_buffer(file, self.accelerator.device)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def save_extra_state(self, folder: Path) -> None:
        """Keep the rollout buffer in a checkpoint where more steps will read it."""
        if self.args.steps_per_generation * self.num_iterations > self.args.gradient_accumulation_steps:
            rollouts.save_buffer(self._buffered_inputs, folder / self._buffer_name())

    def _buffer_name(self) -> str:
        return f"rollouts-{self.accelerator.process_index}.safetensors"

    def _get_train_sampler(self, dataset: Any = None) -> rollouts.EpochSampler:
        return rollouts.EpochSampler(
            lambda: int((self.state.epoch or 0) + 1e-6),
            data_source=self.train_dataset if dataset is None else dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    @property
    def group_size(self) -> int:
        """Completions of a prompt."""
        return self.num_generations if self.model.training else self.num_generations_eval

    def generate(self, prompts: Sequence[Any]) -> dict[str, Any]:
        """TRL's `rollout_func`: completions for this process's prompts, group by group.

        Prompts are rendered with the tools of their own row, and as in evaluation; TRL has one list of tools for all.
        """
        with self.clock.phase("generate"):
            pairs = list(zip(self.rows, prompts, strict=True))
            rendered = self.renderer.render_all(pairs, add_generation_prompt=True)
            ids = [prompt.ids[-(self.longest_prompt or 0) :] for prompt in rendered]
            log_probs = None
            if self.use_engine:
                engine = TransformersEngine(self.accelerator.unwrap_model(self.model_wrapped), self._tokenizer)
                completions = rollouts.sample(engine, ids, self.args, self._generation_seed())
            else:
                completions, log_probs = self._generate_single_turn(ids, None, {}, self.group_size)
        return {"prompt_ids": ids, "completion_ids": completions, "logprobs": log_probs}

    def _generation_seed(self) -> int:
        """Seed of one generation: the run's seed, the rollout batch, and which generation for it this is."""
        local = self.args.per_device_train_batch_size * self.args.steps_per_generation
        # A group that lies on two processes must not be drawn twice alike.
        rank = self.accelerator.process_index if local % self.group_size else 0
        batch = self._step // (self.args.steps_per_generation * self.num_iterations)
        return rollouts.seed_of(self.args.seed, batch, self.generations, self.model.training, rank)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        self.generations = 0
        output, rounds = self.rolled_out(inputs), self.advantage.dynamic_sampling_rounds
        if rounds and self.model.training:
            size, accelerator = self.num_generations, self.accelerator
            output, used = rollouts.with_fresh_groups(output, size, rounds, self._fresh, accelerator)
            self.log_metric("dynamic_sampling/rounds", float(used))
            output["num_items_in_batch"] = accelerator.gather(rollouts.loss_mask(output).sum()).sum()
        return output

    def _fresh(self, prompts: int, draw: int) -> Batch:
        """Rollouts of this process's prompts of a round of dynamic rollouts."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        rows = len(self.train_dataset)
        drawn = rollouts.reserve_prompts(self.args.seed, self._step, draw, prompts * world, rows)
        mine = [self.train_dataset[int(index)] for index in drawn[rank * prompts : (rank + 1) * prompts]]
        return self.rolled_out([row for row in mine for _ in range(self.num_generations)])

    def rolled_out(self, inputs: list[dict[str, Any]]) -> Batch:
        """Generate and judge one batch, with our advantages in place of TRL's."""
        self.rows = inputs
        output: Batch = super()._generate_and_score_completions(inputs)
        self.generations += 1
        for name, value in self.graders.look(inputs, self.judges, self.accelerator).items():
            self.log_metric(name, value)
        rewards, correct = judged(self.judges, inputs, self.reward_weights, self.verifiers).to(self.accelerator.device)
        if self.divergence.needs_reference and self.rollout_generator is None:
            ratio = self._sampled_log_probs(output) - output["ref_per_token_logps"]
            mask = rollouts.loss_mask(output)
            rewards = objective.k1_in_reward(rewards, ratio, mask, self.rollout_weight)
        output["rewards"] = rewards
        columns = [rewards, correct]
        if self.advantage.reads_log_probs:
            columns.append((self._sampled_log_probs(output) * rollouts.loss_mask(output)).sum(1))
        groups = gather(torch.stack(columns, 1)).unbind(1)
        self.log_metric("reward/unjudged", groups[0].isnan().float().mean().item())
        if self.verifiers:
            self.log_metric("reward/correct", groups[1].nanmean().item())
            for k in () if self.model.training else self.held_out_ks:
                self._metrics["eval"][f"pass@{k}"] += passes_at_k(groups[1].view(-1, self.group_size), k)
        advantages = self.advantage(*(values.view(-1, self.group_size) for values in groups)).reshape(-1)
        output["advantages"] = advantages.view(-1, len(inputs))[self.accelerator.process_index]
        logged = self._logs["advantages"]  # TRL has just logged its own
        for _ in range(min(len(advantages), len(logged))):
            logged.pop()
        logged.extend(advantages.tolist())
        return output

    def _sampled_log_probs(self, output: Batch) -> Tensor:
        """Log-probs of the rollouts under the policy that made them, `[batch, completion_tokens]`."""
        if "old_per_token_logps" not in output:
            rows, tokens = rollouts.whole_rows(output), output["completion_ids"].shape[1]
            with torch.no_grad():
                output["old_per_token_logps"] = self._get_per_token_logps_and_entropies(
                    self.model, *rows, tokens, self.args.per_device_train_batch_size
                )[0]
        return output["old_per_token_logps"]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward pass of a micro-batch, in as many pieces as memory asks for."""
        if self._step % self.current_gradient_accumulation_steps == 0:
            self.micro_batches = []
        begun, failure = len(self.micro_batches), ""
        try:
            loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        except RuntimeError as error:
            if len(self.micro_batches) == begun or not is_memory_full(error):
                raise
            failure = str(error)  # and no more: the error holds on to what filled the memory
        if failure:
            loss = self.recover(model, failure)
        if self.oom_splits:
            self.log_metric("oom_splits", float(self.oom_splits))
        return loss

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """The loss of a micro-batch: equation 1 of `objective`, in as many pieces as memory asks for."""
        if self.model.training and not self.replaying:
            self.micro_batches.append(inputs)
        counts = self._counts(inputs)
        rows = rollouts.informative(inputs) if self.skip_zero_variance and self.model.training else inputs
        self.log_metric("tokens/trained", float(rollouts.loss_mask(rows).sum()))
        parts = [partial(self._policy, model, part, counts) for part in rollouts.cut(rows, self.pieces)]
        if self.rehearsal is not None and self.model.training:
            micros = self.current_gradient_accumulation_steps
            rank, world = self.accelerator.process_index, self.accelerator.num_processes
            place = MicroBatch(self.state.global_step, self._step % micros, micros, rank, world)
            pieces = self.rehearsal.parts(place, self.pieces)
            loss_of = self.clock.phase("rehearsal")(self._rehearsal)
            parts += [partial(loss_of, model, self.rehearsal, part) for part in pieces]
        done: Tensor | float = 0.0
        for part in parts[:-1]:
            loss = part()
            if self.pieces > 1 and torch.is_grad_enabled():  # short of memory: back through each before the next
                self.accelerator.backward(loss)
                loss = loss.detach()
            done = done + loss
        return done + parts[-1]()

    def _policy(self, model: Any, rows: Batch, counts: objective.Counts) -> Tensor:
        with self.clock.phase("policy"):
            return objective.loss(policy=self.policy_loss(model, rows, counts))

    @property
    def accumulation(self) -> int:
        """Micro-batches of an optimizer step; an evaluation has no steps."""
        return int(self.current_gradient_accumulation_steps) if self.model.training else 1

    def _counts(self, inputs: Batch) -> objective.Counts:
        tokens = inputs["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes
        if self.model.training:  # of the generation batch, so it is rescaled to one step
            tokens = tokens * self.accumulation / self.args.steps_per_generation
        own = rollouts.loss_mask(inputs).sum().clamp(min=1)
        return objective.Counts(len(inputs["advantages"]) * self.accumulation, own * self.accumulation, tokens)

    def policy_loss(self, model: Any, rows: Batch, counts: objective.Counts) -> Tensor:
        """This part of equation 2, with the divergence on rollouts and the entropy bonus."""
        shape = *rollouts.whole_rows(rows), rows["completion_ids"].shape[1]
        log_probs, entropies, aux = self._get_per_token_logps_and_entropies(
            model, *shape, compute_entropy=True, compute_aux_loss=self.aux_loss_enabled
        )
        assert entropies is not None  # asked for
        mask, advantages = rollouts.loss_mask(rows), rows["advantages"]
        chosen = None
        if self.top_entropy_quantile < 1:
            chosen = self.get_high_entropy_mask(entropies, mask, 1 - self.top_entropy_quantile)
        batch = objective.Rollouts(
            log_probs=log_probs,
            old_log_probs=rows.get("old_per_token_logps", log_probs.detach()),
            advantages=advantages.unsqueeze(1) if advantages.dim() == 1 else advantages,
            mask=mask,
            engine_log_probs=rows.get("sampling_per_token_logps"),
            correction=rows.get("importance_sampling_ratio"),
            chosen=chosen,
        )
        loss = objective.policy(self.settings, batch, counts)
        if self.rollout_generator is not None:
            reference, weight = rows["ref_per_token_logps"], self.rollout_weight
            term = objective.on_rollouts(self.rollout_generator, log_probs, reference, mask, counts)
            self.log_metric("divergence/rollouts", term.item() * self.accumulation * self.pieces)
            loss = loss + weight * term
        if self._entropy_bonus_enabled:
            loss = loss - self._entropy_bonus(entropies, mask if chosen is None else mask * chosen)
        if aux is not None:
            loss = loss + self.router_aux_loss_coef * aux / self.accumulation
        self._log_policy(batch, entropies)
        return loss

    def _rehearsal(self, model: Any, store: Rehearsal, part: MicroBatch) -> Tensor:
        """This process's part of equation 5, weighted, and scaled so that averaging over processes gives the mean."""
        batch = store.batch(part).to(self.accelerator.device)
        log_probs = self._stored_log_probs(store, model, batch.input_ids, batch.attention_mask, batch.mask.shape[1])
        loss, log_ratio = store.loss(batch, log_probs)
        drift = ((log_ratio.abs() * batch.mask).sum() / batch.mask.sum()).item()
        if self.state.global_step == 0 and self._step == 0:
            half = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else None
            store.require_start(drift, half or self.model.dtype)
        self.log_metric("divergence/rehearsal", loss.item() * part.micros * part.world)
        self.log_metric("rehearsal/abs_log_ratio", drift)
        self.log_metric("rehearsal/weight", store.term.weight)
        self.log_metric("tokens/rehearsed", float(batch.mask.sum()) * part.micros / self.accumulation)
        return objective.loss(rehearsal=loss * part.world, weight=store.term.weight)

    def _stored_log_probs(self, store: Rehearsal, model: Any, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
        if not store.whole_distribution:
            return super()._get_per_token_logps_and_entropies(model, ids, mask, tokens)[0]
        with self.accelerator.autocast():
            logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=tokens + 1).logits
        return torch.log_softmax(logits[:, :-1].float() / self.temperature, -1)

    def _measure_reference(self, resumed: bool) -> None:
        """Measure log π_ref of the store, or take up what the run measured when it began."""
        assert self.rehearsal is not None
        store, accelerator, was_training = self.rehearsal, self.accelerator, self.model.training

        def log_probs(ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
            device = accelerator.device
            with torch.no_grad():
                return self._stored_log_probs(store, self.model, ids.to(device), mask.to(device), tokens)

        self.model.eval()
        file, size = Path(self.args.output_dir) / "reference.safetensors", self.args.per_device_train_batch_size
        store.measure_reference(file, log_probs, size, resumed, accelerator)
        self.model.train(was_training)

    def _entropy_bonus(self, entropies: Tensor, mask: Tensor) -> Tensor:
        """The bonus with its weight, which TRL's adaptive control (if on) moves after each optimizer step."""
        adaptive, args = self.use_adaptive_entropy, self.args
        weight = 0.0 if adaptive and self._last_world_entropy > args.entropy_target else self.entropy_coef
        if adaptive and self.model.training:
            seen = torch.stack([(entropies * mask).sum(), mask.sum()]).detach()
            earlier = self._entropy_window_stats
            self._entropy_window_stats = seen if earlier is None else earlier + seen
            if self.accelerator.sync_gradients:
                total, tokens = self.accelerator.reduce(self._entropy_window_stats)
                self._entropy_window_stats, self._last_world_entropy = None, (total / tokens.clamp(min=1)).item()
                change = args.entropy_coef_delta * (1 if self._last_world_entropy <= args.entropy_target else -1)
                low, high = args.entropy_coef_min, args.entropy_coef_max
                self.entropy_coef = min(max(self.entropy_coef + change, low), high)
        self.log_metric("entropy_coef", weight)
        return weight * objective.entropy_bonus(entropies, mask, self.accumulation)

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        given = model, input_ids, attention_mask, logits_to_keep
        # Without gradient it is the reference, or the policy as it was when it sampled.
        with nullcontext() if torch.is_grad_enabled() else self.clock.phase("reference"):
            if not self.share_prompts:
                return super()._get_per_token_logps_and_entropies(*given, *args, **kwargs)
            with self.accelerator.autocast():
                return *shared_log_probs(*given, self.temperature, kwargs.get("compute_entropy", False)), None

    def _log_policy(self, batch: objective.Rollouts, entropies: Tensor) -> None:
        low, high = objective.clipped(self.settings, batch)
        values = {"entropy": entropies, "clip_ratio/low_mean": low, "clip_ratio/high_mean": high}
        sums = [(value.detach() * batch.mask).sum().float() for value in values.values()]
        *sums, tokens = self.accelerator.reduce(torch.stack([*sums, batch.mask.sum().float()])).tolist()
        for name, total in zip(values, sums, strict=True):
            self.log_metric(name, total / max(tokens, 1))

    def log_metric(self, name: str, value: float) -> None:
        """Add a figure to the next line of the log, which has the mean of what was added since the last one."""
        self._metrics["train" if self.model.training else "eval"][name].append(value)
