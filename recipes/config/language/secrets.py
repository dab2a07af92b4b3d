"""Secrets do not belong in a recipe, since the resolved recipe is written into run folders, records and model cards."""

from __future__ import annotations

import re

from .errors import Problem
from .tree import Entry, leaves

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[opsu]_[A-Za-z0-9]{16,})")
_FIELDS = ("hub_token", "password", "secret", "api_key")
_PLACE = "the environment (HF_TOKEN, WANDB_API_KEY, ...), which is not written down"


def secret_problems(tree: Entry) -> list[Problem]:
    """A problem for each value that looks like a secret; the value itself is not repeated."""
    found = []
    for path, entry in leaves(tree):
        if isinstance(entry.value, str) and (what := _secret(path, entry.value)):
            found.append(Problem(entry.origin, ".".join(path), f"found {what}", _PLACE))
    return found


def _secret(path: tuple[str, ...], value: str) -> str:
    if _URL.search(value):
        return "a URL with a name or password in it"
    if _TOKEN.search(value):
        return "what looks like an access token"
    if path[0] == "trainer" and path[-1].endswith(_FIELDS):
        return f"a value for {path[-1]}"
    return ""
