"""Write the network of a `cnn` artifact as ONNX, for programs that have no torch.

    python -m tools.export_onnx baseline/cnn@latest --out cnn.onnx

Input `frames`, uint8 (N, stack, H, W): gray frames of one moment and those before, the newest last, as `emurl/GameBoyRam-v0` shows them.
Outputs `logits`, float32 (N, actions), and `values`, float32 (N,). A network with a memory has the input `state`, float32 (N, hidden),
zeros where an episode begins, and the output `next_state`. N may be any number. The store is only read.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emurl.core.arguments import Parser

if TYPE_CHECKING:
    from emurl.agents.ppo.pixel_networks import PixelPolicy

NEEDS = ("onnx", "onnxscript")  # of the extra `onnx`
PIPELINE = "baseline"  # whose `cnn` is meant where no pipeline is named


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="export_onnx", description="Write the network of a cnn artifact as ONNX.")
    parser.add_argument("ref", metavar="REF", help="a cnn artifact, as in baseline/cnn@v2 (cnn: the newest)")
    parser.add_argument("--out", required=True, metavar="FILE.onnx", help="the file to write")
    parser.add_argument("--store", default="data", metavar="URL", help="where the artifacts are (default: data)")
    return parser


def export(args: argparse.Namespace) -> int:
    """Export and print what was written; 0 when done. Raises `InputError` for a ref, a store or a file that is wrong."""
    from emurl.core.errors import InputError

    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)}: not installed, expected the extra: pip install 'emurl[onnx]'")
    from emurl.agents.ppo.pixel_networks import PixelPolicy
    from emurl.core.store import Store
    from emurl.pipelines.baseline.players import PLAYERS, POLICY

    short = args.ref.partition("@")[0] in PLAYERS
    artifact = Store(args.store).get(f"{PIPELINE}/{args.ref}" if short else args.ref)
    if artifact.stage not in PLAYERS:
        raise InputError(
            f"{args.ref}: {artifact.ref} holds no network that reads pixels, expected a {' or '.join(PLAYERS)} artifact"
        )
    out = Path(args.out)
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: {out.parent} is no folder, expected one that is there")
    policy = PixelPolicy.from_pretrained(artifact.path(POLICY))
    write_onnx(policy, out)
    remembers = f", state float32 (N, {policy.body.hidden})" if policy.recurrent else ""
    print(f"{artifact.ref} → {out}: frames uint8 (N, {policy.stack}, {policy.size[0]}, {policy.size[1]}){remembers}")
    return 0


def write_onnx(policy: PixelPolicy, out: Path) -> None:
    """Write `policy` to `out`, which appears whole or not at all."""
    import torch

    from emurl.core.files import write_atomically

    class Exported(torch.nn.Module):
        """The network from stacks to logits and values, with its memory where it has one."""

        def __init__(self) -> None:
            super().__init__()
            self.body = policy.body

        def forward(self, frames: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
            features = self.body.encoder(frames)
            if self.body.memory is not None:
                features = state = self.body.memory(features, state)
            heads = self.body.policy_head(features), self.body.value_head(features).squeeze(-1)
            return heads if state is None else (*heads, state)

    stacks = torch.zeros((2, policy.stack, *policy.size), dtype=torch.uint8)
    inputs: tuple[torch.Tensor, ...] = (stacks, torch.zeros(2, policy.body.hidden)) if policy.recurrent else (stacks,)
    names = ["frames", "state"][: len(inputs)]
    batch: Any = torch.export.Dim("N")
    with _quietly(), torch.no_grad():
        program = torch.onnx.export(
            Exported().cpu().eval(), inputs, dynamo=True, input_names=names, verbose=False,
            output_names=["logits", "values", "next_state"][: len(inputs) + 1], dynamic_shapes=tuple({0: batch} for _ in inputs),
        )  # fmt: skip
    assert program is not None
    with write_atomically(out) as aside:
        program.save(aside, external_data=False)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporter tells of each of its steps on stdout, and of torchvision, which nobody needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; a mistake of the user's is one line and exit code 2."""
    from emurl.core.errors import EmurlError

    try:
        return export(build_parser().parse_args(arguments))
    except EmurlError as error:
        print(f"export_onnx: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
