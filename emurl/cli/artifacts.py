"""`emurl artifacts`: look at a store, keep it small, name versions, and carry them elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from emurl.cli.options import add_json, add_store, answer, open_store
from emurl.core.errors import InputError
from emurl.core.files import at_home

if TYPE_CHECKING:
    from emurl.core.store import Store


def add(parser: argparse.ArgumentParser) -> None:
    """The words that follow `artifacts`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every version, with tags, parents and metrics")
    show = actions.add_parser("show", help="one version, whole")
    show.add_argument("ref", metavar="STAGE[@VERSION]")
    verify = actions.add_parser("verify", help="check every file against its manifest")
    gc = actions.add_parser(
        "gc", help="remove old versions that have no tag and that nothing kept comes from, and the work of unfinished stages"
    )
    gc.add_argument("--keep", type=int, default=3, metavar="N", help="newest versions of each stage to keep (default 3)")
    gc.add_argument("--dry-run", action="store_true", help="only say what would go")
    tag = actions.add_parser("tag", help="name a version, as in: tag policy@v3 best; then policy@best is that version anywhere")
    tag.add_argument("ref", metavar="STAGE[@VERSION]", help="the version")
    tag.add_argument("tag", metavar="TAG", help="lower-case letters, digits, - _ and ., a letter first")
    tag.add_argument("--remove", action="store_true", help="take the tag away; the version stays")
    export = actions.add_parser("export", help="write a version and all it came from as one file")
    export.add_argument("ref", metavar="STAGE[@VERSION]")
    export.add_argument("file", metavar="FILE.zip", help="the file to write")
    export.add_argument("--force", action="store_true", help="write over a file that is there already")
    take = actions.add_parser("import", help="take in what export wrote; from people you trust")
    take.add_argument("file", metavar="FILE.zip", help="the file to read")
    words = {listing: _list, show: _show, verify: _verify, gc: _gc, tag: _tag, export: _export, take: _import}
    for action, function in words.items():
        add_store(action)
        add_json(action)
        action.set_defaults(do=function)


def _list(args: argparse.Namespace) -> int:
    from emurl.core.tags import every_tag

    store = open_store(args)
    tags = every_tag(store)
    rows = [
        {
            "ref": artifact.ref,
            "pipeline": artifact.pipeline,
            "stage": artifact.stage,
            "version": f"v{artifact.version}",
            "parents": artifact.parents,
            "headline": artifact.manifest.get("headline", ""),
            "metrics": artifact.metrics,
            "created": artifact.manifest["created"],
            "duration_s": artifact.manifest["duration_s"],
            "fingerprint": artifact.fingerprint,
            "digest": artifact.digest,
            "tags": tags.get(artifact.ref, []),
            "path": str(artifact.local),
        }
        for artifact in store.all()
    ]

    def text() -> str:
        lines = []
        for row in rows:
            headline = f"{row['headline']} {row['metrics'].get(row['headline'])}" if row["headline"] else ""
            parents = ", ".join(row["parents"].values())
            named = "".join(f"@{tag} " for tag in row["tags"])
            made_of = f"← {parents}" if parents else ""
            lines.append(f"{row['ref']:<16} {row['created']}  {headline:<28} {named}{made_of}".rstrip())
        return "\n".join(lines) or f"no artifacts in {args.store or 'data'}"

    answer(args, rows, text)
    return 0


def _show(args: argparse.Namespace) -> int:
    artifact = open_store(args).get(args.ref)
    document = {**artifact.manifest, "path": str(artifact.local)}

    def text() -> str:
        import yaml

        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip()

    answer(args, document, text)
    return 0


def _begun(args: argparse.Namespace, purpose: str) -> Store:
    """The store, which is to be there."""
    store = open_store(args)
    if store.remote is None and not store.root.is_dir():
        raise InputError(f"--store {store.url}: no such folder, expected a store to {purpose}")
    return store


def _verify(args: argparse.Namespace) -> int:
    store = _begun(args, "verify")
    problems = store.verify()
    # Counted without reading manifests: one that is damaged is among the problems.
    count = sum(len(store.versions(pipeline, stage)) for pipeline in store.pipelines() for stage in store.stages(pipeline))
    answer(
        args,
        {"artifacts": count, "problems": problems},
        lambda: "\n".join(problems) or f"{count} artifacts, every file as its manifest says",
    )
    return 1 if problems else 0


def _gc(args: argparse.Namespace) -> int:
    if args.keep < 1:
        raise InputError(f"--keep {args.keep}: expected a number of versions ≥ 1")
    store = _begun(args, "tidy")
    swept = [] if args.dry_run else store.sweep()
    removed = [*swept, *store.gc(keep=args.keep, dry_run=args.dry_run)]
    word = "would remove" if args.dry_run else "removed"
    answer(
        args,
        {"removed": removed, "dry_run": args.dry_run},
        lambda: "\n".join(f"{word} {one}{_lost(one)}" for one in removed) or "nothing to remove",
    )
    return 0


def _lost(name: str) -> str:
    """What goes with the work of a stage that was interrupted: not what was published since (`sweep` says so behind its name)."""
    return ": a run that was interrupted would go on from it" if name.startswith(".work/") and ": " not in name else ""


def _tag(args: argparse.Namespace) -> int:
    from emurl.core.artifact import split_ref
    from emurl.core.tags import remove_tag, set_tag

    store = open_store(args)
    if args.remove:
        pipeline, stage, _ = split_ref(args.ref)
        remove_tag(store, pipeline, stage, args.tag)
        answer(args, {"tag": args.tag, "ref": None}, lambda: f"no version of {stage} is called {args.tag} any more")
        return 0
    artifact = store.get(args.ref)
    before = set_tag(store, artifact, args.tag)
    moved = f" (was {before})" if before not in (None, artifact.ref) else ""
    answer(
        args,
        {"tag": args.tag, "ref": artifact.ref, "before": before},
        lambda: f"{artifact.stage}@{args.tag} is {artifact.ref}{moved}",
    )
    return 0


def _export(args: argparse.Namespace) -> int:
    from emurl.core import bundle

    store, target = open_store(args), at_home(args.file)
    artifact = store.get(args.ref)
    with _bytes(lambda: bundle.size_of(bundle.ancestry(store, artifact)), "export") as tick:
        held = bundle.export(store, artifact, target, replace=args.force, tick=tick)
    size = target.stat().st_size
    told = {"file": str(target), "bytes": size, "ref": artifact.ref, "artifacts": [one.ref for one in held]}
    answer(args, told, lambda: f"{target}: {', '.join(told['artifacts'])}, {size / 2**20:.1f} MiB")
    return 0


def _import(args: argparse.Namespace) -> int:
    from emurl.core.importing import take_in

    store, path = open_store(args), at_home(args.file)
    store.probe()
    with _bytes(lambda: path.stat().st_size if path.is_file() else 0, "import") as tick:
        taken = take_in(store, path, tick)
    rows = [{"from": one.ref, "ref": one.artifact.ref, "new": one.new} for one in taken]

    def text() -> str:
        lines = []
        for row in rows:
            renamed = "" if row["ref"] == row["from"] else f" (was {row['from']})"
            lines.append(f"{row['ref']}{renamed}{'' if row['new'] else ', was here already'}")
        return "\n".join(lines)

    answer(args, {"file": str(path), "ref": rows[-1]["ref"], "artifacts": rows}, text)
    return 0


@contextmanager
def _bytes(total: Any, what: str) -> Iterator[Any]:
    """How many bytes are done, shown in MiB."""
    from emurl.core.progress import Progress

    bar = Progress(round(total() / 2**20, 1), what, "MiB", quiet=False)
    try:
        yield lambda count: bar.update(count / 2**20)
    finally:
        bar.close()
