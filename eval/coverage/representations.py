"""Do hidden states cluster by an intermediate value? The intra-inter cosine gap (IICG), and reading hidden states.

IICG after arXiv 2505.20278: the mean cosine of pairs of states with the same value minus that of the other pairs, at
one layer and position. Layer l is the residual stream after l blocks, so layer 0 is the embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class CosineGap:
    """Mean cosines of pairs within one group and of different groups, NaN where there are none.

    `groups` counts those with at least two members.
    """

    within: float
    between: float
    groups: int

    @property
    def gap(self) -> float:
        """IICG."""
        return self.within - self.between


def cosine_gap(vectors: ArrayLike, groups: ArrayLike) -> CosineGap:
    """IICG of vectors `[rows, width]` under a grouping; a zero vector counts as orthogonal to all.

    All pairs are counted (the reference's second variant), through sums of unit vectors: linear in the rows. Groups are
    labels `[rows]`, or `[rows, parts]` for combinations such as (bridge, x2).

    Raises:
        ValueError: The two differ in rows.
    """
    vectors, groups = np.asarray(vectors, dtype=np.float64), np.asarray(groups)
    if len(vectors) != len(groups):
        raise ValueError(f"cosine gap: {len(vectors)} vectors and {len(groups)} labels are not the same rows")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    _, group = np.unique(groups, axis=0, return_inverse=True)
    group = group.reshape(-1)
    members = np.bincount(group)
    sums = np.zeros((len(members), units.shape[1]))
    np.add.at(sums, group, units)
    selves = float((units * units).sum())
    same, all_pairs = float((sums * sums).sum()), float((units.sum(axis=0) ** 2).sum())
    within_pairs = float((members * (members - 1)).sum())
    between_pairs = float(len(units) ** 2 - (members**2).sum())
    return CosineGap(
        within=(same - selves) / within_pairs if within_pairs else float("nan"),
        between=(all_pairs - same) / between_pairs if between_pairs else float("nan"),
        groups=int((members > 1).sum()),
    )


def gap_map(states: NDArray[Any], tokens: NDArray[np.int64], groups: ArrayLike) -> NDArray[np.float64]:
    """IICG at every layer and position, `[layers, positions]`.

    Rows whose tokens agree up to a position have equal states there in a causal model; they count once, otherwise
    clusters would consist of copies. `states` are those of `hidden_states`, `tokens` are `[rows, positions]`, `groups`
    as in `cosine_gap`.
    """
    groups = np.asarray(groups)
    gaps = np.empty((states.shape[0], states.shape[2]))
    for position in range(states.shape[2]):
        # A group may depend on later tokens; equal states in different groups stay separate.
        labelled = np.concatenate([tokens[:, : position + 1], groups.reshape(len(groups), -1)], axis=1)
        _, first = np.unique(labelled, axis=0, return_index=True)
        for layer in range(states.shape[0]):
            gaps[layer, position] = cosine_gap(states[layer, first, position], groups[first]).gap
    return gaps


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """The blocks of a Hugging Face causal LM: its list of as many modules as the configuration has layers.

    Raises:
        ValueError: There is no such list, or more than one.
    """
    from torch import nn

    count = model.config.get_text_config().num_hidden_layers
    found = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    if len(found) != 1:
        raise ValueError(
            f"{type(model).__name__} · {len(found)} lists of {count} modules · one list of blocks is needed · "
            "pass a causal language model of transformers"
        )
    return found[0]


@contextmanager
def inference(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the model is in the mode that it was in before."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


@contextmanager
def recorded_states(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Record the residual stream before each block and after the last: `layers + 1` of `[rows, positions, width]`."""
    states: list[Tensor] = []

    def before(block: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        states.append(entering(arguments, options).detach().clone())

    def after(block: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        states.append((output[0] if isinstance(output, tuple) else output).detach().clone())

    blocks = blocks_of(model)
    with ExitStack() as hooks:
        for block in blocks:
            hooks.callback(block.register_forward_pre_hook(before, with_kwargs=True).remove)
        hooks.callback(blocks[-1].register_forward_hook(after).remove)
        yield states


def hidden_states(model: PreTrainedModel, tokens: Any, batch: int = 1024) -> NDArray[np.float32]:
    """The residual stream of a causal LM, `[layers + 1, rows, positions, width]` in float32.

    `tokens` are ids without padding, `[rows, positions]`; `batch` is the number of rows in a forward pass.
    """
    import torch

    tokens, parts = torch.as_tensor(tokens), []
    with inference(model):
        for start in range(0, len(tokens), batch):
            with recorded_states(model) as states:
                model(input_ids=tokens[start : start + batch].to(model.device))
            parts.append(torch.stack(states).float().cpu().numpy())
    return np.concatenate(parts, axis=1)


def entering(arguments: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    """The residual stream that a block is called with."""
    return arguments[0] if arguments else options["hidden_states"]
