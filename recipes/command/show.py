"""Text of `quince list` and `quince show --schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..config.language.errors import Problem, RecipeErrors, did_you_mean, one_of
from ..config.loader import SCHEMAS, description


def recipe_table(recipes: Mapping[str, Path]) -> str:
    """One line for each recipe, in the order of their names: name and description."""
    width = max(map(len, recipes), default=0)
    return "\n".join(f"{name:<{width}}  {description(path)}".rstrip() for name, path in recipes.items())


def json_schema(kind: str) -> str:
    """The JSON schema of a recipe kind as an editor reads it: with `extends`, and nothing required.

    Raises:
        RecipeErrors: If there is no such kind.
    """
    if kind not in SCHEMAS:
        problem = Problem("--schema", "kind", f"found {kind!r}", one_of(SCHEMAS), did_you_mean(kind, SCHEMAS))
        raise RecipeErrors(kind, [problem])
    schema = SCHEMAS[kind].model_json_schema()
    schema["properties"] = {
        "extends": {"type": "string", "description": "Parent: a file beside this one or in the library."},
        **schema["properties"],
    }
    # What a recipe leaves out may stand in its parent.
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("required", None)
    return json.dumps(schema, indent=2)
