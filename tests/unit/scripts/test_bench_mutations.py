"""The seeded bugs of `scripts/bench/mutations.py` fit the code as it is."""

from __future__ import annotations

import pytest
from quince.scripts.bench import mutations
from quince.scripts.bench.pages import ROOT


def test_every_bug_can_be_planted_and_names_its_tests():
    found = mutations.read_table(mutations.TABLE)
    assert len({mutation.bug for mutation in found}) == len(found) >= 20
    for mutation in found:
        assert all((ROOT / test.split("::")[0]).is_file() for test in mutation.tests)


def test_a_text_that_is_not_there_is_refused(tmp_path):
    table = tmp_path / "table.yaml"
    table.write_text("- {bug: b, file: eval/measure/statistics.py, old: no such text, new: '', tests: []}")
    with pytest.raises(ValueError, match=r"found 0 times in eval/measure/statistics\.py"):
        mutations.read_table(table)
