"""What the files of a model may ask for: an architecture of the installed library, and nothing that runs.

`trust_remote_code=False` alone is no boundary: a configuration can name an attention kernel, which is compiled code, on
the Hub, and has more than once found a way to switch remote code on (CVE-2026-4372, CVE-2026-5241).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config.model import Model

_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
_UNREADABLE = (AttributeError, ImportError, KeyError, TypeError, ValueError)


def check_files(model: Model, path: str) -> None:
    """Refuse a configuration that names a kernel on the Hub.

    Args:
        model: The section, for the message.
        path: Folder or name on the Hub; of an adapter, the model under it is checked too.

    Raises:
        RecipeError: It does, or it is not JSON.
    """
    from ..config.language.errors import RecipeError  # with pydantic, which `compress_prompt` does without

    with readable(model):
        for config in _configurations(path, model.revision):
            for field, value in _leaves(config):
                name = field.strip("_").removesuffix("_internal")
                if name in _IMPLEMENTATIONS and "/" in str(value):
                    raise RecipeError(
                        f"model.id · {model.id} · its config.json wants the kernel {value} ({field}) · code comes from "
                        "installed packages only · delete the field, and name one in model.attn_implementation"
                    )


@contextmanager
def readable(model: Model) -> Iterator[None]:
    """Say in one line that the files of a model cannot be loaded, and why."""
    from ..config.language.errors import RecipeError

    try:
        yield
    except RecipeError:
        raise
    except _UNREADABLE as error:
        raise RecipeError(
            f"model.id · {model.id} cannot be loaded · {_first_sentence(error)} · an architecture and a tokenizer "
            "of the installed transformers, in safetensors and JSON; code of a model is never run"
        ) from error


def _configurations(path: str, revision: str | None) -> Iterator[dict[str, Any]]:
    from transformers.utils import cached_file

    def read(name: str) -> dict[str, Any]:
        file = cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if file is None:
            return {}
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)

    yield read("config.json")
    if base := read("adapter_config.json").get("base_model_name_or_path"):
        yield from _configurations(base, None)


def _leaves(value: Any, field: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the name of the field that holds it, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = field if field.strip("_").removesuffix("_internal") in _IMPLEMENTATIONS else key
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, field)
    else:
        yield field, value


def _first_sentence(error: Exception) -> str:
    text = str(error).split("\n", 1)[0].split(". ", 1)[0].strip(" .")
    return f"{type(error).__name__}: {text}"
