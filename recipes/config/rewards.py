"""The `rewards:` section: a reward of `quince.rewards.base`, or your own, and whether it can judge its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from ...rewards import base
from ...rewards.adapt import adapted
from ...rewards.base import REWARDS, make_reward
from .data import Source
from .language.errors import Conflict
from .language.kinds import Kinds, derived, fields_of, summary
from .language.plugins import load_plugin, plugin_problem
from .language.section import Options, Section


class RewardSpec(Section):
    """What every reward has.

    `columns` are the row columns it reads.
    """

    columns: ClassVar[tuple[str, ...]] = ()

    kind: str
    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Factor of this reward in the sum of rewards."""

    def arguments(self) -> dict[str, Any]:
        """The options of the reward's class."""
        return self.model_dump(exclude={"kind", "weight"})

    def build(self) -> base.Reward:
        """The reward itself."""
        return make_reward(self.kind, **self.arguments())

    def reads(self) -> tuple[str, ...] | None:
        """The row columns it needs; None where they are not known."""
        return self.columns

    def conflicts(self, field: str) -> Iterator[Conflict]:
        """What is wrong with it although each value is right; `field` is where it stands."""
        return iter(())


class CustomReward(RewardSpec):
    """A reward from your own installed code: a TRL reward function, a judge of one completion, or a `Reward`."""

    kind: Literal["custom"]
    path: str
    """`package.module:name`; see `quince.rewards.adapt.adapted` for what it may be."""
    options: Options = Field(default_factory=dict)
    """Keyword arguments: of a class when it is made, of a function at each call."""

    def build(self) -> base.Reward:
        """Your reward, adapted."""
        return adapted(load_plugin(self.path), self.options, self.path)

    def reads(self) -> tuple[str, ...] | None:
        """The row columns it needs; None where it cannot be made."""
        try:
            return tuple(self.build().columns)
        except Exception:  # reported by `conflicts`
            return None

    def conflicts(self, field: str) -> Iterator[Conflict]:
        """Code that is not there, or that cannot be used as a reward."""
        if problem := plugin_problem(self.path):
            yield Conflict((f"{field}.path",), problem, "`package.module:name` from installed code")
            return
        try:
            self.build()
        except Exception as error:  # user code may raise anything
            allowed = "a TRL function `f(completions, **columns)`, a judge `f(completion, row)`, or a class of either"
            yield Conflict((f"{field}.path", f"{field}.options"), str(error), allowed)


def reward_schema(kind: str, cls: type[base.Reward]) -> type[RewardSpec]:
    """The schema of a reward: the fields of its dataclass, whose own checks are made too."""

    def made(spec: RewardSpec) -> RewardSpec:
        options = spec.arguments()
        try:
            cls(**options)
        except ValueError as error:
            words = re.split(r"\W+", str(error))
            field = next((word for word in words if word in options), None)
            problem = PydanticCustomError("value_error", "{error}", {"error": str(error)})
            detail = InitErrorDetails(type=problem, loc=() if field is None else (field,), input=options)
            raise ValidationError.from_exception_data(kind, [detail]) from error
        return spec

    checked = {"made": model_validator(mode="after")(made)}
    schema: type[RewardSpec] = derived(RewardSpec, kind, summary(cls.__doc__), fields_of(cls), cls.__doc__, checked)
    schema.columns = cls.columns
    return schema


Reward = Annotated[RewardSpec, Kinds(reward_schema, REWARDS, {"custom": CustomReward})]


def judging_conflicts(
    sources: Mapping[str, Source], reward_field: str, rewards: Sequence[RewardSpec]
) -> Iterator[Conflict]:
    """Rewards and sources that are wrong by themselves, or that do not fit each other.

    Args:
        sources: By the field that each stands in.
        reward_field: The field of the rewards.
        rewards: In their order.
    """
    judges: list[RewardSpec] = []
    first = next(iter(sources)).rpartition(".")[0]
    for index, reward in enumerate(rewards):
        field = f"{reward_field}.{index}" if reward_field == "rewards" else reward_field
        yield from reward.conflicts(field)
        if any(can_judge(reward, source) for source in sources.values()):
            judges += [reward] if reward.reads() != () else []
        else:
            have = "; ".join(f"{source.kind} has {', '.join(source.columns or ())}" for source in sources.values())
            needs = ", ".join(reward.reads() or ())
            yield Conflict((field, first), f"`{reward.kind}` needs the columns {needs}", have)
    for field, source in sources.items():
        yield from source.conflicts(field)
        if judges and not any(can_judge(reward, source) for reward in judges):
            kinds = ", ".join(reward.kind for reward in judges)
            found = f"no reward can judge rows of `{source.kind}` (there is {kinds})"
            yield Conflict((field, reward_field), found, "a reward that reads its columns")


def can_judge(reward: RewardSpec, source: Source) -> bool:
    """Whether the rows of a source have what a reward reads, as far as that is known."""
    needed = reward.reads()
    return needed is None or source.columns is None or set(needed) <= set(source.columns)
