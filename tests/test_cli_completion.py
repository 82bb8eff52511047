"""Completion: the script a shell is given is one it takes, and it completes words, actions and options."""

import shutil
import subprocess

import pytest

from emurl import __version__, cli


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_every_shell_is_told_every_word(capsys, shell):
    assert cli.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    for word in ("artifacts", "splits", "export", "dry-run", "completion"):
        assert word in out
    program = shutil.which(shell)
    if program:
        assert subprocess.run([program, "-n"], input=out, text=True, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("emurl run rew", "reward"),
        ("emurl run reward beh", "behavior"),
        ("emurl sweep tok", "tokenizer"),
        ("emurl art", "artifacts"),
        ("emurl artifacts ex", "export"),
        ("emurl artifacts gc --dry", "--dry-run"),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to complete with")
def test_bash_completes(capsys, typed, offered):
    assert cli.main(["completion", "bash"]) == 0
    words = typed.split()
    script = f"""{capsys.readouterr().out}
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE="{typed}"; COMP_POINT={len(typed)}
$(complete -p emurl | sed 's/.*-F \\([^ ]*\\).*/\\1/') emurl "{words[-1]}" "{words[-2]}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert offered in done.stdout.split(), done.stderr


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out.strip() == f"emurl {__version__}"
