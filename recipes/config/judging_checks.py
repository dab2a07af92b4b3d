"""Whether rewards can judge the rows they will be given, and whether your own code is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...data.files import ROOT_VARIABLE, source_file
from ...data.rows import RowError
from .data import CustomSource, Jsonl, Source
from .language.finding import Finding
from .language.plugins import plugin_problem
from .language.validation import STAND_IN
from .rewards import CustomReward, RewardSpec


def judging_checks(
    sources: Mapping[str, Source], reward_field: str, rewards: Sequence[RewardSpec]
) -> Iterator[Finding]:
    """Rewards that can read no source, and sources that no reward with columns can read.

    Args:
        sources: By the field that each stands in.
        reward_field: The field of the rewards.
        rewards: In their order.
    """
    judges: list[RewardSpec] = []
    first = next(iter(sources)).rpartition(".")[0]
    for index, reward in enumerate(rewards):
        field = f"{reward_field}.{index}" if len(rewards) > 1 or reward_field == "rewards" else reward_field
        if any(_readable(reward, source) for source in sources.values()):
            judges += [reward] if reward.columns != () else []
        else:
            have = "; ".join(f"{source.kind} has {', '.join(source.columns or ())}" for source in sources.values())
            needs = ", ".join(reward.columns or ())
            yield Finding((field, first), f"`{reward.kind}` needs the columns {needs}", have)
    for field, source in sources.items():
        if judges and not any(_readable(reward, source) for reward in judges):
            kinds = ", ".join(reward.kind for reward in judges)
            found = f"no reward can judge rows of `{source.kind}` (there is {kinds})"
            yield Finding((field, reward_field), found, "a reward that reads its columns")


def _readable(reward: RewardSpec, source: Source) -> bool:
    return reward.columns is None or source.columns is None or set(reward.columns) <= set(source.columns)


def _file_problem(source: Jsonl) -> str:
    try:
        file = source_file(source.path, source.split, source.root)
    except RowError as error:
        return str(error)
    return "" if file.is_file() or source.path == STAND_IN else f"no file at {file}"


def plugin_checks(items: Sequence[tuple[str, Source | RewardSpec]]) -> Iterator[Finding]:
    """Paths of `kind: custom` that name nothing that can be called, and files of rows that are not there."""
    for field, item in items:
        if isinstance(item, Jsonl) and (problem := _file_problem(item)):
            yield Finding(
                (f"{field}.path",), problem, f"a file; a relative path starts at `root`, ${ROOT_VARIABLE} or here"
            )
        if isinstance(item, CustomSource | CustomReward) and (problem := plugin_problem(item.path)):
            yield Finding((f"{field}.path",), problem, "`package.module:name` from installed code")
