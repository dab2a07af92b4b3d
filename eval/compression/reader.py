"""The frozen models that judge compression: a reader behind an engine, and an encoder of texts as vectors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ...data.chat.renderer import Renderer
from ..engines.base import Engine, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEMPLATE = "{context}\n{question}"
REMEMBERED = 200_000
"""Scores and answers that a reader caches."""
ENCODED = 64
"""Texts that an encoder takes in one batch."""

Value = TypeVar("Value")


class EngineReader:
    """A model that reads a context and answers questions on it.

    Scores and answers are cached: full passages and empty contexts are read once for each question, and so is a capsule
    that several rollouts share.

    `template` is the user's message, with `{context}` and `{question}`; without a context it is the question alone.
    """

    def __init__(self, engine: Engine, name: str, template: str = TEMPLATE, max_tokens: int = 16) -> None:
        self.engine, self.name, self.template = engine, name, template
        self.tokenizer = engine.tokenizer
        self._renderer = Renderer(self.tokenizer)
        self._sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        self._log_probs: _Memory[float] = _Memory()
        self._answers: _Memory[str] = _Memory()

    def count(self, text: str) -> int:
        """Tokens of a text in the reader's own tokenizer, without special tokens."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def cut(self, text: str, tokens: int) -> str:
        """The longest beginning of a text that the reader counts as at most `tokens` tokens."""
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        # Fewer characters can be more tokens where the cut goes through a character of several tokens.
        for last in range(min(tokens, len(offsets)), 0, -1):
            beginning = text[: offsets[last - 1][1]] if last < len(offsets) else text
            if self.count(beginning) <= tokens:
                return beginning
        return ""

    def prompt(self, context: str, question: str) -> list[int]:
        """Tokens of a question on a context; the context is empty for none."""
        return self._prompts([(context, question)])[0]

    def log_probs(self, contexts: Sequence[str], questions: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Log-probability of each answer with the end of the turn, in nats, summed over its tokens."""
        return self._log_probs.recall(list(zip(contexts, questions, answers, strict=True)), self._score)

    def answers(self, contexts: Sequence[str], questions: Sequence[str]) -> list[str]:
        """The greedy answer to each question on its context, without white space around it."""
        return self._answers.recall(list(zip(contexts, questions, strict=True)), self._answer)

    def close(self) -> None:
        """Give back the model's memory."""
        self.engine.close()

    def _score(self, asked: list[tuple[str, str, str]]) -> list[float]:
        prompts = self._prompts([(context, question) for context, question, _ in asked])
        end = [self.tokenizer.eos_token_id]
        answers = self.tokenizer([answer for *_, answer in asked], add_special_tokens=False)["input_ids"]
        return [sum(scores) for scores in self.engine.score(prompts, [[*ids, *end] for ids in answers])]

    def _answer(self, asked: list[tuple[str, str]]) -> list[str]:
        return [answer.text.strip() for (answer,) in self.engine.generate(self._prompts(asked), self._sampling)]

    def _prompts(self, asked: Sequence[tuple[str, str]]) -> list[list[int]]:
        texts = [
            self.template.format(context=context, question=question) if context else question
            for context, question in asked
        ]
        rows: list[tuple[dict[str, Any], list[dict[str, str]]]] = [
            ({}, [{"role": "user", "content": text}]) for text in texts
        ]
        return [prompt.ids for prompt in self._renderer.render_all(rows, add_generation_prompt=True)]


class MeanEncoder:
    """Mean-pooled last hidden states of a causal language model, on its device."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, `[texts, hidden]` in float32; zeros for a text without tokens."""
        batches = (texts[at : at + ENCODED] for at in range(0, len(texts), ENCODED))
        return np.concatenate([self._embed(batch) for batch in batches])

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        encoded = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        ids = [row or [self.tokenizer.pad_token_id] for row in encoded]
        width = max(map(len, ids))
        # Padded on the right, where causal attention never looks.
        rows = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=self.model.device)
        lengths = torch.tensor([len(row) if text else 0 for text, row in zip(texts, ids, strict=True)])
        with torch.inference_mode():
            hidden = self.model(rows, output_hidden_states=True, logits_to_keep=1, use_cache=False).hidden_states[-1]
        mask = (torch.arange(width) < lengths[:, None]).to(hidden.device)[..., None]
        return ((hidden.float() * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()


class _Memory(Generic[Value]):
    """A cache of results, first in, first out."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Value] = OrderedDict()

    def recall(self, asked: Sequence[Any], compute: Callable[[list[Any]], list[Value]]) -> list[Value]:
        """Results for everything asked; what is not known is computed together, each thing once."""
        new = [key for key in dict.fromkeys(asked) if key not in self._known]
        computed = dict(zip(new, compute(new), strict=True)) if new else {}
        found = [computed[key] if key in computed else self._known[key] for key in asked]
        self._known.update(computed)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found
