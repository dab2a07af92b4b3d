"""`quince eval`: every suite of a recipe to a record, a table on the terminal, and a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..data.rows import Row
from ..eval.analyses import analysed, lacks_analysis, write_analysis
from ..eval.board import build_board
from ..eval.engines.base import Sampling
from ..eval.evaluate import Evaluation, evaluate
from ..eval.metrics import Metric
from ..eval.records import Record, list_records, read_record, write_record
from ..eval.reference import KL_METRICS, reference_kl, spread_rows
from ..eval.report import suite_table
from ..eval.samples import RecordError, SampleLog
from ..eval.settings import KlSettings, Settings, rows_sha256, sha256_of
from ..rewards.base import Reward
from .engines import Engines, check_reference
from .models import load_tokenizer, model_path
from .progress import new_bar, quiet_libraries
from .rewards import build_reward
from .rlvr.fingerprint import files_fingerprint
from .rows import load_sources
from .run_folder import environment

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from .config.evaluation import EvalRecipe, Kl, Suite
    from .config.loader import LoadedRecipe
    from .config.model import Model


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
        record = self._record()
        try:
            if record is None or record.ks != self.ks or not self._same_kl(record) or not record.problems():
                return False
        except (RecordError, FileNotFoundError):
            return False
        return not lacks_analysis(self.folder, self.settings)

    def known_kl(self) -> dict[str, Metric] | None:
        """The divergences that an earlier record already has, None if they are to be measured."""
        if self.settings.kl is None:
            return {}
        record = self._record()
        return {name: record.metrics[name] for name in KL_METRICS} if record and self._same_kl(record) else None

    def _record(self) -> Record | None:
        """The record of these answers, whatever was measured on them."""
        try:
            record = read_record(self.folder)
        except RecordError:
            return None
        return record if record.settings.hash == self.settings.hash else None

    def _same_kl(self, record: Record) -> bool:
        return record.settings.kl == self.settings.kl


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
    _show_analyses(recipe, jobs, base, console)
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


def _show_analyses(recipe: EvalRecipe, jobs: Sequence[_Job], base: Mapping[str, Record], console: Console) -> None:
    """Print what analyses say beyond Pass@k, beside the baseline, and write their pages."""
    shared = [base[job.settings.suite] for job in jobs if job.settings.suite in base]
    for analysis, suites in analysed([*shared, *(read_record(job.folder) for job in jobs)]):
        for table in analysis.tables(suites):
            console.print(table)
        console.print(f"Tables in [bold]{analysis.write_page(suites, Path(recipe.output_dir))}[/]", soft_wrap=True)


def _job(recipe: EvalRecipe, suite: Suite, tokenizer: Any, made_on: dict[str, Any]) -> _Job:
    rows = load_sources(suite.data)[: recipe.limit]
    settings = Settings(
        suite=suite.name,
        model=recipe.model.id,
        revision=recipe.model.revision,
        model_fingerprint=fingerprint(recipe.model),
        dtype=recipe.model.dtype,
        engine=recipe.engine.kind,
        engine_version=engine_version(made_on["packages"], recipe.engine.kind),
        sampling=Sampling(**suite.sampling.model_dump()),
        reward=suite.reward.model_dump(mode="json"),
        data=[source.model_dump(mode="json") for source in suite.data],
        rows_sha256=rows_sha256(rows),
        template_sha256=sha256_of(tokenizer.chat_template)[:16],
        kl=_kl_settings(recipe.kl) if recipe.kl else None,
        made_on=made_on,
    )
    folder = Path(recipe.output_dir) / suite.name
    return _Job(folder, rows, build_reward(suite.reward), settings, tuple(suite.ks))


def _kl_settings(kl: Kl) -> KlSettings:
    model = kl.model
    return KlSettings(model.id, model.revision, fingerprint(model), model.dtype, kl.prompts, kl.samples)


def fingerprint(model: Model) -> str | None:
    """The hash of a local model's weights; None of one on the Hub, which its revision tells apart."""
    path = Path(model_path(model.id))
    return files_fingerprint(path) if path.is_dir() else None


def engine_version(packages: dict[str, str], kind: str) -> str:
    """The version of an engine's package."""
    return next((packages[name] for name in (kind, f"{kind}-cpu") if name in packages), "unknown")


def _run_jobs(recipe: EvalRecipe, jobs: Sequence[_Job], tokenizer: Any, console: Console) -> None:
    check_reference(recipe, tokenizer)
    engines = Engines(recipe, tokenizer)
    with new_bar(console, "answers") as progress:
        task = progress.add_task("loading the model", total=sum(job.answers for job in jobs))
        try:
            for job in jobs:
                _run_job(job, engines, progress, task)
        finally:
            engines.close()


def _run_job(job: _Job, engines: Engines, progress: Progress, task: TaskID) -> None:
    """Answer a suite; where the answers are there and only ks or divergences changed, measure them again."""
    settings, log = job.settings, SampleLog(job.folder, job.settings.hash)
    sampling = settings.sampling
    answered = log.finished()
    if answered is not None:
        evaluation = Evaluation(tuple(answered), sampling, job.ks)
        progress.advance(task, job.answers)
    else:
        engine = engines.model
        progress.update(task, description=settings.suite)

        def advance(problems: int) -> None:
            progress.advance(task, problems * sampling.n)

        evaluation = evaluate(job.rows, job.reward, engine, sampling, job.ks, log=log, progress=advance)
        log.finish()
    progress.update(task, description=f"{settings.suite}: divergence" if settings.kl else settings.suite)
    write_analysis(job.folder, settings, job.rows, evaluation.problems, job.reward)
    write_record(job.folder, _with_kl(evaluation, job, engines), settings)


def _with_kl(evaluation: Evaluation, job: _Job, engines: Engines) -> Evaluation:
    """Add the divergences that the settings ask for, measured now or before."""
    known, settings = job.known_kl(), job.settings
    if known is not None:
        return replace(evaluation, kl=known)
    started = perf_counter()
    rows, sampling = spread_rows(job.rows, settings.kl.prompts), settings.sampling
    measured = reference_kl(
        rows, engines.model, engines.reference, settings.kl.samples, sampling.max_tokens, sampling.seed
    )
    return replace(evaluation, kl=measured, seconds=evaluation.seconds | {"kl": perf_counter() - started})
