"""The file format of kaistAI/coverage-principle (MIT), written and read, so that data sets can be exchanged.

A data set is a folder `twohop.20.1600.diff-f12.inf` with `train.json`, `test.json`, `vocab.json` and the whole tables
as `atomic_facts_f1.json` and so on; files may be gzipped when read. Beside them we write `metadata.json` (settings
and hashes) and `validation.json`, which its scripts do not look at.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import write_atomic
from .families import FAMILIES, Ints
from .generate import CompositionError, Compositions, Rows, Task
from .lookup_tables import Table
from .sequences import END, FILLER, Target, vocabulary, written_tokens

NAMES = {
    "two_hop": "twohop",
    "parallel": "parallel2hop",
    "three_hop": "threehop",
    "five_hop": "fivehop",
    "non_tree": "nontree",
}
TARGETS: dict[str, Target] = {"inf": "direct", "cot": "cot", "fakebridge": "filler"}
TRAIN_COPIES = 2000
"""Training rows repeated in `test.json` as `train_inferred`, as the reference does."""
_TOKEN = re.compile(r"<t_(\d+)>")


def folder_name(task: Task, target: Target) -> str:
    """The folder's name by the reference's rule."""
    kind = next(name for name, ours in TARGETS.items() if ours == target)
    name = NAMES.get(task.family, task.family)
    tables = "" if task.family == "five_hop" else f".{_operators(task)}"
    return f"{name}.{task.values}.{task.rows}{tables}.{kind}"


def _operators(task: Task) -> str:
    kind = "same" if task.tables == "same_f12" else "diff"
    return f"{kind}-f{''.join(str(number) for number in range(1, len(task.program.hops) + 1))}"


def write_reference(data: Compositions, target: Target, parent: Path) -> Path:
    """Write a data set into a folder of its own below `parent`; returns the folder."""
    task, folder = data.task, parent / folder_name(data.task, target)
    train = _items(data.train, task.values, target)
    copies = [item | {"type": "train_inferred"} for item in train[:TRAIN_COPIES]]
    held_out = [
        item | {"type": f"type_{kind}"}
        for kind, rows in data.test.items()
        for item in _items(rows, task.values, target)
    ]
    files: dict[str, Any] = {
        "train": train,
        "test": copies + held_out,
        "validation": _items(data.validation, task.values, target),
        "vocab": vocabulary(task.values, target),
        "metadata": data.metadata(),
    }
    for number, (arguments, table) in enumerate(zip(task.program.hops, data.tables, strict=True), start=1):
        files[f"atomic_facts_f{number}"] = _facts(table, len(arguments), task.values)
    for name, content in files.items():
        write_atomic(folder / f"{name}.json", json.dumps(content, indent=1))
    return folder


def read_reference(folder: Path) -> tuple[Compositions, Target]:
    """Read a data set of the reference or of `write_reference`.

    Entries that no file gives are -1 in the tables (the reference writes only the seen ones of five-hop). A type that
    appears in `test.json` is kept as it is written there, training copies are dropped.

    Raises:
        CompositionError: The name of the folder or an item does not have the form, or an answer contradicts the tables.
    """
    task, target = _from_name(folder)
    metadata = _load(folder, "metadata", {})
    if metadata:
        task = Task(**metadata["task"])
    hops = task.program.hops
    tables = tuple(
        _table(_load(folder, f"atomic_facts_f{number}", []), len(arguments), task.values, folder)
        for number, arguments in enumerate(hops, start=1)
    )
    train = _rows(_load(folder, "train"), task, target, tables, f"{folder.name}/train.json")
    test = [item for item in _load(folder, "test", []) if str(item.get("type", "")).startswith("type_")]
    by_type = {
        kind: _rows(
            [item for item in test if item["type"] == f"type_{kind}"], task, target, tables, f"{folder.name}/test.json"
        )
        for kind in sorted({int(item["type"].removeprefix("type_")) for item in test})
    }
    validation = _rows(_load(folder, "validation", []), task, target, tables, f"{folder.name}/validation.json")
    entries, _ = task.program.keys(train.inputs, tables, task.values)
    used = tuple(np.isin(np.arange(len(table)), entries[:, hop]) for hop, table in enumerate(tables))
    return Compositions(task, tables, used, train, validation, by_type), target


def _items(rows: Rows, values: int, target: Target) -> list[dict[str, str]]:
    tokens = vocabulary(values, target)
    written = written_tokens(rows, values, target)
    items = []
    for given, answer in zip(rows.inputs.tolist(), written.tolist(), strict=True):
        text = "".join(tokens[value] for value in given)
        items.append({"input_text": text, "target_text": text + "".join(tokens[value] for value in answer) + END})
    return items


def _facts(table: Table, arity: int, values: int) -> list[dict[str, str]]:
    arguments = np.indices((values,) * arity).reshape(arity, -1).T.tolist()
    texts = ["".join(f"<t_{value}>" for value in given) for given in arguments]
    return [
        {"input_text": text, "target_text": f"{text}<t_{value}>{END}"}
        for text, value in zip(texts, table.tolist(), strict=True)
        if value >= 0
    ]


def _from_name(folder: Path) -> tuple[Task, Target]:
    parts = folder.name.split(".")
    families = {theirs: ours for ours, theirs in NAMES.items()} | {name: name for name in FAMILIES}
    if len(parts) not in (4, 5) or parts[0] not in families or parts[-1] not in TARGETS:
        raise CompositionError(
            f"{folder} · name · does not say what it holds · FAMILY.VALUES.ROWS[.diff-f12].TARGET with a family of "
            f"{', '.join(NAMES.values())} and a target of {', '.join(TARGETS)}"
        )
    task = Task(family=families[parts[0]], values=int(parts[1]), rows=int(parts[2]))
    same = len(parts) == 5 and parts[3].startswith("same")
    return replace(task, tables="same_f12" if same else "random"), TARGETS[parts[-1]]


def _load(folder: Path, name: str, missing: Any = None) -> Any:
    for file, read in ((folder / f"{name}.json", open), (folder / f"{name}.json.gz", gzip.open)):
        if file.is_file():
            with read(file, "rt", encoding="utf-8") as stream:
                return json.load(stream)
    if missing is None:
        raise CompositionError(
            f"{folder} · {name}.json · not there · a folder with train.json, test.json and vocab.json"
        )
    return missing


def _tokens(text: str, values: int) -> list[int]:
    """Values of a text; a filler token is `values`, the end is left out."""
    return [int(value) for value in _TOKEN.findall(text.replace(FILLER, f"<t_{values}>").removesuffix(END))]


def _table(facts: Sequence[dict[str, str]], arity: int, values: int, folder: Path) -> Table:
    table = np.full(values**arity, -1, dtype=np.int64)
    for number, fact in enumerate(facts):
        tokens = _tokens(fact["target_text"], values)
        if len(tokens) != arity + 1:
            raise CompositionError(
                f"{folder} · atomic fact {number} · {fact['target_text']!r} · {arity} arguments, one value"
            )
        table[np.ravel_multi_index(tuple(tokens[:-1]), (values,) * arity)] = tokens[-1]
    return table


def _rows(items: Sequence[dict[str, str]], task: Task, target: Target, tables: Sequence[Table], where: str) -> Rows:
    slots, hops = task.program.slots, len(task.program.hops)
    width = slots + (1 if target == "direct" else hops)
    tokens = [_tokens(item["target_text"], task.values) for item in items]
    for number, found in enumerate(tokens):
        if len(found) != width:
            text = items[number]["target_text"]
            raise CompositionError(
                f"{where} · item {number} · {text!r} · {slots} inputs and {width - slots} values written"
            )
    whole = np.array(tokens, dtype=np.int64).reshape(-1, width)
    inputs = whole[:, :slots]
    _, results = task.program.keys(inputs, tables, task.values)
    _agree(results[:, -1], whole[:, -1], where)
    return Rows(inputs, results)


def _agree(computed: Ints, written: Ints, where: str) -> None:
    wrong = np.flatnonzero((computed != written) & (computed >= 0))
    if len(wrong):
        number = int(wrong[0])
        raise CompositionError(
            f"{where} · item {number} · answer {written[number]}, the tables say {computed[number]} · mend one of them"
        )
