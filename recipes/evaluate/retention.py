"""The `retention:` section of an evaluation: a record for each task of lm-eval, and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ...eval.engines.base import Sampling
from ...eval.measure.evaluate import Evaluation, EvaluationError
from ...eval.measure.problems import RecordError, SampleLog
from ...eval.measure.records import find_record, read_record, write_record
from ...eval.measure.settings import Settings, sha256_of
from ...eval.retention.retention_report import retention_grid, write_retention_page
from ...eval.retention.retention_tasks import LoadedTask, Wanted, load_tasks
from ...eval.retention.suite_runs import run_task
from ...eval.show.tables import terminal
from ..config.language.library import LIBRARY
from ..config.language.section import folder_problem
from ..parts.fingerprint import make_settings

if TYPE_CHECKING:
    from rich.console import Console

    from ...eval.measure.records import Record
    from ..config.evaluation import EvalRecipe, Retention
    from ..parts.loading import Engines


@dataclass(frozen=True)
class _TaskJob:
    """A task that is ready to run."""

    folder: Path
    task: LoadedTask
    settings: Settings

    def is_done(self) -> bool:
        """Whether the folder holds this record, complete."""
        record = find_record(self.folder, self.settings)
        try:
            return record is not None and len(record.problems()) == len(self.task.documents)
        except (RecordError, FileNotFoundError):
            return False


def run_retention(
    recipe: EvalRecipe,
    tokenizer: Any,
    made_on: dict[str, Any],
    engines: Engines,
    base: Mapping[str, Record],
    console: Console,
) -> list[Path]:
    """Run the tasks that are not done, print and write the table, and return the record folders."""
    section = recipe.retention
    assert section is not None
    wanted = [Wanted(**task.model_dump()) for task in section.tasks]
    folders = [_task_folder(name) for name in section.task_folders]
    tasks = load_tasks(wanted, folders, recipe.limit, recipe.seed, section.run_code)
    _check_names([task.name for task in tasks], [suite.name for suite in recipe.suites])
    jobs = [_job(recipe, section, task, tokenizer, made_on) for task in tasks]
    pending = [job for job in jobs if not job.is_done()]
    answers = _answers(recipe.output_dir, section.max_length, jobs[0].settings)
    for job in pending:
        console.print(f"{job.task.name}: {len(job.task.documents)} documents", markup=False)
        _run_job(recipe.seed, section, job, engines, answers)
    grid = retention_grid([read_record(job.folder) for job in jobs], base)
    console.print(terminal(grid, grid.title))
    console.print(f"Table in {write_retention_page(grid, Path(recipe.output_dir))}", markup=False, soft_wrap=True)
    return [job.folder for job in jobs]


def _check_names(tasks: Sequence[str], suites: Sequence[str]) -> None:
    """Check that every task has a folder of its own."""
    taken = {name.casefold() for name in suites}
    for name in tasks:
        if problem := folder_problem(name):
            raise EvaluationError(f"retention.tasks · found {name!r} · {problem}")
        if name.casefold() in taken:
            raise EvaluationError(f"retention.tasks · a second suite or task {name!r} · names that differ")
        taken.add(name.casefold())


def _task_folder(name: str) -> Path:
    """A folder of task files: the user's, or one of the library."""
    for folder in (Path(name), LIBRARY / name):
        if folder.is_dir():
            return folder
    raise EvaluationError(f"retention.task_folders · found no folder {name} · name a folder of task files")


def _job(recipe: EvalRecipe, section: Retention, task: LoadedTask, tokenizer: Any, made_on: dict[str, Any]) -> _TaskJob:
    settings = make_settings(
        recipe,
        tokenizer,
        made_on | {"lm_eval": version("lm-eval")},
        suite=task.name,
        sampling=Sampling(temperature=0.0, max_tokens=section.max_tokens, seed=recipe.seed),
        reward=task.described()
        | {"version": version("lm-eval"), "chat_template": section.chat_template, "max_length": section.max_length},
        data=task.sources(),
        rows_sha256=sha256_of([task.documents, task.examples]),
    )
    return _TaskJob(Path(recipe.output_dir) / task.name, task, settings)


def _answers(folder: str, max_length: int, settings: Settings) -> Path:
    """The log of answers of this model with this length, for all tasks."""
    names = ("model", "revision", "model_fingerprint", "dtype", "engine", "engine_version", "template_sha256")
    key = sha256_of([getattr(settings, name) for name in names] + [max_length])
    return Path(folder) / f"retention.{key[:16]}.jsonl"


def _run_job(seed: int, section: Retention, job: _TaskJob, engines: Engines, answers: Path) -> None:
    started = perf_counter()
    problems = run_task(
        job.task,
        engines.model,
        answers,
        max_tokens=section.max_tokens,
        max_length=section.max_length,
        chat_template=section.chat_template,
        seed=seed,
        run_code=section.run_code,
    )
    log = SampleLog(job.folder, job.settings.hash)
    log.rewrite(problems)
    log.finish()
    seconds = {"generate": perf_counter() - started}
    write_record(job.folder, Evaluation(tuple(problems), job.settings.sampling, (1,), seconds), job.settings)
