"""A frozen encoder: the meaning of a text as the mean of a language model's last hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

BATCH = 64
"""Texts encoded together."""


class MeanEncoder:
    """Mean-pooled last hidden states of a causal language model.

    Args:
        model: The model, on its device.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, `[texts, hidden]` in float32; zeros for a text without tokens."""
        import numpy as np

        return np.concatenate([self._embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)])

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        ids = [row or [self.tokenizer.pad_token_id] for row in self._ids(texts)]
        width = max(map(len, ids))
        # Padded on the right, where causal attention never looks.
        rows = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=self.model.device)
        lengths = torch.tensor([len(row) if text else 0 for text, row in zip(texts, ids, strict=True)])
        with torch.inference_mode():
            hidden = self.model(rows, output_hidden_states=True, logits_to_keep=1, use_cache=False).hidden_states[-1]
        mask = (torch.arange(width) < lengths[:, None]).to(hidden.device)[..., None]
        return ((hidden.float() * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
