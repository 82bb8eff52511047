"""The report room: charts as SVG, the explored map, and the one self-contained page made of them."""

from __future__ import annotations

from emurl.report.explored import Atlas, Plot, draw, plain_atlas
from emurl.report.page import Findings, build, lineage

__all__ = ["Atlas", "Findings", "Plot", "build", "draw", "lineage", "plain_atlas"]
