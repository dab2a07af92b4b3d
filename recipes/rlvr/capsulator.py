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

from .trainer import RlvrTrainer


class CapsulatorTrainer(RlvrTrainer):
    """`RlvrTrainer` with the embedding loss in place of the policy gradient.

    Args:
        instruction: Asks the model to repeat the passage; comes after it.
    """

    def __init__(self, *args: Any, instruction: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"skip_zero_variance": False})
        self.instruction = instruction

    def _scored(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._scored(inputs)
        rank, local = self.accelerator.process_index, len(inputs)
        rewards = self._rewards[rank * local : (rank + 1) * local]
        output["distance"] = distance(rewards, *self._reward_range())
        output["repeated"] = self._repetitions([row["passage"] for row in inputs])
        return output

    def _reward_range(self) -> tuple[float, float]:
        pairs = list(zip(self.reward_funcs, self.reward_weights.tolist(), strict=True))
        return tuple(sum(weight * reward.range[end] for reward, weight in pairs) for end in (0, 1))  # type: ignore[return-value]

    def _share(self, part: dict[str, Any], whole: dict[str, Any]) -> float:
        return len(part["distance"]) / len(whole["distance"])

    def _policy_loss(self, model: Any, inputs: dict[str, Any], weight: float) -> Tensor:
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        attended = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        written = attended.clone()
        written[:, : inputs["prompt_ids"].shape[1]] = 0
        with self.accelerator.autocast():
            summarised = mean_state(model, ids, attended, written)
        gap = (summarised - inputs["repeated"]).pow(2).mean(-1)
        self._log("capsulator/distance", inputs["distance"].mean().item())
        self._log("capsulator/gap", gap.mean().item())
        return (inputs["distance"] * gap).mean() * weight / self.current_gradient_accumulation_steps

    def _repetitions(self, passages: list[str]) -> Tensor:
        """Mean states over passages while the model repeats them, `[batch, hidden]`, detached."""
        distinct = list(dict.fromkeys(passages))
        asked = [({}, [{"role": "user", "content": f"{text}\n{self.instruction}"}]) for text in distinct]
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
    """Mean last hidden state over the positions that are written.

    Args:
        model: A causal language model.
        ids: `[batch, tokens]`.
        attended: `[batch, tokens]`, 0 at padding.
        written: `[batch, tokens]`, 1 at the positions that count.

    Returns:
        `[batch, hidden]`.
    """
    states = model(
        input_ids=ids, attention_mask=attended, output_hidden_states=True, logits_to_keep=1, use_cache=False
    ).hidden_states[-1]
    weight = written.to(states.dtype)[..., None]
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)
