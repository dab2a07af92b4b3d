"""Memory of sampling rollouts in an RLVR recipe: the engine's weights and its KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.shapes import Shape
from ..config.trainer_arguments import trainer_value
from .training_memory import prompt_tokens

if TYPE_CHECKING:
    from ..config.rlvr import RlvrRecipe


SERVER_SHARE = 0.9
"""Of its GPUs' memory that vLLM takes as a server, unless it is told otherwise."""


@dataclass(frozen=True)
class Generation:
    """How the rollouts of a batch are generated.

    Attributes:
        shape: Sizes of the model.
        engine: `colocate` (vLLM on the training GPUs), `server` (vLLM elsewhere), or `transformers`.
        share: Of each GPU for a colocated engine.
        tensor_parallel: GPUs that hold one engine.
        sleeps: Whether a colocated engine frees its memory while the policy is trained.
        rows: Rollouts that one process requests at once.
        group: Rollouts of one prompt, which is read once for them.
        prompt: Tokens.
        completion: Tokens at most.
    """

    shape: Shape
    engine: str
    share: float
    tensor_parallel: int
    sleeps: bool
    rows: int
    group: int
    prompt: int
    completion: int

    @property
    def token_bytes(self) -> int:
        """Keys and values of a token, bfloat16."""
        return 2 * 2 * self.shape.layers * self.shape.kv_heads * self.shape.head_dim

    @property
    def weights(self) -> float:
        """Of the engine on one GPU; with `transformers` they are the policy's own."""
        return 0.0 if self.engine == "transformers" else 2 * self.shape.parameters / self.tensor_parallel

    @property
    def wanted_cache(self) -> float:
        """Keys and values of one process's answers at full length, prompts of a group counted each time."""
        return self.rows * (self.prompt + self.completion) * self.token_bytes / self.tensor_parallel

    def cache(self, memory: float) -> float:
        """Bytes of keys and values that a GPU with this memory can hold; `transformers` takes what it needs."""
        if self.engine == "transformers":
            return self.wanted_cache
        return max(0.0, self.share * memory - self.weights)

    def at_once(self, memory: float) -> float:
        """Answers of full length that one engine's cache holds."""
        room = self.cache(memory) * self.tensor_parallel
        return room / ((self.prompt + self.completion) * self.token_bytes)

    def held_while_training(self, memory: float) -> float:
        """Bytes of a GPU that the engine keeps during an update."""
        return self.share * memory if self.engine == "colocate" and not self.sleeps else 0.0

    def held_while_generating(self, memory: float) -> float:
        """Bytes of a GPU for the engine while it generates."""
        if self.engine == "server":
            return 0.0
        return self.share * memory if self.engine == "colocate" else self.wanted_cache


def generation(recipe: RlvrRecipe, shape: Shape) -> Generation:
    """Translate the `trainer:` section."""
    trainer = recipe.trainer
    names = ("use_vllm", "vllm_mode", "vllm_gpu_memory_utilization", "vllm_tensor_parallel_size")
    vllm, mode, share, parallel = (trainer_value(trainer, name) for name in names)
    accumulation = trainer_value(trainer, "gradient_accumulation_steps")
    batches = trainer.get("steps_per_generation") or accumulation
    return Generation(
        shape,
        engine=mode if vllm else "transformers",
        share=SERVER_SHARE if vllm and mode == "server" else share if vllm else 0.0,
        tensor_parallel=parallel if vllm else 1,
        sleeps=bool(trainer.get("vllm_enable_sleep_mode")),
        rows=trainer_value(trainer, "per_device_train_batch_size") * batches,
        group=trainer_value(trainer, "num_generations"),
        prompt=prompt_tokens(trainer),
        completion=trainer_value(trainer, "max_completion_length"),
    )
