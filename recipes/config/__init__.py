"""Recipes as YAML: reading, inheritance, overrides and strict checking. Nothing here imports torch."""

from __future__ import annotations

from .language.errors import Problem, RecipeError, RecipeErrors
from .language.library import evaluation_name, library_recipes
from .loaded import LoadedRecipe
from .loader import load_recipe

__all__ = [
    "LoadedRecipe",
    "Problem",
    "RecipeError",
    "RecipeErrors",
    "evaluation_name",
    "library_recipes",
    "load_recipe",
]
