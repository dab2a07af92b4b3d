"""An engine on a running vLLM server (`vllm serve MODEL`), over HTTP with token ids."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from .base import Completion, EngineError, Sampling, decode, prompt_key


class ServerEngine:
    """Samples and scores with a vLLM server; prompts are sent as token ids, `at_once` of them in a request."""

    name = "server"

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        url: str = "http://localhost:8000",
        timeout_s: float = 600.0,
        at_once: int = 256,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.url, self.timeout_s, self.at_once = url.rstrip("/"), timeout_s, at_once

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        asked = {
            "n": sampling.n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop_token_ids": list(sampling.stop_token_ids),
            "logprobs": 1,
            "return_tokens_as_token_ids": True,
        }
        answers: list[list[Completion]] = []
        for batch in self._batches(prompts):
            seed = prompt_key([token for prompt in batch for token in prompt], len(answers), sampling.seed) % 2**31
            choices = self._ask(batch, asked | {"seed": seed}, len(batch) * sampling.n)
            completions = [self._completion(choice) for choice in choices]
            answers += [completions[at : at + sampling.n] for at in range(0, len(completions), sampling.n)]
        return answers

    def score(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Engine.score`. A server cannot score without generating a token, which is discarded."""
        joined = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
        scored: list[list[float]] = []
        for batch in self._batches(joined):
            choices = self._ask(batch, {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}, len(batch))
            for choice in choices:
                first = len(prompts[len(scored)])
                ids, found = joined[len(scored)], choice["prompt_logprobs"]
                scored.append([found[at][str(ids[at])]["logprob"] for at in range(first, len(ids))])
        return scored

    def close(self) -> None:
        """Leave the server running."""

    def _batches(self, prompts: Sequence[Sequence[int]]) -> list[list[list[int]]]:
        return [
            [list(prompt) for prompt in prompts[at : at + self.at_once]] for at in range(0, len(prompts), self.at_once)
        ]

    def _completion(self, choice: dict[str, Any]) -> Completion:
        ids = tuple(int(token.removeprefix("token_id:")) for token in choice["logprobs"]["tokens"])
        reason = "stop" if choice["finish_reason"] == "stop" else "length"
        (text,) = decode(self.tokenizer, [ids])
        return Completion(text, ids, tuple(choice["logprobs"]["token_logprobs"]), reason)  # type: ignore[arg-type]

    def _ask(self, prompts: list[list[int]], options: dict[str, Any], choices: int) -> list[dict[str, Any]]:
        """Choices in the order of the prompts; `EngineError` for every fault of the server."""
        body = json.dumps({"model": self.model, "prompt": prompts, **options}).encode()
        request = urllib.request.Request(f"{self.url}/v1/completions", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                found = json.load(response)["choices"]
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
            raise EngineError(f"engine (server): {self.url} · status {error.code} · {reason}") from error
        except (OSError, ValueError, KeyError) as error:
            reason = f"{type(error).__name__}: {error} · `vllm serve {self.model}` starts it"
            raise EngineError(f"engine (server): {self.url} · {reason}") from error
        if len(found) != choices:
            raise EngineError(f"engine (server): {self.url} · {len(found)} answers to {choices} requests")
        return sorted(found, key=lambda choice: choice["index"])
