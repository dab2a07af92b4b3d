"""An engine on vLLM."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import Completion, EngineError, Sampling, decode, prompt_key

_QUIET_AND_IN_PROCESS = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    # An engine in its own process gains nothing in a batch job, and outlives a parent that is killed.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
_CPU = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    # By default vLLM pins its threads to cores, where they compete with other processes.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Compiling takes longer than most evaluations on a CPU.
    "TORCH_COMPILE_DISABLE": "1",
}


class VllmEngine:
    """Samples and scores with a `vllm.LLM`.

    Environment variables that are already set take precedence over the defaults in `load`.
    """

    name = "vllm"

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self.tokenizer = llm.get_tokenizer()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        dtype: str = "auto",
        revision: str | None = None,
        max_model_len: int | None = None,
        gpu_memory_utilization: float = 0.9,
        tensor_parallel_size: int = 1,
    ) -> VllmEngine:
        """Load a model folder or hub id; code in the repository of a model is never run."""
        import torch

        on_cpu = not torch.cuda.is_available()
        for name, value in (_QUIET_AND_IN_PROCESS | (_CPU if on_cpu else {})).items():
            os.environ.setdefault(name, value)
        from vllm import LLM

        llm = LLM(
            model=str(path),
            revision=revision,
            tokenizer_revision=revision,
            # CPUs without bfloat16 units emulate it, slowly; and float32 agrees with transformers.
            dtype="float32" if on_cpu and dtype == "auto" else dtype,
            max_model_len=max_model_len,
            gpu_memory_utilization=gpu_memory_utilization,
            tensor_parallel_size=tensor_parallel_size,
            enable_prefix_caching=True,
            # vLLM 0.31 rewinds a seeded generator between chunks of a prompt, which a CPU generator does not support.
            enable_chunked_prefill=False if on_cpu else None,
            enforce_eager=on_cpu,
            logprobs_mode="raw_logprobs",
            # A model's generation settings do not change the sampling of a request.
            generation_config="vllm",
            trust_remote_code=False,
            disable_log_stats=True,
            use_tqdm_on_load=False,
        )
        return cls(llm)

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        seen: Counter[tuple[int, ...]] = Counter()
        parameters = []
        for prompt in prompts:
            repeat, seen[tuple(prompt)] = seen[tuple(prompt)], seen[tuple(prompt)] + 1
            parameters.append(self._parameters(sampling, prompt_key(prompt, repeat, sampling.seed)))
        outputs = self._run(prompts, parameters)
        rows = [tuple(choice.token_ids) for output in outputs for choice in output.outputs]
        texts = iter(decode(self.tokenizer, rows))
        return [[_completion(next(texts), choice) for choice in output.outputs] for output in outputs]

    def score(self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Engine.score`. vLLM cannot score without generating a token, which is discarded."""
        from vllm import SamplingParams

        joined = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
        asked = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        outputs = self._run(joined, [asked] * len(joined))
        return [
            [output.prompt_logprobs[at][ids[at]].logprob for at in range(len(prompt), len(ids))]
            for output, prompt, ids in zip(outputs, prompts, joined, strict=True)
        ]

    def close(self) -> None:
        """Free the memory."""
        from vllm.distributed import cleanup_dist_env_and_memory

        self._llm = None
        cleanup_dist_env_and_memory()

    def _parameters(self, sampling: Sampling, key: int) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            n=sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=key % 2**31,
            stop_token_ids=list(sampling.stop_token_ids) or None,
            logprobs=0,
            detokenize=False,
        )

    def _run(self, prompts: Sequence[Sequence[int]], parameters: list[Any]) -> list[Any]:
        try:
            requests = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
            return self._llm.generate(requests, parameters, use_tqdm=False)
        except ValueError as error:
            raise EngineError(f"engine (vllm): {error}") from error


def _completion(text: str, choice: Any) -> Completion:
    ids = tuple(choice.token_ids)
    logprobs = tuple(step[token].logprob for step, token in zip(choice.logprobs, ids, strict=True))
    return Completion(text, ids, logprobs, "stop" if choice.finish_reason == "stop" else "length")
