"""What evaluation costs beside the model: host time and Pass@k. Needs lm-eval: `quince[eval]`.

python scripts/bench/evaluation.py
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from quince.eval.engines.base import Completion, Sampling
from quince.eval.measure.evaluate import evaluate
from quince.eval.measure.problems import SampleLog
from quince.eval.measure.records import write_record
from quince.eval.measure.settings import Settings, rows_sha256
from quince.eval.measure.statistics import pass_at_k
from quince.rewards.base import reward_class
from quince.scripts.bench.pages import Page, Results, bench, in_turns, table

PROBLEMS, SAMPLES, KS = 2_000, 8, (1, 2, 4, 8)
PASS_PROBLEMS, PASS_N, PASS_KS = 10_000, 256, tuple(2**i for i in range(9))


class Table:
    """An engine that has its answers ready."""

    def __init__(self, tokenizer: Any, answers: dict[str, list[Completion]]) -> None:
        self.name, self.tokenizer, self._answers = "table", tokenizer, answers
        self._order = list(answers.values())

    def generate(self, prompts: list[list[int]], sampling: Sampling) -> list[list[Completion]]:
        """The answers of the next rows, in their order."""
        taken, self._order = self._order[: len(prompts)], self._order[len(prompts) :] + self._order[: len(prompts)]
        return taken


def questions(rng: np.random.Generator) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    rows, texts = [], {}
    for number, (a, b) in enumerate(rng.integers(100, 1000, (PROBLEMS, 2))):
        asked = f"Sum {number}: what is {a} + {b}? Answer with the number alone."
        prompt = [{"role": "user", "content": asked}]
        rows.append({"id": str(number), "task": "sums", "prompt": prompt, "accepted": json.dumps([str(a + b)])})
        errors = rng.integers(1, 1_000, SAMPLES) * rng.integers(0, 2, SAMPLES)
        texts[asked] = [str(a + b + error) for error in errors]
    return rows, texts


def host_overhead(pairs: int) -> dict[str, Any]:
    """Rows to a record with intervals, and documents to the results of lm-eval, without a model."""
    from transformers import AutoTokenizer

    rows, texts = questions(np.random.default_rng(0))
    tokenizer = AutoTokenizer.from_pretrained(files("quince.data") / "tiny")
    said = lambda text: Completion(text, tuple(map(ord, text)), (-1.0,) * len(text), "stop")  # noqa: E731
    ready = {asked: list(map(said, some)) for asked, some in texts.items()}
    reward, sampling = reward_class("exact_match")(), Sampling(n=SAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        ours = lambda: our_evaluation(Path(folder) / "ours", rows, reward, Table(tokenizer, ready), sampling)  # noqa: E731
        seconds = in_turns(pairs, ours=ours, lm_eval=their_evaluation(Path(folder), rows, texts))
    each = {name: [1_000 * s / (PROBLEMS * SAMPLES) for s in some] for name, some in seconds.items()}
    return {"problems": PROBLEMS, "samples": SAMPLES, "per_1000": each}


def our_evaluation(folder: Path, rows: list[dict[str, Any]], reward: Any, engine: Table, sampling: Sampling) -> None:
    """Everything from rows to the record: prompts, verdicts, the file of answers, metrics with intervals."""
    engine_of = {"dtype": "float32", "engine": "table", "engine_version": "0", "sampling": sampling}
    data = {"reward": {"kind": "exact_match"}, "data": [], "rows_sha256": rows_sha256(rows), "template_sha256": ""}
    settings = Settings(suite="sums", model="table", revision=None, model_fingerprint=None, **engine_of, **data)
    log = SampleLog(folder, settings.hash)
    evaluation = evaluate(rows, reward, engine, sampling, KS, greedy=False, log=log)
    log.finish()
    write_record(folder, evaluation, settings)
    if any(problem.n < SAMPLES for problem in evaluation.problems):
        raise SystemExit("bench: some answers were not judged")


def their_evaluation(
    folder: Path, rows: list[dict[str, Any]], texts: dict[str, list[str]]
) -> Callable[[], dict[str, Any]]:
    """lm-eval on the same questions: prompts, filter, scores and logged samples; no chat template, no bootstrap."""
    from lm_eval import evaluator
    from lm_eval.api.model import LM
    from quince.eval.retention.retention_tasks import Wanted, load_tasks

    class Dummy(LM):
        """A model that has its answers ready."""

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            copies = {f"Question: {asked}\nAnswer:": iter(some) for asked, some in texts.items()}
            return [next(copies[request.args[0]]) for request in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    documents = [{"question": row["prompt"][0]["content"], "answer": json.loads(row["accepted"])[0]} for row in rows]
    shutil.copy(Path(__file__).with_suffix(".yaml"), folder / "sums.yaml")
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (loaded,) = load_tasks([Wanted("sums")], [folder], None, 0, False)
    tasks = {"tasks": {"sums": loaded.task}, "groups": {}}
    return lambda: evaluator.evaluate(Dummy(), tasks, bootstrap_iters=0, log_samples=True)


def product_loop(n: int, correct: int, k: int) -> float:
    return 1.0 if n - correct < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - correct + 1, n + 1)))


def pass_at_k_times(pairs: int) -> dict[str, Any]:
    """The table of problems and k at once, and by the loop; the error against exact rationals."""
    correct = np.random.default_rng(0).integers(0, PASS_N + 1, PASS_PROBLEMS)
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = pass_at_k(np.full((PASS_PROBLEMS, 1), PASS_N), correct[:, None], np.array(PASS_KS))

    def loop() -> None:
        found["loop"] = np.array([[product_loop(PASS_N, int(c), k) for k in PASS_KS] for c in correct])

    seconds = in_turns(pairs, ours=ours, loop=loop)
    errors = {}
    for name, values in found.items():
        cells = zip(np.repeat(correct, len(PASS_KS)), PASS_KS * PASS_PROBLEMS, values.ravel(), strict=True)
        each = {(int(c), k, float(value)) for c, k, value in cells}
        exact = {(c, k): 1 - Fraction(comb(PASS_N - c, k), comb(PASS_N, k)) for c, k, _ in each}
        errors[name] = float(max(abs(Fraction(value) - exact[c, k]) for c, k, value in each))
    return {"seconds": seconds, "error": errors, "n": PASS_N, "ks": PASS_KS}


def median(values: list[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.3g} to {max(values):.3g})"


def measure(pairs: int = 5) -> Results:
    return {"pairs": pairs, "host": host_overhead(pairs), "pass_at_k": pass_at_k_times(pairs)}


def render(found: Results) -> str:
    host, passes = found["host"], found["pass_at_k"]
    ours, theirs = (host["per_1000"][name] for name in ("ours", "lm_eval"))
    fast, slow = (passes["seconds"][name] for name in ("ours", "loop"))
    ratio = statistics.median(b / a for a, b in zip(fast, slow, strict=True))
    judge = f"lm-eval {found['provenance']['versions'].get('lm-eval', '')}"
    problems = f"Pass@k, {PASS_PROBLEMS:,} problems of n = {passes['n']}, {len(passes['ks'])} k"
    rows = [["host seconds per 1,000 samples", median(ours), f"{judge}: {median(theirs)}", "at most 0.2"]]
    rows.append([problems, median(fast), f"product loop: {median(slow)}", "20 times faster"])
    return f"""Evaluation without the model costs {statistics.median(ours):.2f} CPU seconds per 1,000 samples, beside
{statistics.median(theirs):.2f} of lm-eval. The table of Pass@k is made {ratio:.0f} times faster than by the product
loop,
with an error of {passes["error"]["ours"]:.0e} against exact rationals (the loop: {passes["error"]["loop"]:.0e}).

{table(["measured", "Quince", "beside it", "aim"], rows)}
CPU seconds of the process, one thread, {found["pairs"]} pairs in turns (ABAB) after one that does not count: median
(smallest to largest). Host: {host["problems"]:,} questions with {host["samples"]} completions each that are ready
before the clock starts, judged by exact match."""


PAGE = Page("evaluation", "What evaluation costs beside the model", render, seeds=[0])

if __name__ == "__main__":
    bench(PAGE, measure)
