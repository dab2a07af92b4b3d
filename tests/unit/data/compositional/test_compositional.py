"""Compositional data sets: tables, types, what is held out, and limits."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from quince.data.compositional.families import FAMILIES, Family
from quince.data.compositional.generate import CompositionError, Task, generate, types_of
from quince.data.compositional.lookup_tables import KINDS, make_tables
from quince.data.compositional.properties import follows, known_entries
from quince.data.compositional.sequences import IGNORED, to_sequences, vocabulary, written_tokens
from quince.data.sources import load_rows

SMALL = {
    "one_hop": Task("one_hop", values=12, rows=60, seen=1.0),
    "two_hop": Task("two_hop", values=8, rows=120),
    "parallel": Task("parallel", values=6, rows=200),
    "three_hop": Task("three_hop", values=6, rows=200),
    "five_hop": Task("five_hop", values=20, rows=300),
    "non_tree": Task("non_tree", values=8, rows=120),
}


def by_hand(family, tables, values, given):
    """Results of one input by walking through the tables one by one."""
    known = list(given)
    for arguments, table in zip(FAMILIES[family].hops, tables, strict=True):
        cube = table.reshape((values,) * len(arguments))
        known.append(int(cube[tuple(known[argument] for argument in arguments)]))
    return known[len(given) :]


@pytest.mark.parametrize("name", SMALL)
def test_results_are_the_tables_applied(name):
    data = generate(SMALL[name])
    for rows in (data.train, *data.test.values()):
        for given, results in zip(rows.inputs[:50].tolist(), rows.results[:50].tolist(), strict=True):
            assert by_hand(name, data.tables, data.task.values, given) == results


@pytest.mark.parametrize("name", SMALL)
def test_no_row_is_in_two_places(name):
    data = generate(SMALL[name])
    groups = [data.train, data.validation, *data.test.values()]
    rows = [tuple(given) for group in groups for given in group.inputs.tolist()]
    assert len(set(rows)) == len(rows)
    assert len(data.train) == SMALL[name].rows
    assert len(data.validation) > 0


@pytest.mark.parametrize("name", SMALL)
def test_a_type_says_which_primitives_training_used(name):
    data = generate(SMALL[name])
    family, values = FAMILIES[name], data.task.values
    entries, _ = family.keys(data.train.inputs, data.tables, values)
    known = [set(column.tolist()) for column in entries.T]
    for kind, rows in data.test.items():
        entries, _ = family.keys(rows.inputs, data.tables, values)
        for row in entries.tolist():
            bits = "".join(str(int(entry in seen)) for entry, seen in zip(row, known, strict=True))
            assert kind == (0 if "0" not in bits else 1 + int(bits, 2))


def test_types_are_numbered_as_in_the_paper():
    used = (np.array([False, True]),) * 3
    types = {bits: int(types_of(np.array([bits]), used)[0]) for bits in itertools.product((0, 1), repeat=3)}
    named = {
        (1, 1, 1): 0,
        (0, 0, 0): 1,
        (0, 0, 1): 2,
        (0, 1, 0): 3,
        (0, 1, 1): 4,
        (1, 0, 0): 5,
        (1, 0, 1): 6,
        (1, 1, 0): 7,
    }
    assert types == named


def test_held_out_rows_are_all_there_are_where_few():
    """Brute force over all inputs: whatever is neither trained nor validated on is tested on."""
    data = generate(SMALL["two_hop"])
    found = {
        tuple(given) for rows in (data.train, data.validation, *data.test.values()) for given in rows.inputs.tolist()
    }
    assert found == set(itertools.product(range(8), repeat=3))


def test_the_same_task_gives_the_same_data_and_another_seed_another():
    first, again, other = (generate(Task(values=8, rows=100, seed=seed)) for seed in (3, 3, 4))
    assert first.metadata() == again.metadata()
    assert first.metadata()["table_sha256"] != other.metadata()["table_sha256"]
    assert first.metadata()["train_sha256"] != other.metadata()["train_sha256"]


def test_rows_can_be_drawn_where_inputs_cannot_be_listed():
    task = Task("five_hop", values=50, rows=2000, test_size=200)
    data = generate(task)
    assert len(data.train) == 2000
    assert len(data.test[0]) == 200
    allowed = [mask.mean() for mask in data.used]
    assert max(allowed) <= task.seen


def test_training_rows_are_a_uniform_draw():
    """Every composition of seen entries is as likely: first slots of many small data sets, by a chi-square bound."""
    counts = np.zeros(6)
    for seed in range(300):
        data = generate(Task("two_hop", values=6, rows=20, seen=1.0, seed=seed))
        counts += np.bincount(data.train.inputs[:, 0], minlength=6)
    expected = counts.sum() / 6
    assert ((counts - expected) ** 2 / expected).sum() < 20.5  # 0.1 % point of chi-square with 5 degrees


@pytest.mark.parametrize("kind", KINDS)
def test_tables_have_their_property(kind):
    n = 7
    first, second = (
        table.reshape(n, n) for table in make_tables(FAMILIES["two_hop"], n, kind, np.random.default_rng(0))
    )
    x, y = np.indices((n, n))
    checks = {
        "random": not np.array_equal(first, second),
        "same_f12": np.array_equal(first, second),
        "modular_addition": np.array_equal(first, (x + y) % n),
        "symmetric": np.array_equal(first, first.T) and np.array_equal(second, second.T),
        "ignored_argument": (first == first[:, :1]).all() and not (second == second[:, :1]).all(),
    }
    assert checks[kind]
    assert first.min() >= 0 and first.max() < n


def test_symmetry_holds_for_any_number_of_arguments():
    table = make_tables(FAMILIES["non_tree"], 5, "symmetric", np.random.default_rng(0))[1].reshape(5, 5, 5)
    for order in itertools.permutations(range(3)):
        assert np.array_equal(table, table.transpose(order))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"family": "two-hop"}, ["family", "two-hop", "two_hop"]),
        ({"tables": "rnd"}, ["tables", "rnd", "symmetric"]),
        ({"family": "non_tree", "tables": "same_f12"}, ["same_f12", "[2, 3]"]),
        ({"rows": 5000}, ["5000", "compositions of seen entries", "fewer rows"]),
    ],
)
def test_what_cannot_be_made_is_said(options, words):
    with pytest.raises(CompositionError) as failure:
        generate(Task(**{"values": 20, **options}))
    assert [word for word in words if word not in str(failure.value)] == []


def test_targets():
    data = generate(SMALL["three_hop"])
    n, rows = data.task.values, data.train
    assert vocabulary(n, "direct")[-1] == vocabulary(n, "filler")[-1] == "</a>"
    direct, cot, filler = (to_sequences(rows, n, target) for target in ("direct", "cot", "filler"))
    assert direct.tokens.shape == (200, 4) and cot.tokens.shape == filler.tokens.shape == (200, 6)
    for made, learned in ((direct, 1), (cot, 3), (filler, 1)):
        assert (made.labels != IGNORED).sum() == learned * len(rows)
        assert np.array_equal(made.labels[:, -1], rows.answers)
    assert np.array_equal(cot.labels[:, 3:5], rows.results[:, :-1])
    assert (filler.tokens[:, 4:] == n).all() and vocabulary(n, "filler")[n] == "</b>"
    assert np.array_equal(written_tokens(rows, n, "cot"), rows.results)


def test_a_family_of_ones_own():
    """Any number of slots: f3(f1(x1, x2, x3), f2(x4), x5)."""
    family = Family("own", 5, ((0, 1, 2), (3,), (5, 6, 4)))
    tables = make_tables(family, 4, "random", np.random.default_rng(0))
    inputs = np.random.default_rng(1).integers(4, size=(10, 5))
    _, results = family.keys(inputs, tables, 4)
    f1, f2, f3 = tables[0].reshape(4, 4, 4), tables[1], tables[2].reshape(4, 4, 4)
    for (a, b, c, d, e), found in zip(inputs.tolist(), results.tolist(), strict=True):
        assert found == [f1[a, b, c], f2[d], f3[f1[a, b, c], f2[d], e]]


def test_large_sets_are_made_in_seconds():
    start = time.process_time()
    data = generate(Task("two_hop", values=200, rows=160_000))
    assert time.process_time() - start < 20
    assert len(data.train) == 160_000


def test_rows_of_the_source():
    rows = load_rows("compositional", split="test", size=5, values=10, compositions=200)
    assert len(rows) == 5
    assert rows[0]["prompt"][0]["content"].count("<t_") == 3
    assert {row["type"] for row in rows} == {0}
    assert len(load_rows("compositional", split="train", values=10, compositions=200)) == 200


def by_search(kind, used, hop, entry, n):
    """Whether an entry is in use or follows from one that is, asked one by one."""
    x, y = divmod(entry, n)
    return {
        "random": used[hop][entry],
        "symmetric": used[hop][entry] or used[hop][y * n + x],
        "ignored_argument": any(used[0][x * n + z] for z in range(n)) if hop == 0 else used[hop][entry],
        "same_f12": used[0][entry] or used[1][entry],
        "modular_addition": True,
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_by_a_property(kind):
    n = 6
    data = generate(Task("two_hop", n, 40, tables=kind, seen=0.5))
    masks = known_entries(data)
    for hop in (0, 1):
        assert masks[hop].tolist() == [by_search(kind, data.used, hop, entry, n) for entry in range(n * n)]
    assert follows(data, data.train).all() and follows(data, data.test[0]).all()
    others = data.test[2] if kind != "ignored_argument" else data.test[3]
    assert follows(data, others).all() == (kind == "modular_addition")
    assert follows(data, others).any() == (kind not in ("random", "ignored_argument"))
