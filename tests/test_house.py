"""The house as DESIGN draws it: who may import whom, and what nobody may."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"flows", "cli", "__main__", "tools"},
    {"pipeline", "doctor", "compare", "play", "solo", "bench", "upkeep"},
    {"stages"},
    {"rl", "speedruns", "cartridge"},
    {"training", "checkpoint", "optimisers", "augment", "ood", "emulator", "frames"},
    {"models", "report", "film", "screen", "artifacts", "config", "tracking"},
    {"errors", "__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def rooms():
    for folder in ("emurl", "flows", "tools"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield file, (parts[1] if parts[0] == "emurl" else parts[0])


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "emurl":
                yield from (f"emurl.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{file}: a relative import, expected an absolute one")


def test_every_room_has_its_floor():
    assert {room for _, room in rooms()} <= set(FLOOR)


def test_arrows_point_down():
    for file, room in rooms():
        for name in imports(file):
            top, *rest = name.split(".")
            target = rest[0] if top == "emurl" and rest else top
            if target in FLOOR and target != room and (top in ("flows", "tools") or top == "emurl"):
                assert FLOOR[target] >= FLOOR[room], f"{file.relative_to(ROOT)} imports {name}: upwards"


@pytest.mark.parametrize(("module", "where"), [("prefect", "flows/"), ("wandb", "emurl/tracking.py"), ("pickle", "(nowhere)")])
def test_what_stays_in_its_place(module, where):
    for file, _ in rooms():
        if not str(file.relative_to(ROOT)).startswith(where):
            assert all(name.split(".")[0] != module for name in imports(file)), f"{file}: {module} belongs in {where}"


def test_help_is_quick_because_nothing_heavy_is_imported():
    import subprocess
    import sys

    program = (
        "import sys; from emurl.cli import build_parser; build_parser().format_help(); "
        "print([m for m in ('torch', 'numpy', 'cv2', 'pyboy', 'pandas', 'prefect', 'wandb', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_modules_stay_small():
    long = {str(file.relative_to(ROOT)): count for file, _ in rooms() if (count := len(file.read_text().splitlines())) > 400}
    assert not long
