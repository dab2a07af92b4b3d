"""`quince eval` of a compressor: a record, tables on the terminal, a page and a board."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console

from ...data.cache import one_writer
from ...data.rows import Row
from ...eval.board import build_board
from ...eval.compression import baselines, results
from ...eval.compression import reading_suite as suite
from ...eval.compression.costs import Prices, Timing
from ...eval.compression.reader import EngineReader
from ...eval.engines.base import Sampling
from ...eval.measure.analyses import keep_analysis, lacks_analysis, read_analysis, show_analyses
from ...eval.measure.evaluate import Evaluation
from ...eval.measure.problems import SampleLog
from ...eval.measure.records import find_record, read_record, write_record
from ...eval.measure.settings import Settings, rows_sha256
from ..parts.fingerprint import environment, make_settings, weights_fingerprint
from ..parts.loading import build_engine, load_encoder, load_reader, load_sources
from ..parts.models import load_tokenizer, same_weights
from ..run.progress import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.compression_eval import CompressionEvalRecipe
    from ..config.loader import LoadedRecipe
    from ..config.model import Model


def run(loaded: LoadedRecipe[CompressionEvalRecipe]) -> list[Path]:
    """Evaluate the recipe's compressor and return the record folder in a list.

    Nothing is measured again with the same settings; prices may change at any time.
    """
    quiet_libraries()
    with one_writer(Path(loaded.recipe.output_dir)):
        return _run(loaded.recipe, Console())


def _run(recipe: CompressionEvalRecipe, console: Console) -> list[Path]:
    folder = Path(recipe.output_dir) / recipe.suite
    rows = load_sources(recipe.data)[: recipe.limit]
    settings = _settings(recipe, rows)
    if find_record(folder, settings) and not lacks_analysis(folder, settings):
        console.print("This was measured with these settings; nothing to run.")
    else:
        _evaluate(recipe, rows, settings, folder)
    _keep_prices(recipe, settings, folder)
    show_analyses([read_record(folder)], recipe.output_dir, console)
    page = build_board([folder], Path(recipe.output_dir) / "board")
    console.print(f"Record in {folder}, board at {page}", markup=False, soft_wrap=True)
    return [folder]


def _evaluate(recipe: CompressionEvalRecipe, rows: list[Row], settings: Settings, folder: Path) -> None:
    started = perf_counter()
    with ExitStack() as loaded:
        compressor = _compressor(recipe, recipe.model)
        loaded.enter_context(closing(compressor.engine))
        capsules = compressor.write(rows)
        written = perf_counter()
        readers = [loaded.enter_context(closing(load_reader(section))) for section in recipe.readers]
        encoder = load_encoder(recipe.encoder) if recipe.encoder else None
        found = suite.measure(rows, capsules, readers, _baselines(recipe, rows, compressor), recipe.seed, encoder)
        found = replace(found, timings=_timings(recipe, rows, capsules, compressor, readers))
    seconds = {"generate": written - started, "reward": perf_counter() - written}
    problems = suite.problems(rows, capsules, found)
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    keep_analysis(folder, settings, found.as_dict())
    write_record(folder, Evaluation(tuple(problems), settings.sampling, (1,), seconds), settings)


def _compressor(recipe: CompressionEvalRecipe, model: Model) -> suite.Compressor:
    tokenizer = load_tokenizer(model)
    engine = build_engine(model, recipe.engine, tokenizer)
    return suite.Compressor(engine, recipe.max_tokens, recipe.chat_template_kwargs)


def _baselines(
    recipe: CompressionEvalRecipe, rows: list[Row], compressor: suite.Compressor
) -> dict[str, suite.Baseline]:
    """The baselines whose models the recipe names."""
    passages = [row["passage"] for row in rows]
    found: dict[str, suite.Baseline] = {
        results.FIRST: baselines.first_tokens,
        results.LAST: baselines.last_tokens,
        results.RANDOM_SENTENCES: partial(baselines.random_sentences, seed=recipe.seed),
    }
    base, classifier = recipe.baselines.base, recipe.baselines.llmlingua2
    if base is not None:
        with ExitStack() as loaded:
            own = compressor
            if not same_weights(base, recipe.model):
                own = _compressor(recipe, base)
                loaded.enter_context(closing(own.engine))
            summaries = [written.text for written in own.write(rows)]
            surprise = baselines.self_information(passages, own.engine)
        found[results.ZERO_SHOT] = lambda _, tokens, reader: baselines.first_tokens(summaries, tokens, reader)
        found[results.SELF_INFORMATION] = partial(baselines.heaviest_words, weights=surprise)
    if classifier is not None:
        kept = baselines.keep_probabilities(passages, classifier)
        found[results.LLMLINGUA2] = partial(baselines.heaviest_words, weights=kept)
    return found


def _timings(
    recipe: CompressionEvalRecipe,
    rows: list[Row],
    capsules: Sequence[suite.Written],
    compressor: suite.Compressor,
    readers: Sequence[EngineReader],
) -> dict[str, list[Timing]]:
    if recipe.latency is None:
        return {}
    batches, repeats = recipe.latency.batches, recipe.latency.repeats
    found = {}
    for reader, section in zip(readers, recipe.readers, strict=True):
        fresh = partial(EngineReader, reader.engine, reader.name, section.template, section.max_tokens)
        found[reader.name] = suite.time_work(rows, capsules, compressor, readers[0], fresh, batches, repeats)
    return found


def _settings(recipe: CompressionEvalRecipe, rows: list[Row]) -> Settings:
    """Everything that affects the results, with the weights of readers and base."""
    others = [model for model in (recipe.encoder, recipe.baselines.base) if model is not None]
    models = [*(section.model for section in recipe.readers), *others]
    decisive = {"seed", "chat_template_kwargs", "readers", "encoder", "baselines", "latency"}
    return make_settings(
        recipe,
        load_tokenizer(recipe.model),
        environment(),
        suite=recipe.suite,
        sampling=Sampling(temperature=0.0, max_tokens=recipe.max_tokens),
        reward={
            "kind": "compression",
            **recipe.model_dump(mode="json", include=decisive),
            "weights": [weights_fingerprint(model) for model in models],
        },
        data=[source.model_dump(mode="json") for source in recipe.data],
        rows_sha256=rows_sha256(rows),
    )


def _keep_prices(recipe: CompressionEvalRecipe, settings: Settings, folder: Path) -> None:
    """Write the recipe's prices into the analysis."""
    prices = asdict(Prices(**recipe.prices.model_dump())) if recipe.prices else None
    keep_analysis(folder, settings, (read_analysis(folder, settings) or {}) | {"prices": prices})
