"""Attention of packed conversations on a CPU: one call for each conversation, so that its cost is linear in the pack.

transformers separates packed conversations by a mask of the whole pack, whose cost grows with the square of its length;
the kernels that know better (FlashAttention's variable lengths) are for GPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BY_CONVERSATION = "sdpa_by_conversation"


def attend_by_conversation(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each conversation of one packed row.

    Args:
        module: The attention layer.
        query: `[1, heads, tokens, head_dim]`.
        key: `[1, kv_heads, tokens, head_dim]`.
        value: As `key`.
        attention_mask: Not used: the conversations are computed apart.
        cu_seq_lens_q: Where each conversation starts, and the end, `[conversations + 1]`; one conversation when None.
        **kwargs: For the layer's usual attention.

    Returns:
        `[1, tokens, heads, head_dim]`, and no attention weights.
    """
    lengths = [query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.diff().tolist()
    parts = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    options = {name: kwargs[name] for name in ("dropout", "scaling") if name in kwargs}
    return torch.cat([sdpa_attention_forward(module, *part, None, **options)[0] for part in parts], dim=1), None


AttentionInterface.register(BY_CONVERSATION, attend_by_conversation)


def use_on_cpu(model: PreTrainedModel) -> bool:
    """Switch a model on a CPU to attention by conversation, if all its layers are plain causal attention."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) is not None and not getattr(config, "layer_types", None)
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    plain = config._attn_implementation == "sdpa" and layers == {"full_attention"} and not windowed and not capped
    if plain and model.device.type == "cpu":
        model.set_attn_implementation(BY_CONVERSATION)
        return True
    return False
