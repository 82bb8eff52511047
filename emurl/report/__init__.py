"""The report room: charts as SVG, and the one self-contained page made of them."""

from __future__ import annotations

from emurl.report.page import Findings, Player, build, lineage

__all__ = ["Findings", "Player", "build", "lineage"]
