"""The README of a trained model: what it is, and everything needed to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .run_folder import RECIPE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from .config.loader import LoadedRecipe


def write_card(folder: Path, loaded: LoadedRecipe) -> None:
    """Put the card and the resolved recipe into a model folder; the recipe says whose result it is."""
    (folder / "README.md").write_text(model_card(loaded), encoding="utf-8")
    (folder / RECIPE_FILE).write_text(loaded.to_yaml(), encoding="utf-8")


def model_card(loaded: LoadedRecipe) -> str:
    """Markdown with the model card metadata of the Hugging Face Hub and the resolved recipe."""
    recipe = loaded.recipe
    base = getattr(getattr(recipe, "model", None), "id", None)
    header = ["---", "library_name: transformers", "tags: [quince, " + recipe.kind + "]"]
    if base and base != "tiny":
        header.append(f"base_model: {base}")
    return "\n".join(
        [
            *header,
            "---",
            f"# {loaded.name}",
            "",
            recipe.description or f"Made by the Quince recipe `{loaded.name}`.",
            "",
            "```bash",
            f"quince train {loaded.name}",
            "```",
            "",
            "The resolved recipe:",
            "",
            "```yaml",
            loaded.to_yaml().rstrip(),
            "```",
            "",
        ]
    )
