"""The model trained from scratch and its tokenizer, with one token for each value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from ...data.compositional.sequences import END, Target, vocabulary

if TYPE_CHECKING:
    from ..config.coverage import ProbeArchitecture

TOKEN = r"<t_\d+>|</[ab]>"
TEMPLATE = "{{ messages | map(attribute='content') | join }}"
"""Only the input's values, so that `quince eval` can prompt a probe model like any other."""


def new_tokenizer(values: int, target: Target) -> PreTrainedTokenizerFast:
    """A tokenizer for texts like `<t_1><t_2><t_3>`, so that the saved model is an ordinary causal LM."""
    tokens = vocabulary(values, target)
    tokenizer = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=END))
    tokenizer.pre_tokenizer = Split(Regex(TOKEN), "isolated")
    tokenizer.decoder = Fuse()
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token"), END)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **special)


def new_model(architecture: ProbeArchitecture, values: int, target: Target, length: int, seed: int) -> GPT2LMHeadModel:
    """A GPT-2 of these sizes with random weights in float32: pre-norm, tied embeddings, no dropout.

    Unlike in arXiv 2505.20278 there are no 50,000 unused tokens, whose embeddings would be most of the weights.
    `values` is the number of values of a slot and `length` the longest sequence in tokens.
    """
    end = len(vocabulary(values, target)) - 1
    config = GPT2Config(
        vocab_size=end + 1,
        n_positions=length,
        n_embd=architecture.width,
        n_layer=architecture.layers,
        n_head=architecture.heads,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own in one kernel, a fifth less time on a CPU
        use_cache=False,
        dtype="float32",
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end),
    )
    torch.manual_seed(seed)
    return GPT2LMHeadModel(config)
