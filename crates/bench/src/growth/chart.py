"""Draws series as one chart: `chart.py SERIES.json CHART.png`. One panel for each thing that grows."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

with open(sys.argv[1], encoding="utf-8") as file:
    # Without a point if all numbers were left out.
    series = [one for one in json.load(file) if one["points"]]

grown = list(dict.fromkeys(one["of"] for one in series))
figure, panels = pyplot.subplots(len(grown), 1, figsize=(8, 3 * len(grown)), squeeze=False)
for panel, of in zip(panels.flat, grown):
    axes = {}
    lines = []
    for number, one in enumerate(one for one in series if one["of"] == of):
        # Each unit has an axis of its own, from 0.
        axis = axes.get(one["unit"])
        if axis is None:
            axis = panel if not axes else panel.twinx()
            # A third axis, next to the second.
            axis.spines["right"].set_position(("outward", 50 * max(len(axes) - 1, 0)))
            axis.set_ylabel(one["unit"])
            axes[one["unit"]] = axis
        counts, values = zip(*one["points"])
        lines += axis.plot(counts, values, marker="o", color=f"C{number}", label=f"{one['name']} ({one['unit']})")
        axis.set_ylim(bottom=0, top=max(max(values) * 1.25, axis.get_ylim()[1]))
    panel.set_xscale("log")
    panel.set_xlabel(of)
    panel.grid(alpha=0.3)
    panel.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small")
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=120, metadata={"Software": None})
