"""Networks only: each model answers `loss(batch)`, saves itself with its configuration, and knows nothing of files or games."""

from __future__ import annotations
