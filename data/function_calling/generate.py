"""Function calls in any language, made without a model: the call first, then the words.

A row is drawn as a scenario with tools and values, said in a language by its pack, and checked by every
validator. Row columns beside the usual ones: ``tools``, ``gold``, ``provenance`` (JSON strings),
``language`` and ``scenario``.

Splits, each apart from training in one thing only: ``test`` (other texts), ``values`` (names, numbers,
dates and texts), ``paraphrases`` (wording), ``tools`` (the tool called), ``names`` (names of tools and
parameters are made up), ``language`` (a pack outside ``languages``), ``more_tools`` (9 to 20 tools are
listed). No user's text of ``train`` is in another split.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..rows import Row, RowError
from . import packs
from .grammar import NoSentenceError, Speaker
from .library import load_library
from .masking import mask_row
from .plans import MIX, Plan, make_plan, weights
from .scenarios import Context, Episode, Message
from .tool_lists import NAME_STYLES, fill_list, styled, tools_json

SPLITS = ("train", "test", "values", "paraphrases", "tools", "names", "language", "more_tools")
DESCRIPTIONS = ("en", "target", "mixed")
MORE_TOOLS = (9, 20)
ATTEMPTS = 200


@dataclass(frozen=True)
class Settings:
    """What all rows of one request share; the arguments of ``rows``."""

    split: str
    seed: int
    languages: tuple[str, ...]
    scenarios: Mapping[str, float]
    min_tools: int
    max_tools: int
    descriptions: str
    name_style: str
    noise: float

    @functools.cached_property
    def pool(self) -> tuple[str, ...]:
        """Tools that may be listed."""
        tools = load_library().tools.values()
        return tuple(tool.id for tool in tools if self.split == "tools" or not tool.held_out)

    @functools.cached_property
    def callable(self) -> tuple[str, ...]:
        """Tools that requests are about."""
        tools = load_library().tools.values()
        return tuple(tool.id for tool in tools if tool.held_out == (self.split == "tools"))


def rows(
    split: str = "train",
    size: int | None = 1000,
    seed: int = 0,
    *,
    languages: Sequence[str] = ("en", "bg"),
    scenarios: Sequence[str] | Mapping[str, float] | None = None,
    min_tools: int = 1,
    max_tools: int = 8,
    masking: float = 0.0,
    descriptions: str = "en",
    name_style: str = "snake",
    noise: float = 0.0,
) -> list[Row]:
    """Prompts with gold; row ``i`` depends on the split, the seed and ``i`` alone.

    Args:
        split: One of ``SPLITS``.
        size: Number of rows (default 1000).
        seed: Choice of rows.
        languages: Languages of the users; for the split ``language``, those to leave out.
        scenarios: Names of scenarios, or their shares; all in the shares of ``plans.MIX`` when None.
        min_tools: Fewest tools listed.
        max_tools: Most tools listed (the split ``more_tools`` has its own range).
        masking: Probability that names of tools and parameters are made up.
        descriptions: Language of tool descriptions: ``en``, ``target`` (the user's) or ``mixed``.
        name_style: ``snake`` or ``mixed`` (snake, camel, dotted, kebab).
        noise: Probability of slips in a user's text.

    Raises:
        RowError: If an option is unknown, or no row of it can be made.
    """
    settings = _settings(split, seed, languages, scenarios, min_tools, max_tools, descriptions, name_style, noise)
    return [_prompt_row(settings, index, masking) for index in range(1000 if size is None else size)]


def demonstrations(
    split: str = "train",
    size: int | None = 1000,
    seed: int = 0,
    *,
    languages: Sequence[str] = ("en", "bg"),
    scenarios: Sequence[str] | Mapping[str, float] | None = None,
    min_tools: int = 1,
    max_tools: int = 8,
    masking: float = 0.0,
    masking_start: float | None = None,
    descriptions: str = "en",
    name_style: str = "snake",
    noise: float = 0.0,
    requests: int = 1,
) -> list[Row]:
    """Whole conversations that end in the right assistant turn; ``gold`` is that of the last turn.

    Args:
        split: As for ``rows``, and so are the arguments not named here.
        size: Number of rows (default 1000).
        seed: Choice of rows.
        languages: As for ``rows``.
        scenarios: As for ``rows``.
        min_tools: As for ``rows``.
        max_tools: As for ``rows``.
        masking: Probability that names are made up, in the last row.
        masking_start: That probability in the first row; it grows linearly. The same when None.
        descriptions: As for ``rows``.
        name_style: As for ``rows``.
        noise: As for ``rows``.
        requests: Most requests in one conversation over the same tools; all but the last are carried out.
    """
    settings = _settings(split, seed, languages, scenarios, min_tools, max_tools, descriptions, name_style, noise)
    size = 1000 if size is None else size
    start = masking if masking_start is None else masking_start
    shares = [start + (masking - start) * index / max(1, size - 1) for index in range(size)]
    return [_conversation_row(settings, index, share, requests) for index, share in enumerate(shares)]


def _settings(
    split: str,
    seed: int,
    languages: Sequence[str],
    scenarios: Sequence[str] | Mapping[str, float] | None,
    min_tools: int,
    max_tools: int,
    descriptions: str,
    name_style: str,
    noise: float,
) -> Settings:
    _one_of("split", split, SPLITS)
    _one_of("descriptions", descriptions, DESCRIPTIONS)
    _one_of("name_style", name_style, ("snake", "mixed"))
    for name in scenarios or ():
        _one_of("scenarios", name, tuple(MIX))
    for language in languages:
        _one_of("languages", language, packs.languages())
    if split == "language":
        languages = [name for name in packs.languages() if name not in languages]
    if split == "more_tools":
        min_tools, max_tools = MORE_TOOLS
    if not 0 <= min_tools <= max_tools:
        raise RowError(f"function_calls · min_tools, max_tools · found {min_tools}, {max_tools} · give 0 <= min <= max")
    shares = weights(scenarios)
    return Settings(split, seed, tuple(languages), shares, min_tools, max_tools, descriptions, name_style, noise)


def _one_of(option: str, found: str, allowed: Sequence[str]) -> None:
    if found not in allowed:
        raise RowError(f"function_calls · {option} · found {found!r} · one of {', '.join(allowed)}")


def _prompt_row(settings: Settings, index: int, masking: float) -> Row:
    draft = _draft(settings, f"rows/{index}", 1)
    row_id = f"function_calls/{settings.split}/{settings.seed}/{index}"
    return _masked(_row(row_id, draft, {"prompt": draft.episodes[0].before}), settings, masking)


def _conversation_row(settings: Settings, index: int, masking: float, requests: int) -> Row:
    draft = _draft(settings, f"demonstrations/{index}", requests)
    messages: list[Message] = []
    for episode in draft.episodes[:-1]:
        messages += [*episode.before, episode.turn, *episode.after]
    messages += [*draft.episodes[-1].before, draft.episodes[-1].turn]
    row_id = f"function_calls/demonstrations/{settings.split}/{settings.seed}/{index}"
    return _masked(_row(row_id, draft, {"messages": messages}), settings, masking)


def _masked(row: Row, settings: Settings, masking: float) -> Row:
    rng = random.Random(f"masking {row['id']}")
    return mask_row(row, rng) if settings.split == "names" or rng.random() < masking else row


@dataclass
class _Draft:
    """A conversation before it is written as a row."""

    settings: Settings
    language: str
    scenario: str
    listed: list[str]
    tools: str
    episodes: list[Episode]


def _draft(settings: Settings, place: str, requests: int) -> _Draft:
    rng = random.Random(f"function_calls/{settings.split}/{settings.seed}/{place}")
    for _ in range(ATTEMPTS):
        try:
            return _attempt(settings, rng, requests)
        except NoSentenceError:
            continue
    raise RowError(f"function_calls · {settings.split} · found no row in {ATTEMPTS} tries · ask for other scenarios")


def _attempt(settings: Settings, rng: random.Random, requests: int) -> _Draft:
    library = load_library()
    language = rng.choice(settings.languages)
    pack = packs.load_pack(language)
    style = rng.choice(NAME_STYLES) if settings.name_style == "mixed" else "snake"
    held_out = settings.split != "train"
    speaker = Speaker(pack, rng, settings.split == "paraphrases", held_out)
    name = functools.partial(styled, style=style)
    context = Context(rng, pack, library, speaker, settings.split == "values", name)
    plan = _plan(settings, rng, settings.callable, ())
    size = 0 if plan.scenario == "no_tools" else rng.randint(settings.min_tools, settings.max_tools)
    listed = fill_list(plan.needed, plan.near, size, settings.pool, plan.without, rng)
    plans = [plan]
    if requests > 1 and plan.scenario != "no_tools":
        plans = _more_plans(settings, rng, plan, listed, rng.randint(1, requests))
    episodes = [plan.play(context) for plan in plans]
    described = {"en": False, "target": True, "mixed": rng.random() < 0.5}[settings.descriptions]
    text = tools_json(listed, style, language if described else None)
    return _Draft(settings, language, plans[-1].scenario, listed, text, episodes)


def _more_plans(settings: Settings, rng: random.Random, plan: Plan, listed: list[str], count: int) -> list[Plan]:
    """Plans that fit the tools listed for the first one; that one stays the last."""
    found = []
    unlisted = [name for name in settings.callable if name not in listed]
    for _ in range(count - 1):
        names = [name for name in settings.scenarios if name != "no_tools"]
        scenario = rng.choices(names, [settings.scenarios[name] for name in names])[0]
        candidates = unlisted if scenario == "irrelevant" else [name for name in listed if name in settings.callable]
        more = make_plan(scenario, load_library(), candidates, rng, listed)
        if more:
            found.append(more)
    return [*found, plan]


def _plan(settings: Settings, rng: random.Random, candidates: Sequence[str], listed: Sequence[str]) -> Plan:
    names = list(settings.scenarios)
    scenario = rng.choices(names, list(settings.scenarios.values()))[0]
    plan = make_plan(scenario, load_library(), candidates, rng, listed)
    if plan is None:
        raise NoSentenceError
    return plan


def _row(row_id: str, draft: _Draft, conversation: dict[str, list[Message]]) -> Row:
    last = draft.episodes[-1]
    provenance = {
        "seed": draft.settings.seed,
        "split": draft.settings.split,
        "tool_ids": draft.listed,
        "intents": last.intents,
        "rule_ids": last.rules,
        "masked": {},
    }
    return {
        "id": row_id,
        "task": "function_call",
        "language": draft.language,
        "scenario": draft.scenario,
        **conversation,
        "tools": draft.tools,
        "gold": json.dumps(last.gold, ensure_ascii=False),
        "provenance": json.dumps(provenance, ensure_ascii=False),
    }
