"""A repair plan in words, for the people who write the rows."""

from __future__ import annotations

from .candidates import Addition
from .read.slot_rows import Codes
from .repair import Plan


def prompts(made: Plan, codes: Codes) -> list[dict[str, object]]:
    """The rows to add as instructions for the people who write them, one plain mapping each."""
    return [_prompt(made, addition, codes) for addition in made.additions]


def _prompt(made: Plan, addition: Addition, codes: Codes) -> dict[str, object]:
    found = made.before
    component = found.components[addition.component]
    slots = [found.train.schema.slots[component.slots[i]].name for i in addition.subset]
    known = [codes.slots[component.slots[i]] for i in addition.subset]
    change = {
        name: {"from": values[old], "to": values[new]}
        for name, values, old, new in zip(slots, known, addition.target, addition.source, strict=True)
    }
    named = found.train.named(addition.values)
    counting = {found.train.schema.slots[slot].name for slot in component.slots}
    keep = {name: value for name, value in named.items() if name in counting and name not in change}
    output = codes.outputs[component.output][addition.label]
    wanted = " and ".join(f"{name} = {value['to']} (there: {value['from']})" for name, value in change.items())
    kept = ", ".join(f"{name} = {value}" for name, value in keep.items()) or "the rest"
    text = f"Write a row like the one shown, but with {wanted}. Keep {kept}. Its {component.name} should be {output}."
    return {
        "prompt": text,
        "like": {"id": found.train.ids[addition.template], "text": found.train.texts[addition.template]},
        "output": component.name,
        "expected": output,
        "change": change,
        "keep": keep,
        "slots": named,
    }
