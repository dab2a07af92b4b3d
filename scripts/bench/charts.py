"""The look of the pictures on the pages, with Okabe and Ito's colours, which the colour-blind can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE = "#222222", "#6f6f6f", "#e4e4e4"


@contextmanager
def canvas(file: Path, rows: int, columns: int, **options: Any) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with its panels in reading order; the PNG is written at the end of the block."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"text.color": INK, "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY}
    look = {"font.size": 11, "axes.edgecolor": "#b0b0b0", "xtick.labelsize": 10, "ytick.labelsize": 10}
    with plt.rc_context(colours | look):
        figure, panels = plt.subplots(rows, columns, squeeze=False, **options)
        for panel in panels.flat:
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(color=PALE, linewidth=0.7)
            panel.set_axisbelow(True)
            panel.tick_params(length=0)
        yield figure, list(panels.flat)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150, metadata={"Software": None})
        plt.close(figure)
