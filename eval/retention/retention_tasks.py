"""Tasks of lm-eval, found by name and loaded; lm-eval is imported when tasks are asked for.

Task files of your own are data: their folders win over lm-eval's, a data file is looked for beside the task and then in
`QUINCE_DATA`, and what would be code in them (functions, classes, metrics of the Hub) is refused unless it is allowed.
Templates of prompts run in Jinja's sandbox.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.files import ROOT_VARIABLE
from ..measure.evaluate import EvaluationError
from ..measure.settings import sha256_of

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

_ALLOW = "read it, then set retention.run_code=true"
_CODE = re.compile(r"!function|^\s*class\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Wanted:
    """A task as a recipe names it.

    Attributes:
        name: A task or a group of lm-eval; of a group every task becomes a suite.
        metric: Score of a document; None takes the task's first one that is a mean over documents.
        filter: Of generated texts; None takes the task's first one.
        shots: Examples in the prompt; None takes the task's own number.
        cluster: Field of a document that names what it shares with others, such as its passage.
    """

    name: str
    metric: str | None = None
    filter: str | None = None
    shots: int | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class LoadedTask:
    """A task (lm-eval's object, by its own name and not its group's) with at most `limit` documents."""

    name: str
    task: Any
    wanted: Wanted
    limit: int | None

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """The documents up to the limit."""
        return list(itertools.islice(self.task.eval_docs, self.limit))

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The documents that few-shot examples are taken from."""
        return list(self.task.fewshot_docs() or ()) if self.task.get_config("num_fewshot") else []

    def described(self) -> dict[str, Any]:
        """What determines prompts and scores, for the hash of the settings; includes the task's configuration."""
        config = self.task.dump_config()
        moved = {"dataset_kwargs": None, "metadata": (config.get("metadata") or {}) | {"config_source": None}}
        text = re.sub(r" at 0x[0-9a-f]+", "", str(sorted((config | moved).items())))
        wanted = self.wanted
        return {
            "kind": "lm_eval",
            "task": self.name,
            "metric": wanted.metric,
            "filter": wanted.filter,
            "cluster": wanted.cluster,
            "shots": self.task.get_config("num_fewshot"),
            "config_sha256": sha256_of(text)[:16],
        }

    def sources(self) -> list[dict[str, Any]]:
        """The sources of the documents."""
        names = ("dataset_path", "dataset_name", "test_split", "validation_split")
        return [{"kind": "lm_eval", "task": self.name} | {name: self.task.get_config(name) for name in names}]


def load_tasks(
    wanted: Sequence[Wanted], folders: Sequence[Path], limit: int | None, seed: int, run_code: bool
) -> list[LoadedTask]:
    """Load tasks by name from lm-eval and from folders of task files, which take precedence.

    Raises:
        EvaluationError: lm-eval is missing, a task is unknown, cannot be loaded, comes twice, or would run code that is
            not allowed.
    """
    os.environ["HF_ALLOW_CODE_EVAL"] = str(int(run_code))
    if not run_code:
        os.environ["HF_EVALUATE_OFFLINE"] = "1"  # metrics of the Hub are code
        for folder in folders:
            _refuse_code(folder)
    manager = _manager([one.name for one in wanted], folders, run_code)
    loaded: dict[str, LoadedTask] = {}
    for one in wanted:
        for name, task in _load(manager, one.name, run_code).items():
            if name in loaded:
                raise EvaluationError(f"retention.tasks · {name} comes twice · name it once")
            shots = one.shots if one.shots is not None else task.get_config("num_fewshot") or 0
            task.set_config(key="num_fewshot", value=shots)
            task.set_fewshot_seed(seed=seed)
            loaded[name] = LoadedTask(name, task, one, limit)
    return list(loaded.values())


def _manager(names: Sequence[str], folders: Sequence[Path], run_code: bool) -> TaskManager:
    """The index of tasks; lm-eval's own 14,000 are read only if one of them is named."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise EvaluationError(f"retention · lm-eval is not there ({error}) · pip install 'quince[eval]'") from None
    _sandbox_templates()
    paths = [str(folder) for folder in folders]
    manager = TaskManager(include_path=paths, include_defaults=False)
    if not set(names) <= set(manager.all_subtasks):
        manager = TaskManager(include_path=paths)
    for entry in manager.task_index.values():
        if entry.yaml_path and any(entry.yaml_path.is_relative_to(folder) for folder in paths):
            _hold(entry, run_code)
    for name in names:
        if name not in manager.task_index:
            raise EvaluationError(f"retention.tasks · found {name!r} · a task of lm-eval: lm-eval ls tasks")
    return manager


def _hold(entry: Any, run_code: bool) -> None:
    """Make lm-eval build a user's task from its parsed content, with resolved data files, not from its file.

    Without `run_code` the content is that of the index, where functions are plain names.
    """
    from lm_eval.api.registry import METRIC_REGISTRY
    from lm_eval.tasks._yaml_loader import load_yaml

    if run_code:
        entry.cfg = load_yaml(entry.yaml_path)
    elif foreign := sorted({name for name, of_hub in _metrics(entry.cfg) if of_hub or name not in METRIC_REGISTRY}):
        found = f"metric {', '.join(foreign)} is not lm-eval's, so it is code"
        raise EvaluationError(f"{entry.yaml_path} · {found} · {_ALLOW}")
    options = entry.cfg.get("dataset_kwargs") or {}
    if "data_files" in options:
        files = _located(options["data_files"], entry.yaml_path.parent)
        entry.cfg["dataset_kwargs"] = options | {"data_files": files}
    entry.yaml_path = None


def _located(files: Any, folder: Path) -> Any:
    """Paths of data files: next to the task, else in the data folder, else unchanged."""
    if isinstance(files, Mapping):
        return {split: _located(some, folder) for split, some in files.items()}
    if isinstance(files, list):
        return [_located(file, folder) for file in files]
    roots: list[Path | str] = [folder, *filter(None, [os.environ.get(ROOT_VARIABLE)])]
    return next((str(found) for root in roots if (found := Path(root) / files).exists()), files)


def _load(manager: TaskManager, name: str, run_code: bool) -> dict[str, Any]:
    """The task, or the tasks of the group."""
    if not run_code and (manager.task_index[name].cfg or {}).get("unsafe_code"):
        raise EvaluationError(f"retention.tasks · {name} runs what the model writes · {_ALLOW}")
    try:
        tasks = manager.load([name])["tasks"]
    except Exception as error:  # whatever a task, its data and its functions may raise
        found = " ".join(str(error).split())[:200]
        raise EvaluationError(
            f"retention.tasks · {name} does not load ({type(error).__name__}: {found}) · its data: a connection to the "
            "Hub, or files beside the task or in QUINCE_DATA; its functions: retention.run_code=true"
        ) from error
    for own, task in tasks.items():
        if not run_code and getattr(task, "UNSAFE_CODE", False):
            raise EvaluationError(f"retention.tasks · {own} runs what the model writes · {_ALLOW}")
        metrics = getattr(task, "_metric_fn_list", {})
        if not task.get_config("process_results") and None in metrics.values():
            missing = ", ".join(metric for metric, function in metrics.items() if function is None)
            raise EvaluationError(f"retention.tasks · {own} · metric {missing} is code of the Hub · {_ALLOW}")
    return tasks


def _metrics(config: Any) -> Iterator[tuple[str, bool]]:
    """Names of metrics in a configuration, at any depth, and whether each is from the Hub."""
    if isinstance(config, Mapping):
        if isinstance(config.get("metric"), str):
            yield config["metric"], bool(config.get("hf_evaluate"))
        for value in config.values():
            yield from _metrics(value)
    elif isinstance(config, list):
        for value in config:
            yield from _metrics(value)


def _refuse_code(folder: Path) -> None:
    for file in sorted(folder.rglob("*.yaml")):
        if _CODE.search(file.read_text(encoding="utf-8")):
            raise EvaluationError(f"{file} · names Python code · {_ALLOW}")


def _sandbox_templates() -> None:
    """Render templates in a sandbox: they must not reach attributes that lead to code."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters.update(utils.env.filters)
    utils.env = environment
