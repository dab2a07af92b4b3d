"""Verdicts on small worlds whose answers are known."""

import itertools

import numpy as np
import pytest
from quince.eval.probe.ambiguity import flags
from quince.eval.probe.components import components
from quince.eval.probe.explaining import Reasons
from quince.eval.probe.noise import equivalent, settle, wilson_bound
from quince.eval.probe.read.slot_rows import Placed, read_tables
from quince.eval.probe.read.slot_schema import Output, Schema
from quince.eval.probe.relevance import left_out_entropy, select
from quince.eval.probe.repair import plan
from quince.eval.probe.slot_analysis import analyse
from quince.eval.probe.splits import build_split, test_row
from quince.eval.probe.statuses import STATUSES

SLOTS = ("lang", "verb", "noun")


def schema(**more):
    slots = [{"name": name, "path": name} for name in SLOTS]
    return Schema(name="toy", slots=slots, outputs=[{"name": "call", "path": "call", "relevant": list(SLOTS)}], **more)


def rows(*cells, call=None):
    """Rows of a world where the call is verb and noun, in any language, unless `call` says otherwise."""
    call = call or (lambda lang, verb, noun: f"{verb}({noun})")
    return [
        Placed(f"t:{i}", {"id": "/".join(cell), **dict(zip(SLOTS, cell, strict=True)), "call": call(*cell)})
        for i, cell in enumerate(cells)
    ]


def judged(train, test, k=3, agreement=None, **more):
    first, second = read_tables(schema(**more), train, test, requests=1)
    return analyse(first, second, k, agreement)


VERBS, NOUNS = "abcde", "uvwxy"
ENGLISH = [("en", verb, noun) for verb, noun in itertools.product(VERBS, NOUNS)]
BULGARIAN = [("bg", verb, noun) for verb, noun in itertools.product("abc", "uv")]
GERMAN = [("de", "a", "u"), ("de", "b", "v")]


def status(found, place=0):
    return STATUSES[found.worst[place]]


@pytest.mark.parametrize("agreement", [None, 0.9])
@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        (("en", "a", "u"), "seen"),
        (("bg", "d", "w"), "determined"),  # six contexts where both languages give one call
        (("de", "d", "w"), "weak"),  # two of them
        (("en", "z", "u"), "new-primitive"),
        (("fr", "a", "u"), "new-primitive"),
    ],
)
def test_statuses_of_a_world_where_languages_do_not_matter(cell, wanted, agreement):
    found = judged(rows(*ENGLISH, *BULGARIAN, *GERMAN), rows(cell), agreement=agreement)
    assert status(found) == wanted


def test_what_follows_is_the_right_call_with_its_evidence_and_witnesses():
    found = judged(rows(*ENGLISH, *BULGARIAN), rows(("bg", "d", "w")))
    reason = Reasons(found, 0)(0)
    assert (reason.follows, reason.own, reason.evidence) == ("d(w)", "d(w)", 6)
    assert reason.rows == ("en/d/w",)
    assert reason.steps[0].change == {"lang": ("bg", "en")}
    left, right = reason.steps[0].witnesses[0]
    assert left.split("/")[0] == "bg" and right.split("/")[0] == "en" and left.split("/")[1:] == right.split("/")[1:]


def test_values_that_share_no_context_leave_a_request_uncovered():
    train = rows(*ENGLISH, ("bg", "f", "z"), ("bg", "g", "z"))
    found = judged(train, rows(("bg", "a", "u")))
    assert status(found) == "uncovered"
    assert Reasons(found, 0)(0).missing


def test_conflicting_ways_are_ambiguous():
    # "m" behaves like "n" in three languages, and like "o" in three others; they part for the query.
    cells, calls = [], {}
    for lang, verb, call in [
        *((f"l{i}", verb, f"c{i}") for i in range(3) for verb in "mn"),
        *((f"r{i}", verb, f"d{i}") for i in range(3) for verb in "mo"),
        ("q", "n", "left"),
        ("q", "o", "right"),
    ]:
        cell = (lang, verb, "x")
        cells.append(cell)
        calls[cell] = call
    train = rows(*cells, call=lambda *cell: calls[cell])
    found = judged(train, rows(("q", "m", "x"), call=lambda *cell: "left"))
    assert status(found) == "ambiguous"


def test_rows_that_contradict_each_other_make_their_own_input_ambiguous():
    train = rows(*ENGLISH) + rows(("en", "a", "u"), call=lambda *cell: "other")
    found = judged(train, rows(("en", "a", "u")))
    assert status(found) == "ambiguous"
    assert "different outputs" in Reasons(found, 0)(0).missing[0]


def test_noise_is_fatal_when_strict_and_tolerated_when_allowed():
    wrong = rows(("bg", "a", "u"), call=lambda *cell: "slip")
    verbs = [f"v{i}" for i in range(8)]
    english = [("en", verb, noun) for verb in verbs for noun in NOUNS]
    bulgarian = [("bg", verb, noun) for verb in verbs[:7] for noun in NOUNS]
    train = rows(*english, *bulgarian, ("en", "a", "u")) + wrong
    query = rows(("bg", "v7", "u"))
    assert status(judged(train, query)) != "determined"
    found = judged(train, query, agreement=0.8)
    assert status(found) == "determined"
    assert Reasons(found, 0)(0).steps[0].against == 1


def test_declared_fragments_are_primitives():
    train, query = rows(*ENGLISH, *BULGARIAN, ("en", "a", "z")), rows(("bg", "b", "z"))
    assert status(judged(train, query)) != "new-primitive"
    assert status(judged(train, query, fragments=[["verb", "noun"]])) == "new-primitive"


def test_a_component_without_two_slots_knows_only_what_it_saw():
    slots = [{"name": name, "path": name} for name in SLOTS]
    made = Schema(name="t", slots=slots, outputs=[{"name": "c", "path": "call", "relevant": ["verb"]}])
    train, test = read_tables(
        made, rows(*ENGLISH, call=lambda lang, verb, noun: verb), rows(("bg", "a", "z")), requests=1
    )
    assert status(analyse(train, test)) == "seen"


def test_relevance_takes_what_predicts_and_leaves_identifiers():
    rng = np.random.default_rng(0)
    a, b, noise = rng.integers(0, 5, 800), rng.integers(0, 4, 800), rng.integers(0, 3, 800)
    inputs = np.stack([noise, a, np.arange(800), b], axis=1)
    found = select(inputs, a * 4 + b)
    assert found.slots == (1, 3) and found.method == "forward" and found.explained > 0.9


def test_relevance_finds_slots_that_only_matter_together():
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, 20, size=(900, 3))
    table = rng.integers(0, 20, size=(20, 20, 20))
    found = select(inputs, table[tuple(inputs.T)])
    assert found.slots == (0, 1, 2) and found.method == "backward"


def test_left_out_entropy_by_hand():
    # Two groups of two rows: in one the other row agrees, in the other it does not; three kinds of output.
    groups, outputs = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    wide = (np.array([1, 1, 0, 0]) + 1 / 3) / 4
    expected = -np.log((np.array([1, 1, 0, 0]) + wide) / 2).mean()
    assert left_out_entropy(groups, outputs) == pytest.approx(expected)
    assert left_out_entropy(groups, 3 * outputs + 1) == pytest.approx(expected)  # outputs of other rows in between


def test_settling_inputs():
    inputs, outputs = np.array([[0], [0], [0], [1], [1], [2]]), np.array([4, 4, 5, 4, 5, 5])
    strict = settle(inputs, outputs, (3,), None)
    assert strict.unclear.tolist() == [True, True, False]
    noisy = settle(inputs, outputs, (3,), 0.8)
    assert noisy.unclear.tolist() == [False, True, False]
    assert noisy.rows == ((0, 1), (3, 4), (5,)) and noisy.contradicting == 2


def test_agreement_by_its_lower_bound():
    agree, disagree = np.array([40, 40, 3, 2]), np.array([0, 2, 1, 0])
    assert equivalent(agree, disagree, 3, None).tolist() == [True, False, False, False]
    assert equivalent(agree, disagree, 3, 0.8).tolist() == [True, True, False, False]
    assert wilson_bound(np.array([40]), np.array([42]))[0] == pytest.approx(0.862, abs=0.01)


def random_table(rng, *sizes):
    return rng.integers(0, sizes[0], size=sizes)


def test_a_slot_on_two_paths_is_flagged_and_a_tree_is_not():
    rng, n = np.random.default_rng(2), 8
    first, second, third = random_table(rng, n, n), random_table(rng, n, n), random_table(rng, n, n, n)
    for name, call in {
        "tree": lambda x, y, z: second[first[x, y], z],
        "non-tree": lambda x, y, z: third[first[x, y], y, z],
    }.items():
        cells = [tuple(map(str, cell)) for cell in itertools.product(range(n), repeat=3)]
        made = rows(*cells, call=lambda *cell, call=call: str(call(*map(int, cell))))
        (table,) = read_tables(schema(), made)
        (part,) = components(table, k=3)
        found = {(flag.slot, flag.other) for flag in flags(part, list(SLOTS))}
        assert found == (set() if name == "tree" else {("verb", "lang")})


def test_the_plan_settles_weak_requests_and_never_proposes_them():
    train, queries = rows(*ENGLISH, *GERMAN), rows(("de", "d", "w"), ("de", "e", "x"), ("de", "c", "y"))
    found = judged(train, queries)
    assert [STATUSES[s] for s in found.worst] == ["weak"] * 3
    made = plan(found, rows=5)
    assert len(made.additions) == 1  # one more shared context serves all three
    assert made.after.counts()["determined"] == 3
    cells = {tuple(found.test.inputs[i].tolist()) for i in range(3)}
    assert all(addition.values not in cells for addition in made.additions)


def test_the_plan_takes_rows_of_a_pool():
    train, queries = rows(*ENGLISH, *GERMAN), rows(("de", "d", "w"))
    pool = [("de", "c", "u"), ("en", "a", "u"), ("de", "d", "w"), ("de", "e", "y")]
    placed = [Placed(f"p:{i}", {**item.row, "id": f"pool {i}"}) for i, item in enumerate(rows(*pool))]
    first, second, third = read_tables(schema(), train, queries, placed, requests=1)
    made = plan(analyse(first, second, 3), rows=4, pool=third)
    assert {addition.pool for addition in made.additions} <= {0, 3}
    assert made.after.counts()["determined"] == 1
    assert len(made.control(third)) == len({addition.pool for addition in made.additions})


def test_a_single_missing_row_is_proposed_where_the_substitution_is_known():
    world = [cell for cell in ENGLISH if cell != ("en", "d", "w")] + [("en", "d", "u"), ("en", "a", "w")]
    train = rows(*dict.fromkeys([*world, *BULGARIAN]))
    found = judged(train, rows(("bg", "d", "w")))
    assert status(found) != "determined"
    made = plan(found, rows=3)
    proposed = [found.train.named(addition.values) for addition in made.additions]
    assert proposed == [{"lang": "en", "verb": "d", "noun": "w"}]
    assert made.after.counts()["determined"] == 1


def test_a_split_has_what_its_files_say():
    rng = np.random.default_rng(3)
    langs, verbs, nouns = ("en", "bg", "de", "fr"), [f"v{i}" for i in range(8)], [f"n{i}" for i in range(6)]
    cells = [(rng.choice(langs), rng.choice(verbs), rng.choice(nouns)) for _ in range(900)]
    placed = [Placed(f"t:{i}", {**item.row, "id": f"r{i}", "prompt": [{"role": "user", "content": f"text {i}"}]})
              for i, item in enumerate(rows(*cells))]  # fmt: skip
    (pool,) = read_tables(schema(), placed)
    made = build_split(pool, test_size=20, seed=1, tries=3)
    used = [*made.train, *(row for tests in made.tests.values() for row in tests), *made.rest]
    assert sorted(used) == list(range(900))
    again = analyse(pool.take(made.train), pool.take(np.concatenate(list(made.tests.values()))))
    names = [name for name, tests in made.tests.items() for _ in tests]
    assert [STATUSES[s] for s in again.worst] == names
    assert len(made.tests["seen"]) == len(made.tests["determined"]) == len(made.tests["new-primitive"]) == 20
    same = build_split(pool, test_size=20, seed=1, tries=3)
    assert same.train.tolist() == made.train.tolist()


@pytest.mark.parametrize("relevant", [list(SLOTS), None])
@pytest.mark.parametrize("seed", range(6))
def test_a_verdict_depends_on_the_training_rows_and_the_request_alone(seed, relevant):
    """Worlds full of ties: few outputs, so that many joins of equal evidence exclude each other."""
    rng = np.random.default_rng(seed)
    table = {cell: f"c{rng.integers(4)}" for cell in itertools.product("pqrs", "abcde", "uvwxyz")}
    cells = [cell for cell in table if rng.random() < 0.55]
    asked = [*(cell for cell in table if cell not in cells), ("new", "a", "u"), ("p", "a", "new")]
    call = lambda *cell: table.get(cell, "unheard")  # noqa: E731
    train, test = rows(*cells, call=call), rows(*asked, call=call)
    plan_ = schema().model_copy(update={"outputs": (Output(name="call", path="call", relevant=relevant),)})

    def verdicts(train, test):
        first, second = read_tables(plan_, train, test, requests=1)
        found = analyse(first, second)
        figures = zip(found.worst.tolist(), found.evidence.tolist(), found.cutoffs.tolist(), strict=True)
        follows = [found.train.codes.outputs[0][label] if label >= 0 else None for label in found.verdicts[0].labels]
        return dict(zip(found.test.ids, zip(figures, follows, strict=True), strict=True))

    together = verdicts(train, test)
    assert len({figures for figures, _ in together.values()}) > 3
    assert {name: found for item in test for name, found in verdicts(train, [item]).items()} == together
    assert verdicts(train, test[::-1]) == together
    assert verdicts(train[::-1], test) == together
    # As `split` judges: out of one table, in which requests come before training rows.
    (pool,) = read_tables(plan_, [*test, *train])
    found = analyse(pool.take(range(len(test), len(pool))), pool.take(range(len(test))))
    assert found.worst.tolist() == [together[name][0][0] for name in found.test.ids]


def test_a_conversation_becomes_a_request():
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert test_row({"id": "x", "task": "t", "messages": messages}, "weak") == {
        "id": "x",
        "task": "t",
        "prompt": messages[:1],
        "probe_status": "weak",
    }


test_row.__test__ = False
