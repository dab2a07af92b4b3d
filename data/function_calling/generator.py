"""Function calls in any language, made without a model: the call first, then the words.

A row is drawn as a scenario with tools and values, put into words by the pack of a language, and checked by every
validator. Columns beside the usual ones: ``tools``, ``gold``, ``provenance`` (JSON texts), ``language``, ``scenario``.

Each split differs from training in one thing only: ``test`` (other texts), ``values`` (names, numbers, dates and
texts), ``paraphrases`` (wording), ``tools`` (the tool called), ``names`` (names of tools and parameters are made up),
``language`` (a pack outside ``languages``), ``more_tools`` (9 to 20 tools are listed). No user's text of ``train`` is
in another split.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import Field

from ..options import Count, Positive, Share, provides
from ..rows import Row, RowError
from .check.validators import problems
from .generator_settings import Descriptions, NameStyle, Settings, Split
from .mocks import run
from .plans import Plan, make_plan
from .say.grammar import NoSentenceError, Speaker
from .say.library import load_library
from .say.masking import mask_row
from .say.packs import load_pack
from .say.requests import Context
from .scenarios import Episode, Message
from .tool_lists import NAME_STYLES, fill_list, styled, tools_json
from .wire.calls import dump

_ATTEMPTS = 300

Languages = Annotated[Sequence[str], Field(min_length=1)]
Scenarios = Sequence[str] | Mapping[str, float] | None


@provides("gold")
def rows(
    split: Split = "train",
    size: int | None = 1000,
    seed: int = 0,
    *,
    languages: Languages = ("en", "bg"),
    scenarios: Scenarios = None,
    min_tools: Count = 1,
    max_tools: Count = 8,
    masking: Share = 0.0,
    descriptions: Descriptions = "en",
    name_style: NameStyle = "snake",
    noise: Share = 0.0,
) -> list[Row]:
    """Generated requests in several languages: to call tools, to ask for a missing value, to refuse or to answer.

    No two prompts are alike, and the first rows do not depend on how many follow.

    Args:
        split: ``test`` is like ``train``; each of the others holds out the thing of its name.
        size: Number of rows (default 1000).
        seed: Choice of rows.
        languages: Languages of the users; for the split ``language``, those to leave out.
        scenarios: Names of scenarios, or their shares; for None all, in the shares of ``plans.MIX``.
        min_tools: Fewest tools listed, where the scenario needs no more.
        max_tools: Most tools listed, likewise (the split ``more_tools`` has its own range).
        masking: Probability that names of tools and parameters are made up (always in ``names``).
        descriptions: Language of tool descriptions: ``en``, ``target`` (the user's) or ``mixed``.
        name_style: ``snake`` or ``mixed`` (snake, camel, dotted, kebab).
        noise: Probability of a typing error in a user's text.

    Raises:
        RowError: If an option is out of its range, or no row of it can be made.
    """
    settings = Settings(split, seed, tuple(languages), scenarios, min_tools, max_tools, descriptions, name_style, noise)
    seen: set[tuple[str, ...]] = set()
    indices = range(1000 if size is None else size)
    return [_row(settings, f"function_calls/{split}/{seed}/{index}", masking, seen, None) for index in indices]


def demonstrations(
    split: Split = "train",
    size: int | None = 1000,
    seed: int = 0,
    *,
    languages: Languages = ("en", "bg"),
    scenarios: Scenarios = None,
    min_tools: Count = 1,
    max_tools: Count = 8,
    masking: Share = 0.0,
    masking_start: Share | None = None,
    descriptions: Descriptions = "en",
    name_style: NameStyle = "snake",
    noise: Share = 0.0,
    requests: Positive = 1,
) -> list[Row]:
    """Generated tool use in several languages: calls, questions for missing values, refusals, answers.

    Conversations end in the right assistant turn; ``gold`` is that of the last turn.

    Args:
        split: ``train``, or one that holds out the thing of its name.
        size: Number of rows; 1000 for None.
        seed: Choice of rows.
        languages: Languages of the users; for the split ``language``, those to leave out.
        scenarios: Names of scenarios, or their shares; for None all, in the shares of ``plans.MIX``.
        min_tools: Fewest tools listed, where the scenario needs no more.
        max_tools: Most tools listed, likewise.
        masking: Probability that names are made up, in the last row.
        masking_start: That probability in the first row, from where it grows linearly; the same for None.
        descriptions: Language of the tools' descriptions: English, the user's (``target``), or either.
        name_style: Style of names: ``snake``, or ``mixed``.
        noise: Probability of slips of the pen in a request.
        requests: Most requests in one conversation over the same tools; all but the last are carried out.
    """
    settings = Settings(split, seed, tuple(languages), scenarios, min_tools, max_tools, descriptions, name_style, noise)
    size = 1000 if size is None else size
    start = masking if masking_start is None else masking_start
    shares = [start + (masking - start) * index / max(1, size - 1) for index in range(size)]
    seen: set[tuple[str, ...]] = set()
    stem = f"function_calls/demonstrations/{split}/{seed}"
    return [_row(settings, f"{stem}/{index}", share, seen, requests) for index, share in enumerate(shares)]


@dataclass(frozen=True)
class _Draft:
    """A conversation before it is written as a row; the last episode is the judged one."""

    language: str
    scenario: str
    listed: list[str]
    tools: str
    episodes: list[Episode]

    @property
    def prompt(self) -> list[Message]:
        """The messages before the judged turn; earlier episodes are carried out."""
        *first, last = self.episodes
        done = [message for episode in first for message in (*episode.before, episode.turn, *episode.after)]
        return [*done, *last.before]


def _row(settings: Settings, row_id: str, masking: float, seen: set[tuple[str, ...]], requests: int | None) -> Row:
    """The first draft that is new and passes every validator; a prompt alone where ``requests`` is None."""
    rng = random.Random(row_id)
    problem = "no sentence of this split"
    for _ in range(_ATTEMPTS):
        try:
            draft = _draft(settings, rng, requests or 1)
        except NoSentenceError:
            continue
        conversation = (
            {"prompt": draft.prompt} if requests is None else {"messages": [*draft.prompt, draft.episodes[-1].turn]}
        )
        row = _written(row_id, settings, draft, conversation)
        # Rows with the same texts of the user and the same tools, whatever their order, count as one.
        texts = (message["content"] for message in draft.prompt if message["role"] == "user")
        key = (*texts, *sorted(draft.listed))
        if key in seen:
            problem = "only rows that are there already"
            continue
        masked = settings.split == "names" or rng.random() < masking
        row = mask_row(row, rng, unseen=settings.split != "train") if masked else row
        found = problems(row, execute=run, noisy=settings.noise > 0)
        if not found:
            seen.add(key)
            return row
        problem = found[0]
    raise RowError(f"{row_id} · found {problem} in {_ATTEMPTS} drafts · ask for fewer rows or other scenarios")


def _draft(settings: Settings, rng: random.Random, requests: int) -> _Draft:
    language = rng.choice(settings.spoken)
    style = rng.choice(NAME_STYLES) if settings.name_style == "mixed" else "snake"
    context = _context(settings, rng, language, style)
    plan = _plan(settings, rng)
    size = 0 if plan.scenario == "no_tools" else rng.randint(*settings.sizes)
    listed = fill_list(plan.needed, plan.near, size, settings.listable, plan.without, rng)
    earlier = _earlier_plans(settings, rng, listed, rng.randint(1, requests) - 1) if listed else []
    episodes = [each.play(context) for each in (*earlier, plan)]
    described = settings.descriptions == "target" or (settings.descriptions == "mixed" and rng.random() < 0.5)
    tools = tools_json(listed, style, language if described else None)
    return _Draft(language, plan.scenario, listed, tools, episodes)


def _context(settings: Settings, rng: random.Random, language: str, style: str) -> Context:
    pack, split = load_pack(language), settings.split
    speaker = Speaker(pack, rng, paraphrases=split == "paraphrases", held_out=split != "train", noise=settings.noise)
    return Context(rng, pack, load_library(), speaker, split == "values", partial(styled, style=style))


def _plan(settings: Settings, rng: random.Random) -> Plan:
    scenario = rng.choices(list(settings.shares), list(settings.shares.values()))[0]
    plan = make_plan(scenario, load_library(), settings.wanted, rng, settings.listable)
    if plan is None:
        raise NoSentenceError
    return plan


def _earlier_plans(settings: Settings, rng: random.Random, listed: list[str], count: int) -> list[Plan]:
    """Plans of other requests that fit the listed tools; fewer than ``count`` where a drawn scenario does not fit."""
    found = []
    unlisted = [name for name in settings.wanted if name not in listed]
    names = [name for name in settings.shares if name != "no_tools"]
    for scenario in rng.choices(names, [settings.shares[name] for name in names], k=count) if names else ():
        candidates = unlisted if scenario == "irrelevant" else [name for name in settings.wanted if name in listed]
        plan = make_plan(scenario, load_library(), candidates, rng, listed)
        found += [plan] if plan else []
    return found


def _written(row_id: str, settings: Settings, draft: _Draft, conversation: dict[str, list[Message]]) -> Row:
    last = draft.episodes[-1]
    provenance = {
        "seed": settings.seed,
        "split": settings.split,
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
        "gold": dump(last.gold),
        "provenance": dump(provenance),
    }
