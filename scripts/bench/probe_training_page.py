"""The page of `probe_training.py`, from its figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

ORDER = ("seen", "determined", "weak", "ambiguous", "uncovered", "new-primitive")
CHAIN = ("seen", "determined", "weak", "uncovered")
HEAD = """# Do verdicts on function-calling rows hold for a trained model?

{machine}; {date}; seeds {seeds} of training on one split. Made by

    for seed in {loop}; do python scripts/bench/probe_training.py run --seed $seed; done   # 20 minutes each
    python scripts/bench/probe_training.py report

`quince probe split` parts `{pool}`;
of six seeds of the split the one with most different inputs was taken, before any training. The tiny base of a million
parameters learns to copy strings, then the {train:,} training rows {epochs} times. Its greedy answers to {requests}
held-out requests with {inputs} different inputs are what verdicts are compared with: whole answers, and output by
output (the answer is read as the rows are). Brackets are 95 % intervals over inputs, since requests with equal values
share their verdicts; seeds are pooled as samples of one model, their own means stand beside. Statuses are those of
`quince probe calibrate`.{note}

"""
READING = """- Seen outputs are right clearly more often than determined ones, and new ones least of all. Between
  determined, weak and uncovered no order can be told: within outputs that have both, the gaps are a few points and
  their intervals reach to both sides of 0.
- Much of what pulls determined outputs down are refusals: that no listed tool fits follows from the rows by
  substitution, and this model does not learn it in 4.3 million tokens of training. Coverage is necessary at most.
- t-way coverage of the same slots, which never looks at outputs, does as well as the k-cutoff, and that of pairs better
  among what is not seen. A likely reason: the intent alone names tools and arguments here, so that seeing its value
  counts most.
- Planned rows beat random ones, but no less on requests that the plan does not pin down: likely because they bring the
  values that are missing, whether or not the evidence is then complete. Requests that were seen lose a little.
- One split, one size of model, one task. The plan was judged on the requests that it was made for; {rows} of its rows
  have the input of one of them, and {random} of the random rows.
"""


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    made, parts = found["calibration"], found["calibration"]["parts"]
    head = HEAD.format(
        machine=found["machine"][0].upper() + found["machine"][1:],
        date=found["date"],
        seeds=", ".join(map(str, found["seeds"])),
        loop=" ".join(map(str, found["seeds"])),
        pool=found["pool"],
        train=found["split"]["train"],
        epochs=found["epochs"],
        requests=made["requests"],
        inputs=made["inputs"],
        note=found.get("note", ""),
    )
    return head + "\n".join(
        [
            "## Claims\n\n" + _claims(found),
            "## What to make of it\n\n" + READING.format(**found["with_a_wanted_input"]),
            "## By status, % right\n\n" + _statuses(found),
            "## By output and its own status, % right\n\n" + _outputs(made["outputs"]),
            "## By k-cutoff, % right\n\n" + _cutoffs(made, parts),
            "## What tells right answers from wrong ones\n\n" + _predictors(made, parts),
            "## Planned rows against random ones\n\n" + _repair(found),
        ]
    )


def _claims(found: dict[str, Any]) -> str:
    parts = found["calibration"]["parts"]
    chain = {name: parts["statuses"][name]["estimate"] for name in CHAIN}
    steps = {f"{step['firm']} less {step['less']}": step["gap"] for step in found["steps"]}
    within = {name: steps[name] for name in (f"{a} less {b}" for a, b in pairwise(CHAIN))}
    ordered = all(a > b for a, b in pairwise(chain.values())) and all(low > 0 for _, low, _ in within.values())
    shares = ", ".join(f"{name} {100 * value:.0f} %" for name, value in chain.items())
    gaps = "; ".join(f"{name} {_points(gap)}" for name, gap in within.items())
    behind = {part["name"]: part["behind"] for part in parts["predictors"] if part["behind"]}
    rivals = ("2-way coverage", "3-way coverage", "n-gram overlap")
    better = all(behind[name]["low"] > 0 for name in rivals)
    gain = {kind: found["repair"][0][kind]["gain"] for kind in ("whole", "outputs")}
    lines = [
        f"1. Outputs are right more often the firmer their status (seen > determined > weak > uncovered): "
        f"{_holds(ordered)}. Measured: {shares}; within outputs that have both, in points: {gaps}.",
        f"2. The k-cutoff tells right outputs from wrong ones better than t-way coverage and n-gram overlap: "
        f"{_holds(better)}. Measured, area of the k-cutoff less theirs: "
        f"{'; '.join(f'{name} {_area(behind[name])}' for name in rivals)}.",
        f"3. The {found['planned_rows']} rows of the repair plan help more than as many random rows of the pool: "
        f"{_holds(gain['whole'][1] > 0)}. Measured: whole answers {_points(gain['whole'])} points, outputs "
        f"{_points(gain['outputs'])} points.",
    ]
    return "\n".join(lines) + "\n"


def _statuses(found: dict[str, Any]) -> str:
    made, parts = found["calibration"], found["calibration"]["parts"]
    rows = []
    for name in [name for name in ORDER if name in made["statuses"]]:
        calls = found["where_a_call_is_right"].get(name)
        rows.append(
            [
                name,
                str(made["counts"][name]),
                _share(made["statuses"][name]),
                ", ".join(f"{100 * seed['whole'][name]:.0f}" for seed in found["by_seed"]),
                f"{_share(calls)} of {found['call_is_right'][name]}" if calls else "–",
                str(parts["counts"].get(name, 0)),
                _share(parts["statuses"].get(name)),
                ", ".join(f"{100 * seed['parts'][name]:.0f}" for seed in found["by_seed"]),
            ]
        )
    head = ["status", "requests", "whole", "by seed", "whole, where a call is right", "outputs", "right", "by seed"]
    note = (
        "\nSituations are spread unevenly over the statuses. Of the requests that are seen, {asked} ask for words"
        " instead of a call, mostly for a question about what is missing, which this model rarely gets right; of the"
        " weak ones none does. Whole answers are also wrong for values, which no output is about.\n"
    )
    asked = found["requests"]["seen"] - found["call_is_right"]["seen"]
    return _table(head, rows) + note.format(asked=asked)


def _outputs(outputs: dict[str, Any]) -> str:
    rows = [[name, *(_share(own.get(status)) for status in ORDER)] for name, own in outputs.items()]
    return _table(["output", *ORDER], rows)


def _cutoffs(made: dict[str, Any], parts: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{_share(made['cutoffs'].get(name))} of {made['counts'].get(name, 0)}" if name in made["cutoffs"] else "–",
            f"{_share(share)} of {parts['counts'][name]}" if name != "seen" else _share(share),
        ]
        for name, share in parts["cutoffs"].items()
    ]
    return _table(["k-cutoff", "whole answers", "outputs"], rows)


def _predictors(made: dict[str, Any], parts: dict[str, Any]) -> str:
    text = (
        "Area under the curve: the chance that a right answer has the larger figure than a wrong one (of the same"
        " output); 0.5 says nothing. Behind: area of the k-cutoff less this one, paired; below 0 the figure is better"
        " than the k-cutoff. For outputs, t-way coverage is that of the slots that count for the output.\n\n"
    )
    head = ["figure", "all", "behind", "not seen", "behind"]
    keys = ("auc", "behind", "auc_unseen", "behind_unseen")
    blocks = []
    for title, scale in (("outputs", parts), ("whole answers", made)):
        rows = [[part["name"], *(_area(part[key]) for key in keys)] for part in scale["predictors"]]
        blocks.append(_table([f"{head[0]}, {title}", *head[1:]], rows))
    return text + "\n".join(blocks)


def _repair(found: dict[str, Any]) -> str:
    text = (
        "Rows are planned for the weak, uncovered and new requests and taken from the rest of the pool; training goes"
        f" on for an epoch of one training row in four, and of {found['planned_rows']} planned or as many random rows,"
        f" {found['repeats']} times each. Gain: planned less random, paired, in points. Outputs: the mean over a"
        " request's outputs.\n\n"
    )
    blocks = []
    for kind, title in (("whole", "whole answers"), ("outputs", "outputs")):
        rows = [
            [line["group"], str(line["requests"]), *(_percent(line[kind][arm]) for arm in ("calls", "rows", "random"))]
            + [_points(line[kind][name]) for name in ("gain", "planned")]
            for line in found["repair"]
        ]
        head = [f"{title}, %", "requests", "before", "planned", "random", "gain", "planned less before"]
        blocks.append(_table(head, rows))
    return text + "\n".join(blocks)


def _holds(held: bool) -> str:
    return "**holds**" if held else "**does not hold**"


def _share(value: dict[str, float] | None) -> str:
    return "–" if value is None else _percent([value["estimate"], value["low"], value["high"]])


def _percent(value: Sequence[float]) -> str:
    return "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * part for part in value))


def _points(value: Sequence[float]) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * part for part in value))


def _area(value: dict[str, float] | None) -> str:
    return "–" if value is None else f"{value['estimate']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
