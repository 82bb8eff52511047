"""Names that people give to versions: `policy@best` means the version it was given to, until it is given to another.

    <store>/.tags/<pipeline>/<stage>/<tag>.json    {"version", "digest", "created"}

`gc` keeps a version that has a tag, and all it came from. The digest is there so that a tag never comes to mean other content that was
put by hand under the same number.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emurl.core.artifact import LATEST, Artifact, ref_of
from emurl.core.errors import InputError

if TYPE_CHECKING:
    from emurl.core.store import Store

TAGS = ".tags"
_TAG = re.compile(r"[a-z][a-z0-9_.-]{0,63}")  # lower case only: some disks take Best and best for one


def is_tag(text: str) -> bool:
    """Whether a version may be called so: no number, and nothing that a ref means already."""
    return _TAG.fullmatch(text) is not None and text != LATEST and re.fullmatch(r"v[0-9]*", text) is None


def set_tag(store: Store, artifact: Artifact, tag: str) -> str | None:
    """Call a version `tag`; gives the ref of the one that was called so until now, None where there was none.

    Raises:
        InputError: it is no name for a tag, the version was removed meanwhile, or the store cannot be written.
    """
    if not is_tag(tag):
        raise InputError(
            f"tag {tag!r}: no name for one, expected lower-case letters, digits, - _ and ., a letter first, not latest or v1"
        )
    before = tags_of(store, artifact.pipeline, artifact.stage).get(tag)
    told = {"version": artifact.version, "digest": artifact.digest, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    store.objects.put(_key(artifact.pipeline, artifact.stage, tag), json.dumps(told, sort_keys=True).encode())
    try:
        store.load(artifact.pipeline, artifact.stage, artifact.version)  # gc looks at tags before each version that it removes
    except InputError:
        remove_tag(store, artifact.pipeline, artifact.stage, tag)
        raise
    return None if before is None else ref_of(artifact.pipeline, artifact.stage, before[0])


def remove_tag(store: Store, pipeline: str, stage: str, tag: str) -> None:
    """Take a tag away; the version stays.

    Raises:
        InputError: there is no such tag.
    """
    have = tags_of(store, pipeline, stage)
    if tag not in have:
        raise InputError(f"tag {tag!r}: no version of {stage} in {store.url} is called so, expected {_some(have)}")
    store.objects.delete([_key(pipeline, stage, tag)])


def tags_of(store: Store, pipeline: str, stage: str) -> dict[str, tuple[int, str]]:
    """Version and digest by tag of a stage, sorted by tag. What is not readable is no tag."""
    names = [name.removesuffix(".json") for name in store.objects.names(f"{TAGS}/{pipeline}/{stage}") if name.endswith(".json")]
    keys = {_key(pipeline, stage, name): name for name in names if is_tag(name)}
    found: dict[str, tuple[int, str]] = {}
    for key, data in sorted(store.objects.read_many(keys).items()):
        try:
            told = json.loads(data)
            found[keys[key]] = int(told["version"]), str(told["digest"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return found


def every_tag(store: Store) -> dict[str, list[str]]:
    """The tags of each version that has any, by ref."""
    found: dict[str, list[str]] = {}
    for pipeline in store.objects.names(TAGS):
        for stage in store.objects.names(f"{TAGS}/{pipeline}"):
            for tag, (number, _) in tags_of(store, pipeline, stage).items():
                found.setdefault(ref_of(pipeline, stage, number), []).append(tag)
    return found


def number_of(store: Store, ref: str, pipeline: str, stage: str, tag: str, numbers: list[int]) -> int:
    """The version that a tag means.

    Args:
        ref: as it was asked for, for the message. numbers: of the versions that are there.

    Raises:
        InputError: there is no such tag, or what it means is not there any more.
    """
    have = tags_of(store, pipeline, stage)
    if tag not in have:
        known = ", ".join([*(f"v{number}" for number in numbers[-8:]), *list(have)[-8:]])
        raise InputError(f"{ref}: the store {store.url} holds no such version, expected one of {known}")
    number, digest = have[tag]
    if number not in numbers or store.load(pipeline, stage, number).digest != digest:
        raise InputError(
            f"{ref}: means {ref_of(pipeline, stage, number)}, which is not in the store {store.url} any more; "
            f"`emurl artifacts tag` gives the name to another"
        )
    return number


def _key(pipeline: str, stage: str, tag: str) -> str:
    return f"{TAGS}/{pipeline}/{stage}/{tag}.json"


def _some(have: dict[str, tuple[int, str]]) -> str:
    return f"one of {', '.join(list(have)[-8:])}" if have else "one that `emurl artifacts list` shows"
