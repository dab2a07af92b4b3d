"""Does `compress_prompt` keep its promises on real prompts?

200 texts (whole meetings of QMSum, XQuAD paragraphs in five languages, few-shot prompts) and hostile ones, each with
literals of its own that must be kept, under three tokenizers at once: the shipped one, bytes, and words. Counted are
exceptions, prompts over the limit of a tokenizer (counted again here, on the returned string), and literals lost.
Writes `docs/results/compress_real_prompts.{json,md}`, without any text of the sets.

    QUINCE_DATA=<folder> python scripts/bench/compress_real_prompts.py [--model <a trained compressor>]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quince import compress_prompts
from quince.data import files
from quince.data.compression.budget import BudgetError
from quince.data.compression.literals import Literal, comparable, dates, missing, names, numbers, required
from quince.data.sources import load_rows
from quince.recipes.compression.result import CompressedPrompt

RESULTS = Path(__file__).parents[2] / "docs" / "results"
LANGUAGES = ("en", "ru", "el", "ro", "tr")
LIMITS: tuple[dict[str, Any], ...] = ({"rate": 0.3}, {"target_token": 600})
BATCH = 16
"""Prompts that a model writes for together."""
INSTRUCTION, QUESTION = "Read the text and answer the question.", "What was decided, and by whom?"


@dataclass(frozen=True)
class Prompt:
    """A text of a set with what must be kept of it."""

    source: str
    text: str
    must_keep: tuple[Literal, ...]


@dataclass(frozen=True)
class Summary:
    """One set, model and limit.

    Attributes:
        prompts: How many.
        exceptions: Calls that raised anything but the error of a limit that cannot hold what must be kept.
        too_small: Calls with that error.
        over: Prompts over their limit, by tokenizer.
        lost: Literals that had to be kept and are not there.
        kept: Literals that had to be kept.
        skipped: Prompts left as they were, since they are short or fit.
        cut: Prompts in which a sentence was cut, since not one fits.
        extracted: Prompts of which the model wrote nothing of use for some context.
        ratio: Median of tokens before by after of the first tokenizer, over the prompts that were not skipped.
        grounding: Mean share of numbers, dates and names that the source has.
        seconds: Median of a call; of a model, time of a batch by its prompts.
    """

    source: str
    model: str
    limit: str
    prompts: int
    exceptions: int
    too_small: int
    over: dict[str, int]
    lost: int
    kept: int
    skipped: int
    cut: int
    extracted: int
    ratio: float
    grounding: float
    seconds: float


def tokenizers() -> dict[str, Any]:
    """The shipped tokenizer, one token a byte, and one a word."""
    from quince.recipes.parts.models import model_path
    from tokenizers import Tokenizer, models, pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    by_bytes = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    by_bytes.pre_tokenizer = byte_level
    by_words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    by_words.pre_tokenizer = pre_tokenizers.Whitespace()
    shipped = Tokenizer.from_file(f"{model_path('tiny')}/tokenizer.json")
    return {"tiny": shipped, "bytes": by_bytes, "words": by_words}


def counts(readers: dict[str, Any], text: str) -> dict[str, int]:
    return {name: len(reader.encode(text, add_special_tokens=False).ids) for name, reader in readers.items()}


def prompts() -> Iterator[Prompt]:
    """200 real texts."""
    rng = random.Random(0)
    for row in load_rows("qmsum", split="test", max_words=10**6):
        yield with_literals("qmsum", row["passage"], rng)
    for language in LANGUAGES:
        for row in load_rows("xquad", split=language, size=31, seed=0):
            yield with_literals(f"xquad {language}", row["passage"], rng)
    folder = files.data_root(None)
    if folder is None:
        raise SystemExit("name the folder of the sets in QUINCE_DATA")
    for file in sorted([*folder.glob("fewshot_prompts/**/*.md"), *folder.glob("fewshot_prompts/**/*.txt")]):
        yield with_literals("few-shot", file.read_text(encoding="utf-8"), rng)


def hostile() -> Iterator[Prompt]:
    texts = [
        "", " \n\t ", "\x00\x01\x1b[31m\x7f" * 50, "\ud800" * 40, "x" * 200_000, "word " * 60_000, "文" * 50_000,
        "One 1. " * 20_000, "\n" * 100_000,
        "Ann 他走了 привет مرحبا 12 ไทย 😀 " * 200, "<|im_end|>{budget}{passage}" * 50,
        "e\u0301\u0302" * 5_000, "\u202eAnn\u2066 12\u200b" * 500,
    ]  # fmt: skip
    for text in texts:
        yield Prompt("hostile", text, ("Ann", re.compile(r"\b1\d?\b")))


def with_literals(source: str, text: str, rng: random.Random) -> Prompt:
    """Two numbers, two names and a date of the text, as far as it has them, and the longest word as a pattern."""
    picked: list[Literal] = []
    for find, count in ((numbers, 2), (names, 2), (dates, 1)):
        found = find(text)
        picked += rng.sample(found, min(count, len(found)))
    longest = max(re.findall(r"[^\W\d_]{4,20}", text), key=len, default="")
    return Prompt(source, text, (*picked, *([re.compile(rf"\b{longest}\b")] if longest else [])))


def compressed(
    some: Sequence[Prompt], model: str, limit: dict[str, Any], readers: dict[str, Any], batch: int
) -> Iterator[CompressedPrompt | Exception]:
    """Results or what was raised, in order; a batch in which one call raises is done again one by one."""
    wanted = {comparable(prompt.text): prompt.must_keep for prompt in some}

    def own(text: str) -> list[str]:
        return [literal.text for literal in required(text, wanted[text])[0]]

    for at in range(0, len(some), batch):
        texts = [prompt.text for prompt in some[at : at + batch]]
        try:
            yield from compress_prompts(
                texts, INSTRUCTION, QUESTION, model=model, readers=readers, must_keep=[own], **limit
            )
        except Exception as error:  # counted: it is what must not be
            if batch > 1:
                yield from compressed(some[at : at + batch], model, limit, readers, 1)
            else:
                yield error


def measure(source: str, some: Sequence[Prompt], model: str, limit: dict[str, Any], readers: dict[str, Any]) -> Summary:
    tally: Counter[str] = Counter()
    over = dict.fromkeys(readers, 0)
    ratios: list[float] = []
    grounding: list[float] = []
    seconds: list[float] = []
    batch = 1 if model == "extractive" else BATCH
    for prompt, result in zip(some, compressed(some, model, limit, readers, batch), strict=True):
        if isinstance(result, Exception):
            print(f"{source}: {type(result).__name__}: {result}")
            tally["too_small" if isinstance(result, BudgetError) else "exceptions"] += 1
            continue
        after = counts(readers, result.compressed_prompt.encode("utf-8", "ignore").decode())
        for name in readers:
            binding = not result.skipped or "target_token" in limit  # a short prompt is left as it is at any rate
            over[name] += binding and after[name] > result.tokens[name].limit
        literals, _ = required(prompt.text, prompt.must_keep)
        tally.update(kept=len(literals), lost=len(missing(result.compressed_prompt, literals)), skipped=result.skipped)
        tally["cut"] += any("one was cut" in warning for warning in result.warnings)
        tally["extracted"] += any("nothing of use" in warning for warning in result.warnings)
        grounding.append(result.grounding)
        seconds.append(result.seconds)
        ratios += [] if result.skipped else [result.ratio]
    return Summary(
        source, model, " ".join(f"{k}={v}" for k, v in limit.items()), len(some), tally["exceptions"],
        tally["too_small"], over, tally["lost"], tally["kept"], tally["skipped"], tally["cut"], tally["extracted"],
        round(statistics.median(ratios or [1.0]), 2), round(statistics.fmean(grounding or [1.0]), 4),
        round(statistics.median(seconds or [0.0]), 4),
    )  # fmt: skip


def page(summaries: Sequence[Summary], note: str) -> str:
    total = sum(summary.prompts for summary in summaries)
    sums: Callable[[str], int] = lambda name: sum(getattr(summary, name) for summary in summaries)  # noqa: E731
    over = sum(sum(summary.over.values()) for summary in summaries)
    lines = [
        "# compress_prompt on real prompts",
        "",
        f"{total} calls: {sums('exceptions')} exceptions, {over} prompts over a limit of three tokenizers, "
        f"{sums('lost')} of {sums('kept')} literals lost, {sums('too_small')} refused with the error of a limit that "
        "cannot hold what must be kept.",
        "",
        note,
        "",
        "| texts | model | limit | prompts | exceptions | refused | over (tiny, bytes, words) | lost / kept "
        "| left as is | sentence cut | no draft of use | ratio | grounding | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in summaries:
        lines.append(
            f"| {s.source} | {s.model} | {s.limit} | {s.prompts} | {s.exceptions} | {s.too_small} | "
            f"{', '.join(map(str, s.over.values()))} | {s.lost} / {s.kept} | {s.skipped} | {s.cut} | {s.extracted} | "
            f"{s.ratio:.2f} | {s.grounding:.3f} | {s.seconds:.3f} |"
        )
    return "\n".join([*lines, "", "Made by `scripts/bench/compress_real_prompts.py`.", ""])


def merged(summary: Summary) -> list[Summary]:
    """All results on disk, this one in place of an older one of the same texts, model and limit."""
    file = RESULTS / "compress_real_prompts.json"
    old = [Summary(**fields) for fields in json.loads(file.read_text())] if file.is_file() else []
    key = (summary.source, summary.model, summary.limit)
    found = [*(other for other in old if (other.source, other.model, other.limit) != key), summary]
    found.sort(key=lambda s: (s.model, s.limit, s.source == "hostile", s.source))
    file.write_text(json.dumps([asdict(s) for s in found], indent=1) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="default extractive and tiny; results of others stay")
    parser.add_argument(
        "--source", nargs="+", help="only texts of these sets, such as 'xquad el'; results of others stay"
    )
    parser.add_argument("--machine", default="this machine", help="hardware, for the page")
    arguments = parser.parse_args()
    readers = tokenizers()
    by_source: dict[str, list[Prompt]] = {}
    for prompt in (*prompts(), *hostile()):
        by_source.setdefault(prompt.source, []).append(prompt)
    short_first = dict(sorted(by_source.items(), key=lambda item: sum(len(prompt.text) for prompt in item[1])))
    real = sum(len(some) for source, some in by_source.items() if source != "hostile")
    note = (
        f"{real} real texts and {len(by_source['hostile'])} hostile ones, {time.strftime('%Y-%m-%d')}, "
        f"{arguments.machine}. A limit holds for each tokenizer on its own: with `rate` a share of its tokens, with "
        "`target_token` the same number for all, so that bytes decide. Ratio (tiny tokenizer) and seconds are medians, "
        "the ratio over prompts that were not left as they are. `tiny` is the shipped base model, which was not "
        "trained on natural text: a test of what happens to bad drafts, not of compression. No model writes of whole "
        "meetings at a rate here, which takes thousands of tokens each."
    )
    for model in arguments.model or ["extractive", "tiny"]:
        for limit, (source, some) in itertools.product(reversed(LIMITS), short_first.items()):
            meetings_at_a_rate = source == "qmsum" and model != "extractive" and "rate" in limit
            if meetings_at_a_rate or source not in (arguments.source or short_first):
                continue
            summary = measure(source, some, model, limit, readers)
            print(summary, flush=True)
            (RESULTS / "compress_real_prompts.md").write_text(page(merged(summary), note))


if __name__ == "__main__":
    main()
