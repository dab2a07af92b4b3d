"""What every trainer of this package has beside what its library gives it."""

from __future__ import annotations

from .checkpoints import AtomicCheckpoints
from .clock import TakesTime
from .finite import StaysFinite


class Survives(StaysFinite, TakesTime, AtomicCheckpoints):
    """Mixin for a `Trainer`: whole checkpoints, finite numbers, and the seconds of a step in the log."""
