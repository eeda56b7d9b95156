"""`make setup` on machines that lack something: it heals, it chooses a Python that runs, or it says what is missing.

The Makefile is the real one; Python and uv are small scripts that note how they were called, so that a machine
without a working Python can be had anywhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"

# Answers the Makefile's questions as a Python of that kind would; makes a `.venv` whose python is itself.
PYTHON = """#!/bin/sh
echo "{name} $*" >> "$NOTES"
case "$*" in
    *ensurepip*) [ {without_ensurepip} = 0 ] && [ {too_old} = 0 ]; exit ;;
    *version_info*) exit {too_old} ;;
    *"-m venv"*)
        for last; do :; done
        mkdir -p "$last/bin"
        cp "$0" "$last/bin/python"
        printf '#!/bin/sh\\necho up: "$@"' > "$last/bin/alphapanda"
        chmod +x "$last/bin/alphapanda" ;;
esac
"""
BROKEN = "#!/bin/sh\nexit 127\n"


class Project:
    """A folder with the Makefile, and a PATH on which only the named programs are."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.programs = folder / "bin"
        self.notes = folder / "notes"
        self.root.mkdir()
        self.programs.mkdir()
        shutil.copy(MAKEFILE, self.root)
        for name in ("requirements.lock", "pyproject.toml"):
            (self.root / name).touch()
        for tool in ("make", "sh", "cat", "rm", "mkdir", "cp", "chmod"):
            found = shutil.which(tool)
            assert found is not None
            (self.programs / tool).symlink_to(found)

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def python(self, name: str = "python3", *, too_old: bool = False, without_ensurepip: bool = False) -> None:
        self.program(name, PYTHON.format(name=name, too_old=int(too_old), without_ensurepip=int(without_ensurepip)))

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        self.notes.write_text("")
        environment = {"PATH": str(self.programs), "NOTES": str(self.notes)}
        return subprocess.run(
            [str(self.programs / "make"), *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, containing: str) -> list[str]:
        return [line for line in self.notes.read_text().splitlines() if containing in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    return Project(tmp_path)


def test_run_sets_up_from_the_lock_with_hashes_and_then_starts(project: Project) -> None:
    project.python()
    made = project.make("run", "ARGS=--port 9")
    assert made.returncode == 0, made.stderr
    assert "up: up --port 9" in made.stdout
    locked, own = project.calls("pip install")
    assert "--require-hashes -r requirements.lock" in locked
    assert "--no-deps --no-build-isolation -e ." in own


def test_a_second_run_installs_nothing(project: Project) -> None:
    project.python()
    project.make("setup")
    again = project.make("run")
    assert again.stdout == "up: up\n"
    assert project.calls("pip") == []


def test_a_changed_lock_is_installed_into_the_same_venv(project: Project) -> None:
    project.python()
    project.make("setup")
    stamp = project.root / ".venv" / ".complete"
    newer = stamp.stat().st_mtime + 10
    os.utime(project.root / "requirements.lock", (newer, newer))
    project.make("setup")
    assert project.calls("-m venv") == []
    assert len(project.calls("pip install")) == 2


def test_a_venv_cut_short_is_made_anew(project: Project) -> None:
    project.python()
    project.make("setup")
    (project.root / ".venv" / ".complete").unlink()
    (project.root / ".venv" / "left over").touch()
    assert project.make("setup").returncode == 0
    assert len(project.calls("-m venv")) == 1
    assert not (project.root / ".venv" / "left over").exists()


def test_a_failed_installation_is_not_taken_for_a_finished_one(project: Project) -> None:
    project.python()
    project.program("uv", "#!/bin/sh\nexit 1\n")
    assert project.make("setup").returncode != 0
    project.program("uv", '#!/bin/sh\necho "uv $*" >> "$NOTES"\n')
    assert project.make("setup").returncode == 0
    assert len(project.calls("uv pip install")) == 2


def test_a_moved_project_gets_a_new_venv(project: Project) -> None:
    project.python()
    project.make("setup")
    project.root = project.root.rename(project.root.with_name("moved"))
    assert project.make("run").returncode == 0
    assert len(project.calls("-m venv")) == 1


def test_a_venv_whose_python_is_gone_is_made_anew(project: Project) -> None:
    project.python()
    project.make("setup")
    (project.root / ".venv" / "bin" / "python").unlink()
    assert project.make("run").returncode == 0
    assert len(project.calls("-m venv")) == 1


def test_a_python_that_does_not_run_or_is_too_old_is_passed_over(project: Project) -> None:
    project.program("python3.13", BROKEN)
    project.python("python3.12", too_old=True)
    project.python("python3.11")
    assert "with python3.11\n" in project.make("setup").stdout


def test_the_python_that_was_asked_for_is_taken(project: Project) -> None:
    project.python("python3.13")
    project.python("mine")
    assert "with mine\n" in project.make("setup", "PYTHON=mine").stdout


def test_without_a_suitable_python_it_says_which_were_tried(project: Project) -> None:
    project.python(too_old=True)
    refused = project.make("run")
    assert refused.returncode != 0
    assert "No Python 3.11 or later found (tried: python3.13 python3.12 python3.11 python3)" in refused.stderr
    assert "up" not in refused.stdout


def test_without_ensurepip_it_names_the_package_to_install(project: Project) -> None:
    project.python(without_ensurepip=True)
    refused = project.make("run")
    assert refused.returncode != 0
    assert "apt install python3-venv" in refused.stderr


def test_uv_is_used_where_it_is_and_needs_no_ensurepip(project: Project) -> None:
    project.python(without_ensurepip=True)
    project.program("uv", '#!/bin/sh\necho "uv $*" >> "$NOTES"\n')
    assert project.make("setup").returncode == 0
    assert len(project.calls("uv pip install --quiet --compile-bytecode --python .venv/bin/python")) == 2
    assert project.calls("-m pip") == []
