"""Pages of docs/results: the command line of a bench, its JSON with provenance, and the Markdown rendered from it.

    python scripts/bench/pages.py          # render every page and the index again; nothing is measured

A page is the function `render(results)`; it opens with what the figures mean, in two sentences that it computes. What
people write stands outside the generated block and is kept. Date, machine, commit and versions are read at run time.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
KEYS = ("date", "commit", "modified", "machine", "versions", "seeds", "command")
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
QUIET |= {"TRL_EXPERIMENTAL_SILENCE": "1"}
"""Environment of every bench: one thread a process, nothing downloaded."""
COMPARED = ("lm-eval", "bfcl-eval", "tucan-eval", "math-verify", "sqlglot", "numpy")
"""Libraries that a bench compares with or rests on, beside those that every run folder names."""
BEGIN, END = "<!-- generated from {} by scripts/bench/pages.py: do not edit -->", "<!-- end of the generated part -->"
INDEX = """# Measured results

Every page is rendered from the JSON file beside it, which names date, machine, commit, versions, seeds and command.
Text outside the generated part of a page is written by hand about the measurement that the page names.

"""
Results = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of docs/results."""

    name: str  # Path without suffix, from the folder of results
    title: str  # First line
    render: Callable[[Results], str]  # The generated part from the JSON file; it opens with two sentences
    seeds: Sequence[int] = ()  # Of random numbers, where they are the same in every run of the bench
    needs: str = ""  # Folder that `QUINCE_DATA` has to name
    draw: Callable[[Results, Path], None] | None = None  # Writes the pictures that the page shows into a folder


def stamp() -> dict[str, Any]:
    from quince.recipes.parts.fingerprint import environment

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    command = ["git", "-C", str(ROOT), "status", "--porcelain", "--", ".", ":!docs/results"]
    changed = bool(subprocess.run(command, capture_output=True).stdout.strip())
    return stamped(environment(), date.today().isoformat(), changed, f"{memory:.0f} GiB, ")


def stamped(here: Mapping[str, Any], day: str, modified: bool | None = None, memory: str = "") -> dict[str, Any]:
    versions = {"python": here["python"]} | here["packages"]
    for name in COMPARED:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    chips = ", ".join(here["accelerators"]) or "no GPU"
    machine = f"{here['processor']}, {here['cores']} cores, {memory}{chips}"
    return {"date": day, "commit": here["commit"], "modified": modified, "machine": machine, "versions": versions}


def stamp_of(folder: Path) -> dict[str, Any]:
    if (folder / "record.json").is_file():
        from quince.eval.measure.records import read_record

        record = read_record(folder)
        return stamped(record.settings.made_on, record.created[:10])
    file = folder / "environment.json"
    return stamped(json.loads(file.read_text(encoding="utf-8")), date.fromtimestamp(file.stat().st_mtime).isoformat())


def joined(stamps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One stamp for what was measured in parts: the last date and the first, and every commit and machine."""
    dates = sorted(one["date"] for one in stamps)
    commits = list(dict.fromkeys(one["commit"] for one in stamps))
    return {
        "date": dates[-1],
        **({"since": dates[0]} if dates[0] != dates[-1] else {}),
        "commit": None if None in commits else ", ".join(commits),
        "modified": any(one["modified"] for one in stamps) or (None if None in commits else False),
        "machine": "; ".join(dict.fromkeys(one["machine"] for one in stamps)),
        "versions": max(stamps, key=lambda one: one["date"])["versions"],
    }


def provenance(page: Page, results: Results) -> dict[str, Any]:
    """Where the results come from; takes `seeds` and the `stamps` of parts out of them."""
    stamps, seeds = results.pop("stamps", None) or [stamp()], results.pop("seeds", list(page.seeds))
    script = Path(sys.argv[0]).resolve()
    words = [str(script.relative_to(ROOT)) if script.is_relative_to(ROOT) else script.name]
    words += [shlex.quote(re.sub(r"^/.*", "FOLDER", word)) for word in sys.argv[1:]]
    command = f"{f'QUINCE_DATA=FOLDER_WITH_{page.needs.upper()} ' if page.needs else ''}python {' '.join(words)}"
    return joined(stamps) | {"seeds": seeds, "command": command}


def where(made: Mapping[str, Any]) -> str:
    days = f"{made['since']} to {made['date']}" if "since" in made else made["date"]
    if made["commit"] is None:
        text = f"Commit not recorded; measured {days}"
    else:
        commits = ", ".join(f"`{name[:12]}`" for name in made["commit"].split(", "))
        text = f"Measured {days} at commit {commits}{' (modified)' if made['modified'] else ''}"
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    seeds = f"seeds {', '.join(map(str, made['seeds']))}" if made["seeds"] else "no random numbers"
    return (
        f"{text}; {made['machine']}; {versions or 'versions not recorded'}; {seeds}. Made by\n\n    {made['command']}"
    )


def rendered(page: Page, results: Results, existing: str = "") -> str:
    """The whole page: the generated block, with what stands before and after it in an existing page."""
    begin = BEGIN.format(f"{Path(page.name).name}.json")
    before, _, rest = existing.partition(begin)
    after = rest.partition(END)[2] if rest else ""
    before = before if rest else f"# {page.title}\n\n"
    block = "\n\n".join([begin, page.render(results).strip(), where(results["provenance"]), END])
    return before + block + (after or "\n")


def write(page: Page, results: Results, out: Path = RESULTS) -> str:
    from quince.data.cache import write_atomic

    found = {"provenance": provenance(page, results)} | results
    file = out / f"{page.name}.json"
    write_atomic(file, dumped(found) + "\n")
    if page.draw:
        page.draw(found, out)
    text = render_file(page, file)
    write_atomic(file.with_suffix(".md"), text)
    if out == RESULTS:
        write_atomic(RESULTS / "README.md", index())
    return text


def render_file(page: Page, file: Path) -> str:
    shown = file.with_suffix(".md")
    existing = shown.read_text(encoding="utf-8") if shown.is_file() else ""
    return rendered(page, json.loads(file.read_text(encoding="utf-8")), existing)


def dumped(value: Any, width: int = 120, indent: int = 0) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(line) + indent <= width:
        return line
    pad, (begin, end) = " " * (indent + 1), "{}" if isinstance(value, dict) else "[]"
    items = value.items() if isinstance(value, dict) else [("", item) for item in value]
    parts = [(f"{json.dumps(str(k))}: " if begin == "{" else "") + dumped(v, width, indent + 1) for k, v in items]
    return f"{begin}\n{pad}" + f",\n{pad}".join(parts) + f"\n{' ' * indent}{end}"


def files() -> list[Path]:
    return sorted(RESULTS.rglob("*.json"))


def page_of(file: Path) -> Page:
    """The page that a script defines for a JSON file: the script is named in its command."""
    made = json.loads(file.read_text(encoding="utf-8"))["provenance"]
    script = re.search(r"scripts/(\S+)\.py", made["command"])[1]
    name = str(file.relative_to(RESULTS).with_suffix(""))
    module = importlib.import_module(f"quince.scripts.{script.replace('/', '.')}")
    return next(page for page in vars(module).values() if isinstance(page, Page) and page.name == name)


def index() -> str:
    """The list of all pages, from their JSON files and the first sentences of the pages rendered from them."""
    rows = []
    for file in files():
        made = json.loads(file.read_text(encoding="utf-8"))["provenance"]
        text = file.with_suffix(".md").read_text(encoding="utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        link = f"[{title}]({file.relative_to(RESULTS).with_suffix('.md')})"
        commit = "not recorded" if made["commit"] is None else ", ".join(c[:12] for c in made["commit"].split(", "))
        commit += " (modified)" if made["modified"] else ""
        rows.append([link, sentences(opening(text))[0], f"`{made['command']}`", made["date"], commit])
    return INDEX + table(["page", "what it says", "command", "measured", "commit"], rows)


def opening(text: str) -> str:
    return text.partition("do not edit -->\n\n")[2].partition("\n\n")[0].replace("\n", " ")


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`\"*0-9])", text.strip())


def table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    right = [bool(rows) and all(re.match(r"[-+−–*~]*\d|–?$", str(row[i])) for row in rows) for i in range(len(header))]
    lines = [header, ["---:" if number and place else "---" for place, number in enumerate(right)], *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


def span(value: Sequence[float] | Mapping[str, float] | None, form: str = "{:.2f}", scale: float = 1.0) -> str:
    if value is None:
        return "–"
    numbers = [value[key] for key in ("estimate", "low", "high")] if isinstance(value, Mapping) else value
    return "{} [{}, {}]".format(*(form.format(scale * number) for number in numbers))


def quince(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "quince.recipes.cli", *map(str, arguments)], check=True)


def in_turns(rounds: int, **sides: Callable[[], object]) -> dict[str, list[float]]:
    """CPU seconds of each side in interleaved rounds (ABAB), after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            start = time.process_time()
            side()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def bench(page: Page, measure: Callable[..., Results] | None = None, **verbs: Callable[..., Results | None]) -> None:
    """The command line of a bench: options are the parameters of `measure` or of a verb, `--help` runs nothing.

    Results that it returns are written with the page; a parameter `out` is given the folder of the page.
    """
    arguments = sys.argv[1:]
    chosen = verbs.get(arguments[0]) if arguments else None
    parser = argparse.ArgumentParser(
        description=inspect.getmodule(page.render).__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if verbs and (chosen or not measure):
        parser.add_argument("verb", choices=list(verbs))
    chosen = chosen or measure
    parameters = dict(inspect.signature(chosen).parameters) if chosen else {}
    wants_out = parameters.pop("out", None)
    for name, option in parameters.items():
        flags, settings = _argument(name, option)
        parser.add_argument(*flags, **settings)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    options = vars(parser.parse_args(arguments))
    out, _ = options.pop("out"), options.pop("verb", None)
    options |= {"out": out} if wants_out else {}
    if any(os.environ.get(name) != value for name, value in QUIET.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | QUIET)
    results = chosen(**options) if chosen else None
    if results is not None:
        print(write(page, results, out))


def _argument(name: str, option: inspect.Parameter) -> tuple[list[str], dict[str, Any]]:
    """Name and settings of one option; a tuple of texts lists the choices and is the default."""
    default, kind = option.default, Path if "Path" in str(option.annotation) else str
    flag = f"--{name.replace('_', '-')}"
    if default is option.empty:
        return [name], {"type": kind}
    if isinstance(default, tuple):
        item = type(default[0]) if default else str
        choices = default if default and item is str else None
        return [flag], {"nargs": "+", "type": item, "choices": choices, "default": list(default)}
    kind = kind if default is None else type(default)
    return [flag], {"type": kind, "default": default, "help": None if default is None else f"default: {default}"}


def render_all() -> Iterator[Path]:
    from quince.data.cache import write_atomic

    for file in files():
        yield write_atomic(file.with_suffix(".md"), render_file(page_of(file), file))
    yield write_atomic(RESULTS / "README.md", index())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.environ.update(QUIET)
    # The pages are those of the module; what runs here is a copy of it, `__main__`.
    for path in importlib.import_module("quince.scripts.bench.pages").render_all():
        print(path.relative_to(ROOT))
