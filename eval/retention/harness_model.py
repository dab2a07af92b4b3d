"""An engine as a model of lm-eval, with a log of answers by request. Imports lm-eval."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

from ...data.cache import read_log
from ..engines.base import Engine, EngineError, Sampling
from ..measure.settings import sha256_of

_AT_ONCE = 256
Answer = Any
"""What lm-eval expects for a request: `(log-prob, is greedy)`, or the text."""


class AnswerLog:
    """Answers by request, appended to a file, so that an interrupted run computes only the others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.answers: dict[str, Answer] = dict(read_log(path, mend=True))

    def append(self, answers: dict[str, Answer]) -> None:
        """Write answers and flush them to disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in answers.items())
            file.flush()
            os.fsync(file.fileno())
        self.answers |= answers


class EngineModel(TemplateLM):
    """An engine with the interface of lm-eval: log-likelihoods by `score`, texts by `generate`.

    `max_tokens` is for tasks that do not set it. Prompts longer than `max_length` tokens, answer included, lose their
    beginning, as in lm-eval. With `greedy`, log-likelihoods tell whether the text is greedy, which costs a generation.
    """

    def __init__(
        self, engine: Engine, log: AnswerLog, max_tokens: int, max_length: int, greedy: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        self.engine, self.tokenizer, self.max_length = engine, engine.tokenizer, max_length
        self._log, self._max_tokens, self._greedy, self._seed = log, max_tokens, greedy, seed

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without context."""
        return self.eot_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        """For caches of lm-eval, which are not used."""
        return str(getattr(self.tokenizer, "name_or_path", ""))

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids; no second BOS token is added."""
        bos = self.tokenizer.bos_token
        special = not (bos and string.startswith(bos)) if add_special_tokens is None else add_special_tokens
        return self.tokenizer.encode(string, add_special_tokens=special)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the conversation as text; without a generation prompt, its last message stays open."""
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        pairs = [self._shortened(context, text) for _, context, text in requests]
        keys = [sha256_of(["loglikelihood", self._greedy, *pair]) for pair in pairs]
        answers = self._answered(keys, pairs, self._score)
        return [(answer[0], answer[1]) for answer in answers]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of whole texts, in windows with one token of context."""
        totals: list[float] = []
        for request in requests:
            ids = [self.prefix_token_id, *self.tok_encode(request.args[0], add_special_tokens=False)]
            step = self.max_length - 1
            windows = [(("", ""), ids[at : at + 1], ids[at + 1 : at + 1 + step]) for at in range(0, len(ids) - 1, step)]
            totals.append(sum(value for value, _ in self._loglikelihood_tokens(windows)))
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return texts, cut before the first stop text; equal sampled requests get different seeds."""
        copies: Counter[str] = Counter()
        asked, keys = [], []
        for request in requests:
            context, options = request.args
            key = sha256_of(["generate", context, options, self._max_tokens, self._seed])
            sampled = bool(options.get("do_sample")) and options.get("temperature", 1.0) > 0
            keys.append(f"{key}-{copies[key]}" if sampled else key)
            asked.append((context, options, copies[key] if sampled else 0))
            copies[key] += 1
        return self._answered(keys, asked, self._generate)

    def _answered(self, keys: Sequence[str], asked: Sequence[Any], answer: Callable[[list[Any]], list[Answer]]) -> list:
        """Answers in order; repeated and logged requests are not computed again."""
        new = {key: request for key, request in zip(keys, asked, strict=True) if key not in self._log.answers}
        for some in (list(new)[start : start + _AT_ONCE] for start in range(0, len(new), _AT_ONCE)):
            self._log.append(dict(zip(some, answer([new[key] for key in some]), strict=True)))
        return [self._log.answers[key] for key in keys]

    def _score(self, pairs: list[tuple[list[int], list[int]]]) -> list[tuple[float, bool]]:
        prompts, texts = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        sums = [sum(row) for row in self.engine.score(prompts, texts)]
        if not self._greedy:
            return [(value, False) for value in sums]
        longest = Sampling(temperature=0.0, max_tokens=max(1, *map(len, texts)))
        best = [row[0].token_ids for row in self.engine.generate(prompts, longest)]
        return [(v, tuple(text) == ids[: len(text)]) for v, text, ids in zip(sums, texts, best, strict=True)]

    def _generate(self, asked: list[tuple[str, dict[str, Any], int]]) -> list[str]:
        texts = {}
        groups: dict[Sampling, list[int]] = {}
        for index, (_, options, copy) in enumerate(asked):
            groups.setdefault(self._sampling(options, copy), []).append(index)
        for sampling, members in groups.items():
            room = self.max_length - sampling.max_tokens
            if room < 1:
                raise EngineError(f"retention · max_length {self.max_length} · above the task's {sampling.max_tokens}")
            prompts = [self.tok_encode(asked[index][0])[-room:] for index in members]
            for index, row in zip(members, self.engine.generate(prompts, sampling), strict=True):
                texts[index] = _until(row[0].text, asked[index][1].get("until"))
        return [texts[index] for index in range(len(asked))]

    def _sampling(self, options: dict[str, Any], copy: int) -> Sampling:
        most = options.get("max_gen_toks", options.get("max_new_tokens", self._max_tokens))
        if not options.get("do_sample"):
            return Sampling(temperature=0.0, max_tokens=most)
        heat, mass = options.get("temperature", 1.0), options.get("top_p", 1.0)
        return Sampling(temperature=heat, top_p=mass, max_tokens=most, seed=self._seed + copy)

    def _shortened(self, context: list[int], text: list[int]) -> tuple[list[int], list[int]]:
        """The context cut on the left to fit, with at least one token."""
        text = text[-(self.max_length - 1) :]
        return context[-(self.max_length - len(text)) :], text


def _until(text: str, stops: Sequence[str] | str | None) -> str:
    for stop in [stops] if isinstance(stops, str) else stops or ():
        text = text.split(stop, 1)[0] if stop else text
    return text
