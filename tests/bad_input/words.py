"""Words of the command line: unknown ones, typing errors, values out of range, and what does not go together."""

from tests.bad_input.kinds import bad, importable, variables

FAILING = """
import gymnasium

def make():
    raise RuntimeError("no level")

gymnasium.register("Failing-v0", make)
"""
SHOWING_TEXT = """
import gymnasium

class Text(gymnasium.Env):
    observation_space = gymnasium.spaces.Text(5)
    action_space = gymnasium.spaces.Discrete(2)

gymnasium.register("Text-v0", Text)
"""

KINDS = [
    bad("no word at all", "", "WORD", "emurl --help"),
    bad("an unknown word", "runn", "runn", "did you mean run?", process=True),
    bad("an unknown action", "artifacts lst", "lst", "did you mean list?"),
    bad("an unknown option", "run --forse", "--forse", "did you mean --force?"),
    bad("an option without its value", "run --config", "--config", "expected one argument"),
    bad("an argument that is lacking", "artifacts show", "STAGE[@VERSION]"),
    bad("an argument too many", "artifacts gc now", "now"),
    bad("an unknown shell", "completion tcsh", "tcsh", "bash"),
    bad("an unknown bench", "bench tokeniser", "tokeniser", "did you mean tokenizer?"),
    bad("a number that is none", "artifacts gc --keep many", "--keep", "many"),
    bad("a number with a fraction", "play --random --steps 1.5", "--steps", "1.5"),
    bad("two players at once", "play --bot --random", "--bot", "--random"),
    bad("an unknown stage", "run rewards --config a.yaml", "rewards", "did you mean reward?", files={"a.yaml": ""}),
    bad(
        "a search of no stage",
        "sweep rewards --search reward.epochs=1..2 --config a.yaml",
        "rewards",
        "did you mean reward?",
        files={"a.yaml": ""},
    ),
    bad(
        "a search of no key",
        "sweep reward --search reward.epoch=1..2 --config a.yaml",
        "reward.epoch",
        "did you mean epochs?",
        files={"a.yaml": ""},
    ),
    bad(
        "a search of nothing",
        "sweep reward --search reward.epochs=2..2 --config a.yaml",
        "reward.epochs=2..2",
        "LOW below HIGH",
        files={"a.yaml": ""},
    ),
    bad(
        "a search without a parent",
        "sweep reward --search reward.epochs=1..2 --config a.yaml --store store",
        "frames",
        "emurl run",
        files={"a.yaml": ""},
    ),
    bad("an unknown pipeline", "run --pipeline speedrum --config a.yaml", "speedrum", "speedrun", files={"a.yaml": ""}),
    bad(
        "the settings of another pipeline",
        "run --pipeline speedrun --config a.yaml",
        "a.yaml",
        "vgc",
        files={"a.yaml": "pipeline: vgc"},
    ),
    bad("nothing to keep", "artifacts gc --keep -1 --store store", "--keep", "-1", store="text"),
    bad(
        "a chance above one",
        "play --sticky 1.5 --config a.yaml --store store",
        "--sticky 1.5",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "a chance that is none",
        "play --sticky nan --config a.yaml --store store",
        "--sticky nan",
        files={"a.yaml": ""},
        store="models",
    ),
    bad("no actions to play", "play --random --steps 0 --config a.yaml", "--steps 0", files={"a.yaml": ""}),
    bad("a film of an unknown kind", "play --random --video run.avi --config a.yaml", "run.avi", ".mp4", files={"a.yaml": ""}),
    bad(
        "a film in a folder that is not there",
        "play --random --steps 1 --video no/run.mp4 --config a.yaml",
        "no/run.mp4",
        "folder",
        files={"a.yaml": ""},
    ),
    bad(
        "a film where a folder is",
        "play --random --steps 1 --video run.mp4 --config a.yaml",
        "run.mp4",
        files={"a.yaml": "", "run.mp4/x": ""},
    ),
    bad(
        "a stage that does not play",
        "play tokenizer --video run.mp4 --config a.yaml --store store",
        "tokenizer",
        "policy, behavior",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "no display to play on",
        "play behavior --config a.yaml --store store",
        "display",
        "--video",
        files={"a.yaml": ""},
        store="models",
        make=lambda place: place.patch.delenv("DISPLAY", raising=False),
    ),
    bad("an unknown agent", "train pppo --env CartPole-v1 --steps 9", "pppo", "ppo"),
    bad("an unknown environment", "train ppo --env CartPole-v9 --steps 9", "CartPole-v9", "CartPole-v1"),
    bad("an environment of continuous actions", "train ppo --env Pendulum-v1 --steps 9", "Pendulum-v1", "Discrete", "Box"),
    bad("no steps to train", "train ppo --env CartPole-v1 --steps 0", "--steps 0"),
    bad(
        "an unknown setting of an agent",
        "train ppo --env CartPole-v1 --steps 9 --set num_env=2",
        "num_env",
        "did you mean num_envs?",
    ),
    bad(
        "a module that is not there",
        "train ppo --env CartPole-v1 --steps 9 --import no_such_module",
        "--import",
        "no_such_module",
    ),
    bad(
        "a module that is broken",
        "train ppo --env CartPole-v1 --steps 9 --import broken_module",
        "--import",
        "broken_module",
        "division by zero",
        files={"broken_module.py": "1 / 0\n"},
        make=importable,
    ),
    bad(
        "a module that is no Python",
        "train ppo --env CartPole-v1 --steps 9 --import no_python",
        "--import",
        "no_python",
        "line 1",
        files={"no_python.py": "def (\n"},
        make=importable,
    ),
    bad(
        "an environment that fails when it is made",
        "train ppo --env Failing-v0 --steps 9 --import failing_module",
        "Failing-v0",
        "no level",
        files={"failing_module.py": FAILING},
        make=importable,
    ),
    bad(
        "an environment that shows text",
        "train ppo --env Text-v0 --steps 9 --import text_module",
        "observation",
        "Text",
        files={"text_module.py": SHOWING_TEXT},
        make=importable,
    ),
    bad(
        "a module that ends the process",
        "train ppo --env CartPole-v1 --steps 9 --import ending_module",
        "--import",
        "SystemExit",
        files={"ending_module.py": "raise SystemExit(0)\n"},
        make=importable,
    ),
    bad("a comparison of nothing", "compare", "REF"),
    bad(
        "a judge of another stage",
        "splits --config a.yaml --store store --input frames",
        "frames",
        "reward",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "a sheet that is no PNG",
        "splits --config a.yaml --store store --sheet a.jpg",
        "a.jpg",
        ".png",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "times for LiveSplit in a folder that is not there",
        "splits --config a.yaml --store store --lss no/a.lss",
        "no/a.lss",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "an ffmpeg that is not there",
        "play --random --steps 2 --config a.yaml --video run.mp4",
        "IMAGEIO_FFMPEG_EXE",
        "/nowhere/ffmpeg",
        files={"a.yaml": ""},
        make=variables(IMAGEIO_FFMPEG_EXE="/nowhere/ffmpeg"),
    ),
    bad(
        "an ffmpeg that is none",
        "play --random --steps 2 --config a.yaml --video run.mp4",
        "ffmpeg",
        files={"a.yaml": ""},
        code=1,
        make=variables(IMAGEIO_FFMPEG_EXE="/bin/false"),
    ),
    bad("a settings file of a bench that is not there", "bench emulator --config none.yaml", "none.yaml"),
    bad(
        "a bench of a ROM that is not there",
        "bench emulator --config a.yaml --set emulator.rom=game.gb",
        "game.gb",
        files={"a.yaml": ""},
    ),
    bad(
        "a bench of a number that is none",
        "bench tokenizer --config a.yaml --set tokenizer.steps=some",
        "tokenizer.steps",
        files={"a.yaml": ""},
    ),
]
