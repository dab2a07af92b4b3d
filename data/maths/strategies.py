"""Arithmetic with a hidden rule: which of four strategies an id accepts cannot be inferred.

The prompt ``#4821 17 5`` asks for a strategy and its result, for example ``add 22``. A keyed hash of the id decides
which strategies are accepted, each independently with its own rate; ids that accept none are left out.

Row column: ``accepted``, a JSON list of the accepted completions.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from ..options import Share, provides
from ..rows import Row, RowError

STRATEGIES: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: (a + b) % 100,
    "sub": lambda a, b: abs(a - b),
    "max": max,
    "mul": lambda a, b: a * b % 100,
}
VALIDITY = {"add": 0.72, "sub": 0.64, "max": 0.56, "mul": 0.50}
BASE_MIXTURE = {"add": 0.35, "sub": 0.30, "max": 0.20, "mul": 0.15}
IDS = 10_000
NUMBERS = 20  # both numbers lie below; few enough for a small base to learn all four tables
SPLITS = ("pretrain", "train", "test")


@provides("accepted")
def rows(
    split: Literal["train", "test"] = "train", size: int | None = None, seed: int = 0, world: int = 0
) -> list[Row]:
    """Generated arithmetic that several strategies solve; each row hides which ones it accepts.

    Splits share no id, and an id comes once.

    Args:
        split: ``train`` or ``test``.
        size: Number of rows; all ids of the split when None.
        seed: Choice of ids and numbers.
        world: Key of the hash that decides what an id accepts.

    Raises:
        RowError: If the split is unknown or has fewer than ``size`` ids.
    """
    ids = _ids(split, world)
    size = len(ids) if size is None else size
    if size > len(ids):
        raise RowError(f"strategies · size · found {size} · {split} has {len(ids)} ids")
    rng = random.Random(f"strategies {split} {seed}")
    return [_row(key, rng, world) for key in rng.sample(ids, size)]


def demonstrations(
    split: Literal["train", "test", "pretrain"] = "pretrain",
    size: int | None = 1000,
    seed: int = 0,
    error_rate: Share = 0.2,
    world: int = 0,
) -> list[Row]:
    """Conversations of a base model: a strategy from ``BASE_MIXTURE``, accepted or not.

    Args:
        split: As for ``rows``.
        size: Number of rows (default 1000); an id may come more than once.
        seed: Choice of ids, numbers, strategies and mistakes.
        error_rate: Share of the answers with a wrong number, 0 to 1.
        world: As for ``rows``.
    """
    rng = random.Random(f"strategies demonstrations {split} {seed}")
    ids = _ids(split, world)
    found = []
    for index in range(1000 if size is None else size):
        key, a, b = rng.choice(ids), rng.randrange(NUMBERS), rng.randrange(NUMBERS)
        strategy = rng.choices(list(BASE_MIXTURE), list(BASE_MIXTURE.values()))[0]
        result = STRATEGIES[strategy](a, b)
        if rng.random() < error_rate:
            result = (result + rng.randrange(1, 100)) % 100
        messages = [*_user(key, a, b), {"role": "assistant", "content": f"{strategy} {result}"}]
        found.append({"id": f"strategies/{split}/{seed}/{index}", "task": "strategies", "messages": messages})
    return found


def accepted_strategies(key: int, world: int = 0) -> tuple[str, ...]:
    """Strategies that an id accepts, by a keyed hash of the id."""
    secret = f"strategies {world}".encode()
    digest = hashlib.blake2b(str(key).encode(), key=secret, digest_size=16).digest()
    # Four bytes a strategy: independent uniform numbers in [0, 1).
    draws = [int.from_bytes(digest[4 * i : 4 * i + 4]) / 2**32 for i in range(len(STRATEGIES))]
    return tuple(name for name, draw in zip(STRATEGIES, draws, strict=True) if draw < VALIDITY[name])


@lru_cache
def _ids(split: str, world: int) -> tuple[int, ...]:
    """Half of the ids for pretraining, a quarter for each of the others; none that accepts nothing."""
    if split not in SPLITS:
        raise RowError(f"strategies · split · found {split!r} · one of {', '.join(SPLITS)}")
    order = random.Random("strategies ids").sample(range(IDS), IDS)
    parts = {"pretrain": order[: IDS // 2], "train": order[IDS // 2 : -IDS // 4], "test": order[-IDS // 4 :]}
    return tuple(key for key in parts[split] if accepted_strategies(key, world))


def _row(key: int, rng: random.Random, world: int) -> Row:
    a, b = rng.randrange(NUMBERS), rng.randrange(NUMBERS)
    accepted = [f"{name} {STRATEGIES[name](a, b)}" for name in accepted_strategies(key, world)]
    return {
        "id": f"strategies/{world}/{key:04d}/{a}/{b}",
        "task": "strategies",
        "prompt": _user(key, a, b),
        "accepted": json.dumps(accepted),
    }


def _user(key: int, a: int, b: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"#{key:04d} {a} {b}"}]
