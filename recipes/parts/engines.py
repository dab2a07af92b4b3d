"""Engines for the `model:`, `engine:` and `kl:` sections."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...eval.engines import load_engine
from ..config.language.errors import RecipeError
from .models import best_device, check_files, load_policy, load_tokenizer, model_path, same_weights
from .rendezvous import one_machine, use_loopback_interface

if TYPE_CHECKING:
    from ...eval.engines.base import Engine
    from ..config.evaluation import EvalRecipe
    from ..config.model import Model


def build_engine(model: Model, engine: Any, tokenizer: Any) -> Engine:
    """An engine for the policy a recipe names.

    With transformers the weights are loaded exactly as training loads them, so that both agree bit for bit.
    """
    options = engine.model_dump(exclude={"kind"})
    if engine.kind == "transformers":
        from ...eval.engines.transformers import TransformersEngine

        return TransformersEngine(load_policy(model).to(best_device()), tokenizer, **options)
    check_files(model, model_path(model.id))
    if one_machine():
        use_loopback_interface()
    return load_engine(engine.kind, model_path(model.id), revision=model.revision, dtype=model.dtype, **options)


def check_reference(recipe: EvalRecipe, tokenizer: Any) -> None:
    """See to it that the model and the reference of a divergence speak of the same tokens.

    Raises:
        RecipeError: They do not.
    """
    if recipe.kl is None or load_tokenizer(recipe.kl.model).get_vocab() == tokenizer.get_vocab():
        return
    raise RecipeError(
        f"kl.model · the vocabulary of {recipe.kl.model.id} is not that of {recipe.model.id} · a divergence needs the "
        "same tokens · name the model that this one was trained from, or set kl=null"
    )


class Engines:
    """The model of an evaluation and its reference, each loaded when it is first asked for.

    Args:
        recipe: The evaluation.
        tokenizer: Of its model.
    """

    def __init__(self, recipe: EvalRecipe, tokenizer: Any) -> None:
        self._recipe, self._tokenizer = recipe, tokenizer

    @cached_property
    def model(self) -> Engine:
        """The model."""
        engine = build_engine(self._recipe.model, self._recipe.engine, self._tokenizer)
        engine.tokenizer = self._tokenizer
        return engine

    @cached_property
    def reference(self) -> Engine:
        """The model of `kl:`; the evaluated model itself where both are the same weights."""
        assert self._recipe.kl is not None
        model = self._recipe.kl.model
        if same_weights(model, self._recipe.model):
            return self.model
        return build_engine(model, self._recipe.engine, self._tokenizer)

    def close(self) -> None:
        """Give back what was loaded."""
        for name in ("model", "reference"):
            if name in self.__dict__:
                self.__dict__[name].close()
