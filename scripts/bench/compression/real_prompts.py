"""Does `compress_prompt` keep its promises on real prompts?

    QUINCE_DATA=FOLDER python scripts/bench/compression/real_prompts.py --model extractive tiny

200 real texts and hostile ones, each with literals of its own that must be kept, under three tokenizers at once.
Counted are exceptions, prompts over the limit of a tokenizer (on the returned string), and literals lost; no text is
stored.
Results of other models and sets than those asked for are kept.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quince import compress_prompts
from quince.data import files
from quince.data.compression.budget import BudgetError
from quince.data.compression.literals import Literal, comparable, dates, missing, names, numbers, required
from quince.data.sources import load_rows
from quince.recipes.compression.result import CompressedPrompt
from quince.scripts.bench.pages import Page, Results, bench, stamp, table

LANGUAGES = ("en", "ru", "el", "ro", "tr")
LIMITS: tuple[dict[str, Any], ...] = ({"rate": 0.3}, {"target_token": 600})
BATCH = 16  # Prompts that a model writes for together
Readers = dict[str, Any]
INSTRUCTION, QUESTION = "Read the text and answer the question.", "What was decided, and by whom?"


@dataclass(frozen=True)
class Prompt:
    """A text of a set with what must be kept of it."""

    source: str
    text: str
    must_keep: tuple[Literal, ...]


def tokenizers() -> dict[str, Any]:
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


def prompts() -> Iterator[Prompt]:
    rng = random.Random(0)
    for row in load_rows("qmsum", split="test", max_words=10**6):
        yield with_literals("qmsum", row["passage"], rng)
    for language in LANGUAGES:
        for row in load_rows("xquad", split=language, size=31, seed=0):
            yield with_literals(f"xquad {language}", row["passage"], rng)
    if (folder := files.data_root(None)) is None:
        raise SystemExit("name the folder of the sets in QUINCE_DATA")
    for file in sorted(path for path in folder.glob("fewshot_prompts/**/*") if path.suffix in (".md", ".txt")):
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
    some: Sequence[Prompt], model: str, limit: dict[str, Any], readers: Readers, batch: int
) -> Iterator[CompressedPrompt | Exception]:
    """Results or what was raised, in order; a batch in which one call raises is done again one by one."""
    wanted = {comparable(prompt.text): prompt.must_keep for prompt in some}

    def own(text: str) -> list[str]:
        return [literal.text for literal in required(text, wanted[text])[0]]

    options = limit | {"model": model, "readers": readers, "must_keep": [own]}
    for at in range(0, len(some), batch):
        try:
            yield from compress_prompts([p.text for p in some[at : at + batch]], INSTRUCTION, QUESTION, **options)
        except Exception as error:  # counted: it is what must not be
            if batch > 1:
                yield from compressed(some[at : at + batch], model, limit, readers, 1)
            else:
                yield error


def compress(source: str, some: Sequence[Prompt], model: str, limit: dict[str, Any], readers: Readers) -> Results:
    tally, over = Counter[str](), dict.fromkeys(readers, 0)
    results: list[CompressedPrompt] = []
    batch = 1 if model == "extractive" else BATCH
    for prompt, result in zip(some, compressed(some, model, limit, readers, batch), strict=True):
        if isinstance(result, Exception):
            print(f"{source}: {type(result).__name__}: {result}")
            tally["too_small" if isinstance(result, BudgetError) else "exceptions"] += 1
            continue
        after = result.compressed_prompt.encode("utf-8", "ignore").decode()
        binding = not result.skipped or "target_token" in limit  # a short prompt is left as it is at any rate
        for name, reader in readers.items():
            length = len(reader.encode(after, add_special_tokens=False).ids)
            over[name] += binding and length > result.tokens[name].limit
        literals, _ = required(prompt.text, prompt.must_keep)
        tally.update(kept=len(literals), lost=len(missing(result.compressed_prompt, literals)), skipped=result.skipped)
        tally["cut"] += any("one was cut" in warning for warning in result.warnings)
        tally["extracted"] += any("nothing of use" in warning for warning in result.warnings)
        results.append(result)
    names = ("exceptions", "too_small", "lost", "kept", "skipped", "cut", "extracted")
    found = {"source": source, "model": model, "limit": " ".join(f"{k}={v}" for k, v in limit.items())}
    found |= {"prompts": len(some), "over": over} | {name: tally[name] for name in names}
    ratio = statistics.median([result.ratio for result in results if not result.skipped] or [1.0])
    grounding = statistics.fmean([result.grounding for result in results] or [1.0])
    seconds = statistics.median([result.seconds for result in results] or [0.0])
    return found | {"ratio": round(ratio, 2), "grounding": round(grounding, 4), "seconds": round(seconds, 4)}


def measure(out: Path, model: Sequence[str] = (), source: Sequence[str] = ()) -> Results:
    """Compress the texts of some sets, default all, with some models, default the extractive one and the tiny one."""
    readers, here = tokenizers(), stamp()
    by_source: dict[str, list[Prompt]] = {}
    for prompt in (*prompts(), *hostile()):
        by_source.setdefault(prompt.source, []).append(prompt)
    short_first = sorted(by_source.items(), key=lambda item: sum(len(prompt.text) for prompt in item[1]))
    file = out / f"{PAGE.name}.json"
    earlier = json.loads(file.read_text(encoding="utf-8"))["summaries"] if file.is_file() else []
    found = {_key(one): one for one in earlier}
    for name in model or ["extractive", "tiny"]:
        for limit, (texts, some) in itertools.product(reversed(LIMITS), short_first):
            meetings_at_a_rate = texts == "qmsum" and name != "extractive" and "rate" in limit
            if not meetings_at_a_rate and texts in (source or by_source):
                one = compress(texts, some, name, limit, readers) | {"stamp": here}
                found[_key(one)] = one
                print(one, flush=True)
    summaries = sorted(found.values(), key=lambda s: (s["model"], s["limit"], s["source"] == "hostile", s["source"]))
    counts = {texts: len(some) for texts, some in by_source.items()}
    return {"texts": counts, "summaries": summaries, "stamps": [one["stamp"] for one in summaries]}


def _key(one: Results) -> tuple[str, str, str]:
    return one["source"], one["model"], one["limit"]


def render(found: Results) -> str:
    summaries = found["summaries"]
    total, exceptions, lost, kept, refused = (
        sum(one[name] for one in summaries) for name in ("prompts", "exceptions", "lost", "kept", "too_small")
    )
    over = sum(sum(one["over"].values()) for one in summaries)
    rows = []
    for one in summaries:
        counts = [one[name] for name in ("source", "model", "limit", "prompts", "exceptions", "too_small")]
        over_each, kept_of = ", ".join(map(str, one["over"].values())), f"{one['lost']} / {one['kept']}"
        figures = [f"{one['ratio']:.2f}", f"{one['grounding']:.3f}", f"{one['seconds']:.3f}"]
        rows.append([*counts, over_each, kept_of, one["skipped"], one["cut"], one["extracted"], *figures])
    head = (
        "texts|model|limit|prompts|exceptions|refused|over (tiny, bytes, words)|lost / kept|left as is|sentence cut|"
        "no draft of use|ratio|grounding|seconds"
    ).split("|")
    return f"""In {total} calls `compress_prompt` raised {exceptions} exceptions, went over a limit of three
tokenizers {over} times
and lost {lost} of {kept} literals. It refused {refused} calls with the error of a limit that cannot hold what must be
kept.

{table(head, rows)}"""


PAGE = Page("compress_real_prompts", "`compress_prompt` on real prompts", render, seeds=[0], needs="the_sets")

if __name__ == "__main__":
    bench(PAGE, measure)
