"""Why a stage runs again although there is a version of it: what is otherwise than when the newest was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emurl.core.artifact import Artifact
from emurl.core.settings import Settings

NAMED = 3  # settings that a line names


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `a.b` keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def since(made: Artifact, settings: Settings, inputs: Mapping[str, Artifact], code: str) -> str:
    """What has changed since `made`, in words, of what a fingerprint covers; empty where nothing has.

    Args:
        settings, inputs, code: of the stage as it would run now.
    """
    told = made.manifest
    before, now = flatten(told.get("settings") or {}), flatten(settings.model_dump(mode="json"))
    deciding = flatten(settings.fingerprint_values())
    other_code = told.get("code_digest") != code
    changed = [
        f"{key} {before[key]} → {now[key]}" if key in before else key
        for key in sorted(deciding.keys() & now.keys())
        # A key that was not there then is a new one of other code, or of a section that was left out.
        if (now[key] != before[key] if key in before else not other_code)
    ]
    parents = told.get("parents") or {}
    others = [
        f"{name} {(parents.get(name) or {}).get('ref', 'none')} → {one.ref}"
        for name, one in sorted(inputs.items())
        if (parents.get(name) or {}).get("digest") != one.digest
    ]
    reasons = []
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        reasons.append(f"settings ({', '.join(changed[:NAMED])}{more})")
    if others:
        reasons.append(f"parents ({', '.join(others)})")
    if other_code:
        reasons.append("code")
    if not reasons and settings.files():
        reasons.append(f"a file that the settings name ({', '.join(sorted(settings.files()))})")
    return ", ".join(reasons)
