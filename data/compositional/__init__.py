from __future__ import annotations

from typing import Literal

FamilyName = Literal["one_hop", "two_hop", "parallel", "three_hop", "five_hop", "non_tree"]
"""Names of `families.FAMILIES`; here, so that recipes are checked without NumPy."""
TablesName = Literal["random", "same_f12", "modular_addition", "symmetric", "ignored_argument"]
"""Names of `lookup_tables.KINDS`."""
