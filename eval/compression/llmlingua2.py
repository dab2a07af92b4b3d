"""LLMLingua-2's token classifier (hf.co/papers/2403.12968) read with transformers, from a folder that you have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .baselines import word_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_KEEP = 1
"""Index of the label for tokens to keep."""
_TOKENS_AT_ONCE = 510
_PIECES_AT_ONCE = 16


class ClassifierError(ValueError):
    """A folder that holds no such classifier, with what to do about it."""


def keep_probabilities(texts: Sequence[str], folder: str) -> list[np.ndarray]:
    """Return for each word the mean probability that its tokens are to be kept.

    The words themselves are chosen as for every baseline here, to an exact number of the reader's tokens; the original
    takes a share of the words by a threshold. Texts are cut into pieces of 510 tokens wherever these end.

    Args:
        texts: To compress.
        folder: With config, weights and fast tokenizer of a token classifier with two labels.

    Raises:
        ClassifierError: There is no such folder, or its model has other labels.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    if not Path(folder).is_dir():
        raise ClassifierError(f"baselines.llmlingua2 · {folder} · no such folder · give that of the weights, or null")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True
    ).eval()
    if model.config.num_labels != 2:
        found = f"{model.config.num_labels} labels"
        raise ClassifierError(f"baselines.llmlingua2 · {folder} · {found} · a classifier of two, drop and keep")
    return [_weigh(text, tokenizer, model) for text in texts]


def _weigh(text: str, tokenizer: Any, model: PreTrainedModel) -> np.ndarray:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = encoded["input_ids"]
    pieces = [ids[at : at + _TOKENS_AT_ONCE] for at in range(0, len(ids), _TOKENS_AT_ONCE)]
    keep: list[float] = []
    for at in range(0, len(pieces), _PIECES_AT_ONCE):
        keep += _probabilities(pieces[at : at + _PIECES_AT_ONCE], tokenizer, model)
    return word_weights(text, encoded["offset_mapping"], np.array(keep), np.mean)


def _probabilities(pieces: Sequence[list[int]], tokenizer: Any, model: PreTrainedModel) -> list[float]:
    """Probability of the label `keep` of every token, one piece after the other."""
    import torch

    prefix, suffix = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    batch = tokenizer.pad({"input_ids": [prefix + piece + suffix for piece in pieces]}, return_tensors="pt")
    with torch.inference_mode():
        kept = model(**batch.to(model.device)).logits.float().softmax(-1)[..., _KEEP]
    padded_left = tokenizer.padding_side == "left"
    found: list[float] = []
    for row, piece in zip(kept, pieces, strict=True):
        start = len(row) - len(piece) - 1 if padded_left else 1
        found += row[start : start + len(piece)].tolist()
    return found
