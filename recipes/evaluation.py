"""`quince eval`: every suite of a recipe to a record, a table on the terminal, and a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..data.rows import Row
from ..eval.board import build_board
from ..eval.engines.base import Sampling
from ..eval.evaluate import Evaluation, evaluate
from ..eval.problems import Problem
from ..eval.records import Record, list_records, read_record, write_record
from ..eval.report import suite_table
from ..eval.samples import RecordError, SampleLog
from ..eval.settings import Settings, rows_sha256, sha256_of
from ..rewards.base import Reward
from .engines import build_engine
from .models import load_tokenizer, model_path
from .progress import new_bar, quiet_libraries
from .rewards import build_reward
from .rlvr.fingerprint import files_fingerprint
from .rows import load_sources
from .run_folder import environment

if TYPE_CHECKING:
    from ..eval.engines.base import Engine
    from .config.evaluation import EvalRecipe, Suite
    from .config.loader import LoadedRecipe


@dataclass(frozen=True)
class _Job:
    """One suite, ready to run."""

    folder: Path
    rows: list[Row]
    reward: Reward
    settings: Settings
    ks: tuple[int, ...]

    @property
    def answers(self) -> int:
        return len(self.rows) * self.settings.sampling.n

    def is_done(self) -> bool:
        """Whether the folder holds the record of exactly this."""
        try:
            record = read_record(self.folder)
            return record.settings.hash == self.settings.hash and record.ks == self.ks and bool(record.problems())
        except (RecordError, FileNotFoundError):
            return False


def run(loaded: LoadedRecipe) -> list[Path]:
    """Evaluate the recipe's model on its suites and return the record folders.

    A suite that is done with the same settings is not run again; an interrupted one goes on.
    """
    quiet_libraries()
    recipe: EvalRecipe = loaded.recipe
    console = Console()
    tokenizer = load_tokenizer(recipe.model)
    base = _baseline(recipe)
    made_on = environment()
    jobs = [_job(recipe, suite, tokenizer, made_on) for suite in recipe.suites]
    pending = [job for job in jobs if not job.is_done()]
    if pending:
        _run_jobs(recipe, pending, tokenizer, console)
    else:
        console.print("Every suite is done with these settings; nothing to run.")
    for job in jobs:
        console.print(suite_table(read_record(job.folder), base.get(job.settings.suite)))
    page = _board(recipe, jobs, base)
    console.print(f"Records in [bold]{recipe.output_dir}[/], board at [bold]{page}[/]", soft_wrap=True)
    return [job.folder for job in jobs]


def _baseline(recipe: EvalRecipe) -> dict[str, Record]:
    """Return the records to compare with, by suite."""
    if recipe.baseline is None:
        return {}
    records = [read_record(folder) for folder in list_records(Path(recipe.baseline))]
    if not records:
        raise RecordError(f"baseline · {recipe.baseline} holds no record · evaluate the base model into it first")
    return {record.settings.suite: record for record in records}


def _board(recipe: EvalRecipe, jobs: Sequence[_Job], base: Mapping[str, Record]) -> Path:
    folders = [job.folder for job in jobs]
    shared = [base[job.settings.suite] for job in jobs if job.settings.suite in base]
    name = shared[0].settings.model_name if shared else None
    return build_board([*(r.folder for r in shared), *folders], Path(recipe.output_dir) / "board", base=name)


def _job(recipe: EvalRecipe, suite: Suite, tokenizer: Any, made_on: dict[str, Any]) -> _Job:
    rows = load_sources(suite.data)[: recipe.limit]
    path = Path(model_path(recipe.model.id))
    settings = Settings(
        suite=suite.name,
        model=recipe.model.id,
        revision=recipe.model.revision,
        model_fingerprint=files_fingerprint(path) if path.is_dir() else None,
        dtype=recipe.model.dtype,
        engine=recipe.engine.kind,
        engine_version=_engine_version(made_on["packages"], recipe.engine.kind),
        sampling=Sampling(**suite.sampling.model_dump()),
        reward=suite.reward.model_dump(mode="json"),
        data=[source.model_dump(mode="json") for source in suite.data],
        rows_sha256=rows_sha256(rows),
        template_sha256=sha256_of(tokenizer.chat_template)[:16],
        made_on=made_on,
    )
    folder = Path(recipe.output_dir) / suite.name
    return _Job(folder, rows, build_reward(suite.reward), settings, tuple(suite.ks))


def _engine_version(packages: dict[str, str], kind: str) -> str:
    return next((packages[name] for name in (kind, f"{kind}-cpu") if name in packages), "unknown")


def _run_jobs(recipe: EvalRecipe, jobs: Sequence[_Job], tokenizer: Any, console: Console) -> None:
    engine: Engine | None = None
    with new_bar(console, "answers") as progress:
        task = progress.add_task("loading the model", total=sum(job.answers for job in jobs))
        try:
            for job in jobs:
                answered = SampleLog(job.folder, job.settings.hash).finished()
                if answered is None and engine is None:
                    engine = build_engine(recipe.model, recipe.engine, tokenizer)
                    engine.tokenizer = tokenizer
                progress.update(task, description=job.settings.suite)
                each = job.settings.sampling.n
                _run_job(job, engine, answered, lambda problems, n=each: progress.advance(task, problems * n))
        finally:
            if engine is not None:
                engine.close()


def _run_job(job: _Job, engine: Engine | None, answered: list[Problem] | None, advance: Callable[[int], None]) -> None:
    """Answer a suite; where the answers are there and only the ks changed, measure them again."""
    sampling = job.settings.sampling
    if answered is not None:
        write_record(job.folder, Evaluation(tuple(answered), sampling, job.ks), job.settings)
        advance(len(job.rows))
        return
    log = SampleLog(job.folder, job.settings.hash)
    evaluation = evaluate(job.rows, job.reward, engine, sampling, job.ks, log=log, progress=advance)
    log.finish()
    write_record(job.folder, evaluation, job.settings)
