"""Prompts and stored completions as one layout of parquet that verl's data set reads.

Columns of verl: `data_source`, `prompt`, `ability`, `reward_model` (`style`, `ground_truth`), `extra_info` (`index`,
`id`, `row`), `agent_name`, `__rollout_n__`. Columns of ours, empty for prompts: `stored_prompt_ids`, `stored_ids`,
`stored_log_probs` (nats, of the initial policy).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ....data.rows import Row
from ...rlvr.store import RehearsalStore

STORED_AGENT = "quince_stored_answer"
ROLLOUT_AGENT = "single_turn_agent"

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", _MESSAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("id", pa.string()), ("row", pa.string())])),
        ("agent_name", pa.string()),
        ("__rollout_n__", pa.int64()),
        ("stored_prompt_ids", pa.list_(pa.int32())),
        ("stored_ids", pa.list_(pa.int32())),
        ("stored_log_probs", pa.list_(pa.float32())),
    ]
)

_TRUTHS = ("answer", "gold_sql", "accepted", "target")
"""Columns that hold what is right, in the order they are looked for; only shown, as rewards read the whole row."""


def write_prompts(file: Path, rows: Sequence[Row], columns: Sequence[str], group: int) -> None:
    """Write the prompts that are rolled out, `group` completions each; `columns` are those that rewards read."""
    own: dict[str, Any] = {"stored_prompt_ids": [], "stored_ids": [], "stored_log_probs": []}
    own |= {"agent_name": ROLLOUT_AGENT, "__rollout_n__": group}
    _write(file, [_row(index, row, columns) | own for index, row in enumerate(rows)])


def write_store(file: Path, store: RehearsalStore, rows: Mapping[str, Row], columns: Sequence[str]) -> None:
    """Write the rehearsal store; `rows` are the prompts by id, `columns` those that rewards read."""
    table = []
    for index, name in enumerate(store.metadata["ids"]):
        stored = store[index]
        tokens = {
            "stored_prompt_ids": stored.prompt_ids.tolist(),
            "stored_ids": stored.completion_ids.tolist(),
            "stored_log_probs": stored.log_probs.tolist(),
        }
        table.append(_row(index, rows[name], columns) | tokens | {"agent_name": STORED_AGENT, "__rollout_n__": 1})
    _write(file, table)


def _row(index: int, row: Row, columns: Sequence[str]) -> dict[str, Any]:
    read = {name: row[name] for name in ("id", "task", *columns) if row.get(name) is not None}
    truth = next((str(row[name]) for name in _TRUTHS if row.get(name) is not None), "")
    return {
        "data_source": row["task"],
        "prompt": [{"role": message["role"], "content": message["content"]} for message in row["prompt"]],
        "ability": row["task"],
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": index, "id": row["id"], "row": json.dumps(read, ensure_ascii=False)},
    }


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    staged = file.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), staged)
    staged.replace(file)
