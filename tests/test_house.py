"""The house as docs/architecture.md draws it: who may import whom, and what nobody may."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = [
    {"flows", "cli", "__main__", "tools"},
    {
        "doctor",
        "compare",
        "play",
        "play_scripted",
        "splits",
        "train",
        "bench",
        "sweep",
        "sweep_plan",
        "sweep_space",
        "sweep_trials",
    },
    {"pipelines"},
    {"games", "footage", "report"},
    {"training"},
    {"agents", "rewards", "envs"},
    {"models", "screen"},
    {"core"},
    {"__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
APART = {("envs", "agents"), ("agents", "envs")}  # on one floor, and strangers


def modules():
    for folder in ("emurl", "flows", "tools"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def room(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "emurl" else parts[0]


@cache
def imports(file):
    return list(_imports(file))


def _imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "emurl":
                yield from (f"emurl.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{file}: a relative import, expected an absolute one")


def targets(file):
    """The rooms that a module imports."""
    for name in imports(file):
        top, *rest = name.split(".")
        target = rest[0] if top == "emurl" and rest else top
        if top in ("emurl", "flows", "tools") and target in FLOOR:
            yield name, target


def test_every_room_has_its_floor():
    assert {room(file) for file in modules()} <= set(FLOOR)


def test_there_are_few_rooms():
    packages = {file.parent for file in modules()}
    assert len(packages) <= 32, sorted(str(package.relative_to(ROOT)) for package in packages)


def test_arrows_point_down():
    for file in modules():
        for name, target in targets(file):
            here = room(file)
            where = f"{file.relative_to(ROOT)} imports {name}"
            assert FLOOR[target] >= FLOOR[here], f"{where}: upwards"
            assert (here, target) not in APART, f"{where}: these two do not know each other"


def test_rooms_make_no_circle():
    arrows = {}
    for file in modules():
        arrows.setdefault(room(file), set()).update(target for _, target in targets(file) if target != room(file))
    left = dict(arrows)
    while left:
        free = [name for name, to in left.items() if not (to & left.keys())]
        assert free, f"a circle among {sorted(left)}: { {name: sorted(to & left.keys()) for name, to in left.items()} }"
        for name in free:
            del left[name]


@pytest.mark.parametrize(
    ("module", "where"),
    [
        ("prefect", "flows/"),
        ("wandb", "emurl/core/tracking.py"),
        ("optuna", "emurl/sweep_trials.py"),
        ("pickle", "(nowhere)"),
        ("fcntl", "emurl/footage/decode.py"),
    ],
)
def test_what_stays_in_its_place(module, where):
    for file in modules():
        if not str(file.relative_to(ROOT)).startswith(where):
            assert all(name.split(".")[0] != module for name in imports(file)), f"{file}: {module} belongs in {where}"


def test_help_is_quick_because_nothing_heavy_is_imported():
    program = (
        "import sys; from emurl.cli import build_parser; build_parser().format_help(); "
        "print([m for m in ('torch', 'numpy', 'cv2', 'pyboy', 'pandas', 'prefect', 'wandb', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_module_is_read_where_posix_is_not():
    """As on Windows, where these modules and functions are missing: what needs one asks for it when it is used, and says so."""
    program = (
        "import importlib, os, pkgutil, signal, sys\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios', 'tty', 'pty'): sys.modules[name] = None\n"
        "import emurl\n"
        "for one in pkgutil.walk_packages(emurl.__path__, 'emurl.'):\n"
        "    if not one.name.endswith('__main__'): importlib.import_module(one.name)\n"
        "sys.platform = 'win32'\n"
        "from emurl import cli\n"
        "sys.exit(cli.main(['bench', 'frames']) * 10 + cli.main(['artifacts', 'list', '--store', 'nowhere']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 20 and done.stdout == "no artifacts in nowhere\n", done.stderr
    assert "bench frames: counts what a POSIX system counts, expected Linux" in done.stderr


def test_modules_stay_small():
    long = {str(file.relative_to(ROOT)): count for file in modules() if (count := len(file.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize(
    "room", ["bench", "pipelines", "footage", "report", "training", "agents", "rewards", "envs", "models", "core"]
)
def test_no_room_but_games_knows_a_game_by_name(room):
    for file in sorted((ROOT / "emurl" / room).rglob("*.py")):
        told = file.read_text().lower()
        assert "mossdale" not in told, f"{file.relative_to(ROOT)}: ask the game's row"
        assert "cartridge" not in told or room == "envs", f"{file.relative_to(ROOT)}: the word is of the emulator"
