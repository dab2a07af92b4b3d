"""Break the code on purpose, one line at a time, and see whether the tests notice.

    python scripts/bench/mutations.py                 # all of mutations.yaml
    python scripts/bench/mutations.py --only KL --out FOLDER

The package is copied to a temporary folder, which is what tests there import, in processes of their own. Each mutation
replaces one text and runs the tests that should catch it; the same tests must pass without any.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from quince.scripts.bench.pages import ROOT, Page, Results, bench, table

TABLE = Path(__file__).with_suffix(".yaml")
PASSED, FAILED = 0, 1  # Exit codes of pytest; any other means that the tests could not run
SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """One seeded bug."""

    bug: str  # What is wrong
    file: str  # Of the package
    old: str  # Text that occurs once in the file
    new: str  # What stands there instead
    tests: list[str]  # Arguments of pytest that select the tests which should notice


def read_table(file: Path) -> list[Mutation]:
    mutations = [Mutation(**entry) for entry in yaml.safe_load(file.read_text(encoding="utf-8"))]
    for mutation in mutations:
        found = (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old)
        if found != 1 or mutation.old == mutation.new:
            raise ValueError(f"{file.name} · {mutation.bug} · found {found} times in {mutation.file} · must be once")
    return mutations


def copy_package(parent: Path) -> Path:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    copy = parent / "quince"
    for name in names:
        if (ROOT / name).is_file() and not name.startswith("docs/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def in_copy(copy: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of Python with these arguments, whose folder is the copy and whose `quince` is it."""
    environment = os.environ | {"PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    form = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
    command = [sys.executable, "-P", *arguments]
    try:
        done = subprocess.run(command, cwd=copy, env=environment, timeout=SECONDS, check=False, **form)
    except subprocess.TimeoutExpired:
        return FAILED, "FAILED (no end)"
    return done.returncode, done.stdout


def require_copy(copy: Path) -> None:
    _, found = in_copy(copy, "-c", "import quince.recipes; print(quince.recipes.__file__)")
    if not found.startswith(str(copy)):
        raise RuntimeError(f"tests would import {found} · must be in {copy}")


def cpu_seconds() -> float:
    """Of all processes that have ended under this one."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def run_tests(copy: Path, tests: list[str]) -> dict[str, Any]:
    before = cpu_seconds()
    code, text = in_copy(copy, "-m", "pytest", "-x", "--tb=no", "-rfE", *tests)
    if code not in (PASSED, FAILED):
        raise RuntimeError(f"pytest {' '.join(tests)} · exit code {code}\n{text[-2000:]}")
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", text, re.MULTILINE)
    used = round(cpu_seconds() - before, 1)
    return {"caught": code == FAILED, "by": failed and failed[1].rsplit("/", 1)[-1], "cpu_seconds": used}


def try_mutation(copy: Path, mutation: Mutation) -> dict[str, Any]:
    file = copy / mutation.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        found = run_tests(copy, mutation.tests)
    finally:
        file.write_text(text, encoding="utf-8")
    verdict = "caught" if found["caught"] else "ESCAPED"
    print(f"{verdict} · {mutation.bug} · {found['by']} · {found['cpu_seconds']} s", flush=True)
    return {"bug": mutation.bug, "file": mutation.file, **found}


def try_all(mutations: list[Mutation]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as place:
        copy = copy_package(Path(place).resolve())
        require_copy(copy)
        tests = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
        whole = run_tests(copy, tests)
        if whole["caught"]:
            raise RuntimeError(f"{whole['by']} fails without a mutation")
        return [try_mutation(copy, mutation) for mutation in mutations]


def measure(only: str = "") -> Results:
    found = try_all([mutation for mutation in read_table(TABLE) if only in mutation.bug])
    return {"cpu_seconds": sum(row["cpu_seconds"] for row in found), "mutations": found}


def render(found: Results) -> str:
    from quince.eval.measure.statistics import proportion

    rows = found["mutations"]
    caught = sum(row["caught"] for row in rows)
    shown = [[row["bug"], f"`{row['file']}`", f"`{row['by']}`" if row["caught"] else "**nothing**"] for row in rows]
    return f"""The tests notice {caught} of {len(rows)} bugs, each a line of the code that is broken on purpose.
Were the bugs drawn at random, which they are not, that would be {proportion(caught, len(rows)).low:.0%} to 100 % of all
(95 % interval).

{table(["bug", "file", "caught by"], shown)}
{found["cpu_seconds"]:.0f} CPU seconds. The same tests pass without a bug."""


PAGE = Page("mutations", "Seeded bugs", render)

if __name__ == "__main__":
    bench(PAGE, measure)
