"""Log-probs of a group of completions with their prompt read once, with gradients.

TRL runs prompt and completion of every row through the model. Where prompts are long and completions short, as when a
text is summarised, nearly all of that is the same prompt again; here its keys and values are computed once and every
completion of the group attends to them. The numbers are the same up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def shared_log_probs(
    model: PreTrainedModel, ids: Tensor, mask: Tensor, tokens: int, temperature: float, entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probs of completions and, if asked for, the entropy at each token, both `[rows, tokens]` in nats.

    For the arguments see `completion_logits`; the distribution is that of `temperature`.
    """
    logits = completion_logits(model, ids, mask, tokens)
    distribution = torch.log_softmax(logits.float() / temperature, -1)
    log_probs = distribution.gather(-1, ids[:, -tokens:, None]).squeeze(-1)
    return log_probs, -(distribution.exp() * distribution).sum(-1) if entropy else None


def completion_logits(model: PreTrainedModel, ids: Tensor, mask: Tensor, tokens: int) -> Tensor:
    """Logits that predict the completions, with equal prompts read once.

    Args:
        model: A causal language model whose cache can grow under gradients (no gradient checkpointing).
        ids: `[rows, prompt_tokens + tokens]`, prompts padded on the left, completions on the right.
        mask: As `ids`, 0 at padding.
        tokens: Tokens of a completion, padding included.

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
    first: Tensor = output.logits[group]
    if tokens == 1:
        return first
    cache = output.past_key_values
    cache.batch_select_indices(group)
    positions = mask.long().cumsum(-1)[:, -tokens:-1] - 1
    rest, read = ids[:, -tokens:-1], mask[:, :-1]
    output = model(rest, attention_mask=read, position_ids=positions, past_key_values=cache, use_cache=True)
    return torch.cat([first, output.logits], 1)
