"""Secrets do not belong in a recipe, since the resolved recipe is written into run folders, records and model cards."""

from __future__ import annotations

import re

from .errors import Problem
from .tree import Entry, leaves

_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/\s@]+@|[^/\s:@]*:(?!\d+(?:/|$))[^\s@]*@)", re.IGNORECASE)
_QUERY = re.compile(
    r"[?&;](?:[a-z_-]*(?:token|key|secret|password|passwd|signature)|sig|auth|pwd)=[^&\s{}$]{6,}", re.IGNORECASE
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|npm_[A-Za-z0-9]{16,}"
    r"|pypi-[\w-]{16,}|AIza[\w-]{20,}|ya29\.[\w-]{16,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}"
    r")|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_HEADER = re.compile(
    r"(?i:authorization)\W+(?i:bearer|basic|token)\s+\S{6,}"
    r"|\b(?i:bearer)\s+(?:(?=\S*(?:\d|[a-z][A-Z]))[\w.~+/=-]{12,}|[\w.~+/=-]{20,})"
)
_FIELDS = ("hub_token", "password", "secret", "api_key", "access_token", "auth_token")
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
    if _QUERY.search(value):
        return "a URL with an access token in it"
    if _TOKEN.search(value) or _HEADER.search(value):
        return "what looks like an access token"
    if value and path[-1].endswith(_FIELDS):
        return f"a value for {path[-1]}"
    return ""
