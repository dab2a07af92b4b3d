"""TRL's `SFTTrainer` with whole checkpoints, packing for the attention in use, and a cheaper loss on CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from trl import SFTTrainer

from ..run.trainer_base import TrainerBase
from .examples import IGNORED

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


@dataclass
class PackCollator:
    """Packs as the rows of a batch, `[packs, tokens]`; positions start again with each conversation.

    transformers derives a block-diagonal mask from the positions. TRL's collator joins all packs of a batch into one
    row, whose mask would be as long and as wide as the whole batch.
    """

    pad_token_id: int

    def __call__(self, packs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad to the longest pack; each padding token is a conversation of its own, and nothing attends to it."""
        positions = [torch.cat([torch.arange(length) for length in pack["seq_lengths"]]) for pack in packs]
        labels = [torch.tensor(pack["labels"]) for pack in packs]
        for label, position in zip(labels, positions, strict=True):
            label[position == 0] = IGNORED
        ids = [torch.tensor(pack["input_ids"]) for pack in packs]
        return {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
            "position_ids": pad_sequence(positions, batch_first=True, padding_value=0),
        }


class SftTrainer(TrainerBase, SFTTrainer):
    """`SFTTrainer` on examples that are tokens already (`recipes.sft.examples`)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not self.args.packing:
            return
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        # One row of all packs suits kernels that are told where each conversation starts.
        if not use_on_cpu(base) and "flash" not in base.config.get_text_config()._attn_implementation:
            self.data_collator = PackCollator(self.processing_class.pad_token_id)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy in nats per token; on a CPU the output head runs only where there is a label.

        There TRL would compute the logits of every position, with their entropy, for three times the cost of a small
        model; where it has its GPU kernels, it is asked.
        """
        if self.args.device.type != "cpu" or self.args.loss_type != "nll" or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        learned = labels != IGNORED
        rest = {name: value for name, value in inputs.items() if name != "labels"}
        head = self.model.get_output_embeddings()
        with head.register_forward_pre_hook(lambda _, hidden: (hidden[0][:, :-1][learned],)):
            logits = model(**rest, use_cache=False).logits
        total = torch.nn.functional.cross_entropy(logits.float(), labels[learned], reduction="sum")
        self._count(inputs)
        if num_items_in_batch is None:
            return total / learned.sum().clamp(min=1)
        # The count is that of all processes, over which gradients are averaged.
        return total / num_items_in_batch * self.accelerator.num_processes

    def _count(self, inputs: dict[str, Any]) -> None:
        mode = "train" if self.model.training else "eval"
        seen = inputs["attention_mask"].sum() if "attention_mask" in inputs else inputs["position_ids"].numel()
        self._total_train_tokens += int(self.accelerator.reduce(torch.as_tensor(seen))) if mode == "train" else 0
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
