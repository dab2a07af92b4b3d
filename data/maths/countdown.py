"""Countdown: reach a target with some numbers and + − ×, in one of many ways.

The prompt ``countdown 3 7 12 -> 45`` asks for an expression that uses each number at most once
(leaving some out is allowed) and equals the target. Every target can be reached. Two answers are the
same solution when their normal forms are equal (``expressions.canonical``).

Row columns: ``numbers`` (list of int), ``target`` (int), ``solutions`` (how many distinct ones).
"""

from __future__ import annotations

import hashlib
import random
from typing import Literal

from ..options import Share, provides
from ..rows import Row, RowError
from .expressions import Node, Tree, add, multiply, node_value, show, value

SPLITS = ("pretrain", "train", "test")
LARGEST = 20
TARGETS = range(1, 101)


@provides("numbers", "target")
def rows(split: Literal["train", "test"] = "train", size: int | None = None, seed: int = 0) -> list[Row]:
    """Generated: reach a target from three or four numbers with + - *.

    Splits share no combination of numbers and target.

    Args:
        split: ``train`` or ``test``.
        size: Number of rows (default 1000).
        seed: Choice of puzzles.

    Raises:
        RowError: If the split is unknown.
    """
    rng = random.Random(f"countdown {split} {seed}")
    found: dict[str, Row] = {}
    while len(found) < (1000 if size is None else size):
        numbers, target, _ = _puzzle(split, rng)
        row_id = f"countdown/{'-'.join(map(str, numbers))}/{target}"
        if row_id not in found:
            found[row_id] = {
                "id": row_id,
                "task": "countdown",
                "prompt": _user(numbers, target),
                "numbers": numbers,
                "target": target,
                "solutions": len(solutions(numbers, target)),
            }
    return list(found.values())


def demonstrations(
    split: Literal["train", "test", "pretrain"] = "pretrain",
    size: int | None = 1000,
    seed: int = 0,
    error_rate: Share = 0.2,
) -> list[Row]:
    """Conversations of two kinds of solver, each in half of the rows.

    The first writes from left to right with the fewest parentheses; the second puts every inner step into parentheses.
    An ``error_rate`` of the answers misses the target by a wrong operator or number.

    Args:
        split: As for ``rows``; puzzles may come more than once.
        size: Number of rows (default 1000).
        seed: Choice of puzzles, styles and mistakes.
        error_rate: Share of the answers that are wrong, 0 to 1.
    """
    rng = random.Random(f"countdown demonstrations {split} {seed}")
    found = []
    for index in range(1000 if size is None else size):
        numbers, target, tree = _puzzle(split, rng)
        if rng.random() < error_rate:
            tree = _mistaken(tree, numbers, target, rng)
        answer = flat(tree) if rng.random() < 0.5 else nested(tree)
        messages = [*_user(numbers, target), {"role": "assistant", "content": answer}]
        found.append({"id": f"countdown/{split}/{seed}/{index}", "task": "countdown", "messages": messages})
    return found


def solutions(numbers: list[int], target: int) -> list[str]:
    """Normal forms of all distinct solutions, sorted; ``target`` is positive.

    Raises:
        ValueError: If ``target`` is not positive (a normal form is unsigned).
    """
    if target <= 0:
        raise ValueError(f"countdown · target · found {target} · give a positive target")
    return sorted(show(node) for node in _reachable(numbers) if node_value(node) == target)


def flat(tree: Tree) -> str:
    """Text with parentheses only where they change the meaning."""
    if isinstance(tree, int):
        return str(tree)
    texts = [flat(part) for part in tree[1:]]
    for side, part in enumerate(tree[1:]):
        inner = part[0] if isinstance(part, tuple) else ""
        tight = tree[0] in "*/" or len(tree) == 2 or (side == 1 and tree[0] == "-")
        if (inner and inner in "+-" and tight) or (inner and side == 1 and tree[0] == "/"):
            texts[side] = f"({texts[side]})"
    return f" {tree[0]} ".join(texts) if len(tree) == 3 else f"-{texts[0]}"


def nested(tree: Tree) -> str:
    """Text with every inner operation in parentheses."""
    if isinstance(tree, int):
        return str(tree)
    texts = [nested(part) if isinstance(part, int) else f"({nested(part)})" for part in tree[1:]]
    return f" {tree[0]} ".join(texts) if len(tree) == 3 else f"-{texts[0]}"


def _reachable(numbers: list[int]) -> set[Node]:
    """Unsigned normal forms of all expressions: each is plus or minus X + Y, X − Y or X · Y of unsigned X and Y."""
    # By subset of the numbers, a bit mask.
    reached: dict[int, set[Node]] = {1 << index: {number} for index, number in enumerate(numbers)}
    for mask in sorted(range(1, 1 << len(numbers)), key=int.bit_count):
        if mask in reached:
            continue
        nodes: set[Node] = set()
        part = (mask - 1) & mask
        while part > mask ^ part:  # each split of the subset once
            for left in reached[part]:
                for right in reached[mask ^ part]:
                    nodes.update((add(1, left, 1, right)[1], add(1, left, -1, right)[1], multiply(left, right)))
            part = (part - 1) & mask
        reached[mask] = nodes
    return set().union(*reached.values())


def _puzzle(split: str, rng: random.Random) -> tuple[list[int], int, Tree]:
    """Numbers, a target, and an expression that reaches it."""
    if split not in SPLITS:
        raise RowError(f"countdown · split · found {split!r} · one of {', '.join(SPLITS)}")
    while True:
        numbers = [rng.randint(1, LARGEST) for _ in range(rng.choice((3, 4)))]
        used = rng.sample(numbers, rng.randint(2, len(numbers)))
        tree = _random_tree(used, rng)
        target = int(value(tree))
        if target in TARGETS and target not in numbers and _split_of(numbers, target) == split:
            return numbers, target, tree


def _split_of(numbers: list[int], target: int) -> str:
    """Six of ten puzzles are for pretraining, two for each of the others, whatever their order."""
    digest = hashlib.blake2b(repr((sorted(numbers), target)).encode(), digest_size=4).digest()
    tenth = int.from_bytes(digest) % 10
    return "pretrain" if tenth < 6 else "train" if tenth < 8 else "test"


def _random_tree(numbers: list[int], rng: random.Random) -> Tree:
    if len(numbers) == 1:
        return numbers[0]
    cut = rng.randrange(1, len(numbers))
    return (rng.choice("+-*"), _random_tree(numbers[:cut], rng), _random_tree(numbers[cut:], rng))


def _mistaken(tree: Tree, numbers: list[int], target: int, rng: random.Random) -> Tree:
    """The expression with operators and numbers changed until it misses the target."""
    while True:
        changed = _changed(tree, numbers, rng)
        if value(changed) != target:
            return changed


def _changed(tree: Tree, numbers: list[int], rng: random.Random) -> Tree:
    if isinstance(tree, int) or len(tree) == 2:
        return tree if rng.random() < 0.7 else rng.choice(numbers)
    operator = tree[0] if rng.random() < 0.7 else rng.choice("+-*")
    return (operator, _changed(tree[1], numbers, rng), _changed(tree[2], numbers, rng))


def _user(numbers: list[int], target: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"countdown {' '.join(map(str, numbers))} -> {target}"}]
