"""Log-probs of a group of answers with their prompt read once, with gradients.

TRL runs prompt and answer of every row through the model. Where prompts are long and answers short, as when a text is
summarised, nearly all of that is the same prompt again; here its keys and values are computed once and every answer of
the group attends to them. The numbers are the same up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SharesPrompts:
    """Mixin for a `GRPOTrainer` that reads each prompt of a training batch once, if `shares_prompts` is set."""

    shares_prompts = False

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *args: Any,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if not self.shares_prompts:
            return super()._get_per_token_logps_and_entropies(  # type: ignore[misc]
                model, input_ids, attention_mask, logits_to_keep, *args, compute_entropy=compute_entropy, **kwargs
            )
        with self.accelerator.autocast():  # type: ignore[attr-defined]
            logits = answer_logits(model, input_ids, attention_mask, logits_to_keep)
        distribution = torch.log_softmax(logits.float() / self.temperature, -1)  # type: ignore[attr-defined]
        answers = input_ids[:, -logits_to_keep:]
        log_probs = distribution.gather(-1, answers[..., None]).squeeze(-1)
        entropy = -(distribution.detach().exp() * distribution).sum(-1) if compute_entropy else None
        return log_probs, entropy, None


def answer_logits(model: Any, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
    """Logits that predict the answers, with equal prompts read once.

    Args:
        model: A causal language model whose cache can grow under gradients (no gradient checkpointing).
        ids: `[rows, prompt_tokens + tokens]`, prompts padded on the left, answers on the right.
        mask: As `ids`, 0 at padding.
        tokens: Tokens of an answer, padding included.

    Returns:
        `[rows, tokens, vocabulary]`.
    """
    prompts = torch.where(mask[:, :-tokens].bool(), ids[:, :-tokens], -1)
    distinct, group = torch.unique(prompts, dim=0, return_inverse=True)
    read = (distinct >= 0).long()
    positions = (read.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=distinct.clamp(min=0), attention_mask=read, position_ids=positions, use_cache=True, logits_to_keep=1
    )
    first = output.logits[group]
    if tokens == 1:
        return first
    cache = output.past_key_values
    cache.batch_select_indices(group)
    positions = mask.long().cumsum(-1)[:, -tokens:-1] - 1
    rest = model(
        input_ids=ids[:, -tokens:-1],
        attention_mask=mask[:, :-1],
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).logits
    return torch.cat([first, rest], 1)
