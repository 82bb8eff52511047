"""The whole pipeline at its smallest: settings, and how to start it in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

SETTINGS = """
seed: 1
store: {store}
tracking: {{wandb: false}}
emulator: {{rom: embedded, frame_skip: 16}}
broadcast: {{port: {port}, runs: 5, cache: {cache}}}
runs: {{api_base: "http://127.0.0.1:{port}/api/v1", game: mossdale, max_runs: 3}}
frames: {{fps: 7.5, val_share: 0.3}}
tokenizer: {{dim: 16, depth: 1, code_dim: 8, vocab: 64, steps: 30, batch_size: 8, warmup_steps: 2, eval_every: 15,
             checkpoint_every: 5}}
dynamics: {{dim: 16, layers: 1, heads: 2, steps: 30, batch_size: 8, warmup_steps: 2, eval_every: 15, checkpoint_every: 5}}
reward: {{arch: small, epochs: 1, steps_per_epoch: 20, batch_size: 8, warmup_steps: 2, eval_every: 10, checkpoint_every: 5}}
behavior: {{explore_steps: 400, inverse_steps: 30, steps: 30, batch_size: 8, warmup_steps: 2, eval_every: 15, checkpoint_every: 5,
            dim: 16, layers: 1, heads: 2, context: 2}}
policy: {{total_steps: 256, envs: 2, rollout: 32, epochs: 1, minibatch: 32, episode_steps: 60, alarm: warn}}
evaluation: {{episodes: 2, max_steps: 40}}
"""


@dataclass(frozen=True)
class Tiny:
    """A settings file, and beside it the store, the log and the output of what was run with it."""

    settings: Path

    @property
    def store(self) -> Path:
        return self.settings.with_suffix("")

    @property
    def log(self) -> Path:
        return self.settings.with_suffix(".log")

    @property
    def out(self) -> Path:
        return self.settings.with_suffix(".out")

    def start(self, *words: str) -> subprocess.Popen:
        """`emurl run WORDS --json` in a process group of its own."""
        # Files, not pipes: nobody reads while the test waits.
        with self.out.open("w") as out, self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "emurl", "run", *words, "--config", str(self.settings), "--json"],
                cwd=ROOT, stdout=out, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip


def write_tiny(folder: Path, name: str) -> Tiny:
    """Settings called `name` in `folder`, on a free port; the rendered videos are shared by all of the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / f"{name}.yaml"
    file.write_text(SETTINGS.format(store=folder / name, port=port, cache=folder / "broadcast"))
    return Tiny(file)
