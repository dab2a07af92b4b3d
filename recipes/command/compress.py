"""`quince compress`: a file or standard input in, the shorter prompt out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

STDIN = "-"


def compress(
    file: Annotated[str, typer.Argument(help="A text file; - reads standard input.")] = STDIN,
    target_tokens: Annotated[
        int, typer.Option("--target-tokens", "-t", help="Most tokens of the whole prompt; takes the place of --rate.")
    ] = -1,
    rate: Annotated[float, typer.Option(help="Share of the tokens that may be left.")] = 0.5,
    model: Annotated[str, typer.Option(help="Folder of a trained compressor; `extractive` needs none.")] = "extractive",
    reader: Annotated[
        list[str] | None, typer.Option(help="Folder with a tokenizer for which the limit holds; may be repeated.")
    ] = None,
    must_keep: Annotated[list[str] | None, typer.Option(help="Text that must be kept; may be repeated.")] = None,
    keep_pattern: Annotated[list[str] | None, typer.Option(help="Regular expression; all matches are kept.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Keep all: numbers, dates or names.")] = None,
    instruction: Annotated[str, typer.Option(help="Stands before the text, kept as it is.")] = "",
    question: Annotated[str, typer.Option(help="Stands after the text, kept as it is; no model sees it.")] = "",
    min_tokens: Annotated[
        int, typer.Option(help="Shorter prompts are left as they are, unless a target is less.")
    ] = 100,
    template: Annotated[
        str | None, typer.Option(help="What the model is asked, with {passage} and {budget}, as in its training.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result, not the prompt alone.")] = False,
) -> None:
    """Put a prompt in fewer tokens: the new prompt on standard output, remarks on standard error."""
    from ..compression.compress import compress_prompt

    result = compress_prompt(
        _read(file),
        instruction,
        question,
        rate,
        target_token=target_tokens,
        model=model,
        readers=reader or (),
        must_keep=_literals(must_keep or (), keep_pattern or (), keep or ()),
        min_tokens=min_tokens,
        **({"template": template} if template else {}),
    )
    print(json.dumps(dict(result), ensure_ascii=False, default=vars, indent=2) if as_json else result.compressed_prompt)
    for name, count in result.tokens.items():
        print(f"{name}: {count.before} -> {count.after} tokens", file=sys.stderr)
    for warning in result.warnings:
        print(f"note: {warning}", file=sys.stderr)


def _read(file: str) -> str:
    data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    return data.decode("utf-8", "replace")


def _literals(texts: Any, patterns: Any, kinds: Any) -> list[Any]:
    from ...data.compression.budget import CompressionError
    from ...data.compression.literals import KINDS

    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise CompressionError(f"--keep · found {unknown[0]!r} · one of {', '.join(KINDS)}")
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise CompressionError(f"--keep-pattern · {error.pattern!r} is not a regular expression · {error}") from None
    return [*texts, *compiled, *(KINDS[kind] for kind in kinds)]
