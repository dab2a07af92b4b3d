"""The base of every section of a recipe, and types that several sections use."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
"""A count of at least one."""

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
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
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, protected_namespaces=()
    )
