"""Tokenizers with Qwen's chat format, trained on generated rows: byte-level BPE, or one token a word."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.trainers import BpeTrainer, WordLevelTrainer
    from transformers import PreTrainedTokenizerFast

    from ...data.rows import Row

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
UNKNOWN = "<|unknown|>"
"""What a tokenizer of words reads in place of a word it has not seen."""
TAGS = tuple("<tool_call> </tool_call> <tool_response> </tool_response> <tools> </tools> <think>".split())
"""One token each but plain text when decoded, as in Qwen3: tool parsers read them."""
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen's pre-tokenizer: words with their space, digits one by one."""


def train_tokenizer(
    rows: Iterable[Row], vocab_size: int, max_length: int, kind: str = "bpe"
) -> PreTrainedTokenizerFast:
    """Train on the text of all messages.

    Args:
        rows: SFT rows.
        vocab_size: Most tokens, with the special ones.
        max_length: Longest input of the model in tokens.
        kind: `bpe` on bytes, or `words` (one token for each word and mark, white space is not told apart).
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    tokenizer, trainer = (_words if kind == "words" else _bytes)(vocab_size - len(TAGS) - 1)
    messages = (message for row in rows for message in row["messages"])
    texts = (text for message in messages for text in (message["role"], message["content"] or ""))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in (*TAGS, "</think>")])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START, END],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = (files("quince.data") / "chat" / "templates" / "qwen.jinja").read_text(encoding="utf-8")
    return wrapped


def _bytes(vocab_size: int) -> tuple[Tokenizer, BpeTrainer]:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _words(vocab_size: int) -> tuple[Tokenizer, WordLevelTrainer]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer, trainers.WordLevelTrainer(
        vocab_size=vocab_size, special_tokens=[END_OF_TEXT, START, END, UNKNOWN], show_progress=False
    )
