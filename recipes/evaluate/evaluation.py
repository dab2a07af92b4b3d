"""`quince eval`: a record and a table for every suite of a recipe, and a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from ...data.cache import one_writer
from ...data.rows import Row, RowError
from ...eval.board import build_board
from ...eval.engines.base import Sampling
from ...eval.measure.analyses import lacks_analysis, show_analyses, write_analysis
from ...eval.measure.evaluate import Evaluation, evaluate, is_complete
from ...eval.measure.metrics import KL_METRICS, Metric, reference_kl, spread_rows
from ...eval.measure.problems import RecordError, SampleLog
from ...eval.measure.records import Record, find_record, list_records, read_record, write_record
from ...eval.measure.settings import KlSettings, Settings, rows_sha256
from ...eval.show.tables import suite_table
from ...rewards.base import Reward
from ..parts.fingerprint import environment, make_settings, weights_fingerprint
from ..parts.loading import Engines, check_reference, load_sources, with_readers
from ..parts.models import load_tokenizer
from ..parts.preflight import fitting, judgeable
from ..run.progress import new_bar, quiet_libraries
from .holdouts import look
from .retention import run_retention

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..config.evaluation import EvalRecipe, Kl, Suite
    from ..config.loader import LoadedRecipe


@dataclass(frozen=True)
class _Job:
    """A suite that is ready to run."""

    folder: Path
    rows: list[Row]
    reward: Reward
    settings: Settings
    suite: Suite
    guarded: list[Row]

    @property
    def ks(self) -> tuple[int, ...]:
        return tuple(self.suite.ks)

    @property
    def answers(self) -> int:
        return len(self.rows) * self.settings.sampling.n

    def is_done(self) -> bool:
        """Whether the folder holds this record, complete."""
        record = find_record(self.folder, self.settings)
        if record is None or record.ks != self.ks or record.settings.kl != self.settings.kl:
            return False
        try:
            complete = is_complete(record.problems(), self.rows, self.settings.sampling.n)
        except (RecordError, FileNotFoundError):
            return False
        return complete and not lacks_analysis(self.folder, self.settings)

    def known_kl(self) -> dict[str, Metric] | None:
        """The divergences in an earlier record, None if they have to be measured."""
        if self.settings.kl is None:
            return {}
        record = find_record(self.folder, self.settings)
        same = record is not None and record.settings.kl == self.settings.kl
        return {name: record.metrics[name] for name in KL_METRICS} if record and same else None


def run(loaded: LoadedRecipe[EvalRecipe]) -> list[Path]:
    """Evaluate the recipe's model on its suites and return the record folders.

    A suite that is complete with the same settings is not run again; an interrupted one is continued.
    """
    quiet_libraries()
    recipe: EvalRecipe = loaded.recipe
    with one_writer(Path(recipe.output_dir)):
        return _run(recipe, Console())


def _run(recipe: EvalRecipe, console: Console) -> list[Path]:
    tokenizer = load_tokenizer(recipe.model)
    base = _baseline(recipe)
    made_on = environment()
    jobs = [_job(recipe, suite, tokenizer, made_on) for suite in recipe.suites]
    engines = Engines(recipe, tokenizer)
    try:
        _run_jobs(recipe, jobs, engines, tokenizer, console)
        for job in jobs:
            record = read_record(job.folder)
            console.print(suite_table(record, base.get(job.settings.suite)))
            if record.unjudged and (said := record.unjudged.sentence()):
                console.print(f"{job.settings.suite}: {said}", markup=False, soft_wrap=True)
        _look_at_holdouts(recipe, jobs, engines, console)
        folders = [job.folder for job in jobs]
        if recipe.retention is not None:
            folders += run_retention(recipe, tokenizer, made_on, engines, base, console)
    finally:
        engines.close()
    records = [read_record(folder) for folder in folders]
    before = [base[record.settings.suite] for record in records if record.settings.suite in base]
    show_analyses([*before, *records], recipe.output_dir, console)
    shown = [record.folder for record in (*before, *records)]
    page = build_board(shown, Path(recipe.output_dir) / "board", before[0].settings.model_name if before else None)
    places = f"Records in [bold]{escape(recipe.output_dir)}[/], board at [bold]{escape(str(page))}[/]"
    console.print(places, soft_wrap=True)
    return folders


def _baseline(recipe: EvalRecipe) -> dict[str, Record]:
    """Return the records to compare with, by suite."""
    if recipe.baseline is None:
        return {}
    records = [read_record(folder) for folder in list_records(Path(recipe.baseline))]
    if not records:
        raise RecordError(f"baseline · {recipe.baseline} holds no record · evaluate the base model into it first")
    return {record.settings.suite: record for record in records}


def _job(recipe: EvalRecipe, suite: Suite, tokenizer: Any, made_on: dict[str, Any]) -> _Job:
    rows = [_clustered(row, suite) for row in load_sources(suite.data)[: recipe.limit]]
    judge = suite.reward.build()
    kept, longest = _tried(recipe, suite, rows, judge, tokenizer, "data")
    guarded = load_sources(suite.holdout.data)[: recipe.limit] if suite.holdout else []
    if guarded:
        guarded, _ = _tried(recipe, suite, guarded, judge, tokenizer, "holdout.data")
    reward, asked = suite.reward.model_dump(mode="json"), recipe.model_dump(mode="json", include={"readers", "encoder"})
    if suite.reward.kind == "capsule":
        models = [*(reader.model for reader in recipe.readers), *filter(None, [recipe.encoder])]
        reward |= asked | {"weights": [weights_fingerprint(model) for model in models]}
    settings = make_settings(
        recipe,
        tokenizer,
        made_on,
        suite=suite.name,
        sampling=Sampling(**suite.sampling.model_dump()),
        reward=reward,
        data=[source.model_dump(mode="json") for source in suite.data],
        rows_sha256=rows_sha256(rows),
        kl=_kl_settings(recipe.kl) if recipe.kl else None,
        longest=longest,
    )
    return _Job(Path(recipe.output_dir) / suite.name, kept, judge, settings, suite, guarded)


def _tried(
    recipe: EvalRecipe, suite: Suite, rows: list[Row], reward: Reward, tokenizer: Any, data: str
) -> tuple[list[Row], int | None]:
    """The rows that can be judged and whose prompts fit, and the length that prompts are to be cut to, if any."""
    where = f"suites · {suite.name} · {data}"
    kept = judgeable(rows, [reward], recipe.max_unjudgeable, where)
    return fitting(kept, tokenizer, recipe.model, suite.sampling.max_tokens, recipe.long_prompts, where)


def _clustered(row: Row, suite: Suite) -> Row:
    """The row with the cluster of its suite."""
    if suite.cluster is None:
        return row
    if suite.cluster not in row:
        raise RowError(f"suites · {suite.name} · cluster · found {suite.cluster!r} · a column: {', '.join(row)}")
    return row | {"cluster": row[suite.cluster]}


def _kl_settings(kl: Kl) -> KlSettings:
    model = kl.model
    return KlSettings(model.id, model.revision, weights_fingerprint(model), model.dtype, kl.prompts, kl.samples)


def _run_jobs(recipe: EvalRecipe, jobs: Sequence[_Job], engines: Engines, tokenizer: Any, console: Console) -> None:
    """Run the suites that are not complete with these settings."""
    pending = [job for job in jobs if not job.is_done()]
    if not pending:
        if jobs:
            console.print("Every suite is done with these settings; nothing to run.")
        return
    check_reference(recipe, tokenizer)
    rewards = with_readers([job.reward for job in pending], recipe, ())
    with new_bar(console, "answers") as progress:
        task = progress.add_task("loading the model", total=sum(job.answers for job in pending))
        for job, reward in zip(pending, rewards, strict=True):
            _run_job(replace(job, reward=reward), engines, progress, task)


def _look_at_holdouts(recipe: EvalRecipe, jobs: Sequence[_Job], engines: Engines, console: Console) -> None:
    guarded = [job for job in jobs if job.suite.holdout is not None]
    for job, reward in zip(guarded, with_readers([job.reward for job in guarded], recipe, ()), strict=True):
        development = read_record(job.folder).metrics[f"pass@{min(job.ks)}"].interval.estimate
        said = look(job.suite, job.settings, job.guarded, reward, development, engines)
        console.print(said, soft_wrap=True, markup=False)


def _run_job(job: _Job, engines: Engines, progress: Progress, task: TaskID) -> None:
    """Run a suite; if its samples are complete, measure only what changed, such as ks or divergences."""
    settings, log = job.settings, SampleLog(job.folder, job.settings.hash)
    sampling = settings.sampling
    answered = log.finished()
    if answered is not None and is_complete(answered, job.rows, sampling.n):
        evaluation = Evaluation(tuple(answered), sampling, job.ks)
        progress.advance(task, job.answers)
    else:
        engine = engines.model
        progress.update(task, description=settings.suite)

        def advance(problems: int) -> None:
            progress.advance(task, problems * sampling.n)

        evaluation = evaluate(
            job.rows, job.reward, engine, sampling, job.ks, longest=settings.longest, log=log, progress=advance
        )
        log.finish()
    progress.update(task, description=f"{settings.suite}: divergence" if settings.kl else settings.suite)
    write_analysis(job.folder, settings, job.rows, evaluation.problems, job.reward)
    write_record(job.folder, _with_kl(evaluation, job, engines), settings)


def _with_kl(evaluation: Evaluation, job: _Job, engines: Engines) -> Evaluation:
    """Add the divergences of the settings, from the earlier record if it has them."""
    known, settings = job.known_kl(), job.settings
    if known is not None or settings.kl is None:
        return replace(evaluation, kl=known or {})
    started = perf_counter()
    rows, sampling = spread_rows(job.rows, settings.kl.prompts), settings.sampling
    asked = (settings.kl.samples, sampling.max_tokens, sampling.seed, settings.longest)
    measured = reference_kl(rows, engines.model, engines.reference, *asked)
    return replace(evaluation, kl=measured, seconds=evaluation.seconds | {"kl": perf_counter() - started})
