"""The objective of Nano-Capsulator (hf.co/papers/2402.18700) on the RLVR trainer: a baseline for the policy gradient.

    L = mean_C [ D(C) * MSE(e_C, stop_gradient(e_K)) ]

e_C is the mean last hidden state over a summary C that the model has just written, e_K that over the passage K while
the same model repeats it, D = (best reward - reward of C) / width of the reward's range.

The paper multiplies by the reward and does not say which layer and pooling, or whether e_K is detached. We take the
last layer and the mean; we detach e_K, since a constant embedding would otherwise be the best one; and we read the
reward as a distance (low is good): read as a score, the formula pulls hardest on summaries that are perfect already and
leaves useless and over-long ones alone, against what the text says of a penalty. No term rewards the choice of tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from . import objective
from .rollouts import Batch, whole_rows
from .trainer import RlvrTrainer


class CapsulatorTrainer(RlvrTrainer):
    """`RlvrTrainer` with the embedding loss in place of the policy gradient.

    `instruction` asks the model to repeat the passage, and comes after it.
    """

    def __init__(self, *args: Any, instruction: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instruction = instruction
        self.skip_zero_variance = False

    def rolled_out(self, inputs: list[dict[str, Any]]) -> Batch:
        """See `RlvrTrainer`; with the distance of each summary, and what it should say."""
        output = super().rolled_out(inputs)
        pairs = [(judge.reward.range, weight) for judge, weight in zip(self.judges, self.reward_weights, strict=True)]
        worst, best = (sum(float(weight) * limits[end] for limits, weight in pairs) for end in (0, 1))
        output["distance"] = distance(output["rewards"], worst, best)
        output["repeated"] = self._repetitions([row["passage"] for row in inputs])
        return output

    def policy_loss(self, model: Any, rows: Batch, counts: objective.Counts) -> Tensor:
        """The embedding loss of these rows."""
        ids, attended = whole_rows(rows)
        written = attended.clone()
        written[:, : rows["prompt_ids"].shape[1]] = 0
        with self.accelerator.autocast():
            summarised = mean_state(model, ids, attended, written)
        gap = (summarised - rows["repeated"]).pow(2).mean(-1)
        self.log_metric("capsulator/distance", rows["distance"].mean().item())
        self.log_metric("capsulator/gap", gap.mean().item())
        return (rows["distance"] * gap).sum() / counts.rows

    def _repetitions(self, passages: list[str]) -> Tensor:
        """Mean states over passages while the model repeats them, `[batch, hidden]`, detached."""
        distinct = list(dict.fromkeys(passages))
        asked: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
            ({}, [{"role": "user", "content": f"{text}\n{self.instruction}"}]) for text in distinct
        ]
        prompts = [prompt.ids for prompt in self.renderer.render_all(asked, add_generation_prompt=True)]
        texts = self._tokenizer(distinct, add_special_tokens=False)["input_ids"]
        device = self.accelerator.device
        rows = [torch.tensor([*prompt, *text], device=device) for prompt, text in zip(prompts, texts, strict=True)]
        ids = pad_sequence(rows, batch_first=True)
        attended = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        read = torch.tensor([len(prompt) for prompt in prompts], device=device)
        written = attended * (torch.arange(ids.shape[1], device=device) >= read[:, None])
        with torch.no_grad(), self.accelerator.autocast():
            states = mean_state(self.model, ids, attended, written)
        return states[torch.tensor([distinct.index(text) for text in passages], device=device)]


def distance(rewards: Tensor, worst: float, best: float) -> Tensor:
    """How far rewards `[batch]` are below the best, 0 to 1; 0 for one that could not be judged."""
    return ((best - rewards) / (best - worst)).clamp(0, 1).nan_to_num(0.0)


def mean_state(model: Any, ids: Tensor, attended: Tensor, written: Tensor) -> Tensor:
    """Mean last hidden state `[batch, hidden]` over the positions where `written` is 1; ids are `[batch, tokens]`."""
    states = model(
        input_ids=ids, attention_mask=attended, output_hidden_states=True, logits_to_keep=1, use_cache=False
    ).hidden_states[-1]
    weight = written.to(states.dtype)[..., None]
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)
