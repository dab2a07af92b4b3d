"""The base of every section of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .errors import Conflict

_FOLDER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TAKEN = re.compile(
    r"board|model|checkpoint-.*|(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?|.*\.(?:md|jsonl?|ya?ml|html|partial|lock)",
    re.IGNORECASE,
)


def folder_problem(name: str) -> str:
    """Say what a name of a folder of its own has to be, where this one is not; empty where it is.

    It stays inside its parent, in every file system, and is not taken by what else a run writes there.
    """
    if _FOLDER_NAME.fullmatch(name) is None or name.endswith("."):
        return "1 to 100 letters, digits, `_`, `-` and `.`, with no `.` or `-` at its beginning and no `.` at its end"
    return "a name that no file of the run and no device has" if _TAKEN.fullmatch(name) else ""


def _check_folder_name(name: str) -> str:
    if problem := folder_problem(name):
        raise ValueError(problem)
    return name


FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$"), AfterValidator(_check_folder_name)]
"""Names a folder that a run makes in its own."""

LongPrompts = Literal["refuse", "cut_left", "drop"]
"""`cut_left` takes tokens off the beginning, `drop` leaves the row out."""

Options = dict[str, Any]


class Section(BaseModel):
    """Strict and frozen: an unknown key, a number in quotes or a later assignment is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class RecipeBase(Section):
    """What every recipe but a pipeline has."""

    kind: str
    description: str = ""
    seed: int = Field(0, ge=0)
    output_dir: str

    def conflicts(self) -> Iterator[Conflict]:
        """Values that are right alone and wrong together."""
        return iter(())
