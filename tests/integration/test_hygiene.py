"""What the repository holds: no leftovers, no secret, nothing of the machine it was written on, and a whole lock."""

import ast
import math
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("alphapanda", "workflows", "activities", "workers", "api", "migrations")

NEVER_TRACKED = re.compile(
    r"(^|/)("
    r"\.env(\.(?!example$)[^/]*)?"
    r"|__pycache__|\.(mypy|ruff|pytest|import_linter)_cache|\.hypothesis|\.venv|\.alphapanda|htmlcov|build|dist"
    r"|[^/]*\.(py[cod]|log|egg-info|swp|orig|rej|db|sqlite3?|pem|key|p12)"
    r"|\.coverage[^/]*|\.DS_Store|admin_token|core"
    r")(/|$)"
)

# The brackets keep these patterns from finding themselves.
OF_A_MACHINE = re.compile(r"(?<![\w.}~-])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)/")
OF_A_REGISTRY = re.compile(
    r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|golan[g]\.org|crate[s]\.io|^\s*--(extra-)?index-ur[l]", re.M
)
KNOWN_SECRETS = re.compile(
    r"-----BEGI[N] [A-Z ]*PRIVATE KEY|AKI[A][0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abp]-[A-Za-z0-9-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}"
)
SECRET_VALUE = re.compile(
    r"""(?i)(?:secret|token|passw(?:or)?d|api_?key|credential|checksum)\w*["']?\s*[:=]\s*(?:\w+\()?["']?"""
    r"""(?P<value>[A-Za-z0-9+/_=-]{16,})"""
)
PASSWORD_IN_URL = re.compile(r"""://[^/\s:@"']+:(?P<value>[^/\s:@"'{]+)@""")
MADE_UP = {"password", "secret", "hunter2", "hunter%3222", "other-pass", "p", "***", "0123456789abcdef"}
"""What the documentation and the tests of redaction use where a secret would stand."""


def tracked() -> list[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def texts() -> dict[str, str]:
    return {name: (ROOT / name).read_text() for name in tracked()}


def findings(pattern: re.Pattern[str], contents: dict[str, str]) -> list[str]:
    """`file:line: what was found` for every match."""
    return [
        f"{name}:{content.count(chr(10), 0, found.start()) + 1}: {found.group().strip()}"
        for name, content in contents.items()
        for found in pattern.finditer(content)
    ]


def looks_drawn(value: str) -> bool:
    """Whether a value looks like it came from a generator, and not from a person who named something."""
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return bits > 3.4 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def secrets_in(content: str) -> list[str]:
    drawn = [found["value"] for found in SECRET_VALUE.finditer(content) if looks_drawn(found["value"])]
    in_urls = [found["value"] for found in PASSWORD_IN_URL.finditer(content)]
    known = [found.group() for found in KNOWN_SECRETS.finditer(content)]
    return [value for value in (*known, *drawn, *in_urls) if value not in MADE_UP]


def test_nothing_generated_or_private_is_tracked() -> None:
    assert [name for name in tracked() if NEVER_TRACKED.search(name)] == []


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "x/.env", "a.log", "api/__pycache__/a.pyc", ".coverage", ".coverage.1", ".alphapanda/x",
     "admin_token", "x/key.pem", "a.egg-info/PKG-INFO"],
)  # fmt: skip
def test_the_deny_list_would_catch(name: str) -> None:
    assert NEVER_TRACKED.search(name)


@pytest.mark.parametrize("name", [".env.example", "alphapanda/logging.py", "docs/core-ideas.md", "tests/builder.py"])
def test_the_deny_list_lets_pass(name: str) -> None:
    assert not NEVER_TRACKED.search(name)


def test_what_the_desk_and_the_tools_write_is_ignored_by_git() -> None:
    tracked()
    written = [".env", ".alphapanda/admin_token", ".venv/x", "api/__pycache__/a.pyc", "x.log", ".coverage.1", "dist/x"]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *written], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == written


def test_everything_tracked_is_text_of_a_readable_size() -> None:
    for name in tracked():
        content = (ROOT / name).read_bytes()
        assert b"\0" not in content, name
        assert len(content) < 500_000, name
        assert not (ROOT / name).is_symlink(), name


def test_no_path_of_the_machine_it_was_written_on_is_named() -> None:
    assert findings(OF_A_MACHINE, texts()) == []


def test_no_package_registry_is_named() -> None:
    assert findings(OF_A_REGISTRY, texts()) == []


def test_no_secret_is_tracked() -> None:
    lock = "requirements.lock"  # made of hashes, which look drawn because they are
    found = {name: secrets_in(content) for name, content in texts().items() if name != lock}
    assert {name: values for name, values in found.items() if values} == {}


@pytest.mark.parametrize(
    "leak",
    [
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        "aws = '" + "AKIA" + "IOSFODNN7EXAMPL3'",
        "API_SECRET=" + "q8w7e6r5t4y3u2i1o0p9a8s7d6f5g4h3",
        'admin_token: "' + "kJ8-2nB_5xQwZr71mPd0LsVtYc3'",
        "ALPHAPANDA_ZERODHA__API_KEY=" + "x1y2z3a4b5c6d7e8",
        'SecretStr = token=SecretStr("' + 'Zx8Qm2Lp9Wc4Tn7Rk1Vb")',
        "postgresql+asyncpg://desk:" + "Sommer2031@db.internal/ledger",
    ],
)
def test_the_scan_would_find_a_secret(leak: str) -> None:
    assert secrets_in(f"# before\n{leak}\nafter")


def _pyproject() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in requirements}


def _locked() -> dict[str, list[str]]:
    """Each requirement of the lock with its options."""
    joined = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return {line.split(" --")[0].strip(): re.findall(r"--\S+", line) for line in lines}


def test_every_line_of_the_lock_is_one_exact_version_with_its_hashes() -> None:
    locked = _locked()
    assert len(locked) > 30
    for requirement, options in locked.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.\[\]-]*==\S+( ; .+)?", requirement), requirement
        assert options, f"{requirement} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), requirement


def test_the_lock_names_no_url() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_lock_holds_everything_that_is_declared() -> None:
    project = _pyproject()
    declared = _names(project["project"]["dependencies"]) | _names(project["dependency-groups"]["dev"])
    assert declared - _names(list(_locked())) == set()


def _imported(name: str) -> set[str]:
    """The top-level packages a file imports, ours and Python's own left out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {*OURS, "tests"}


def test_every_package_imported_is_declared() -> None:
    project = _pyproject()
    for_all = _names(project["project"]["dependencies"])
    for_tests = for_all | _names(project["dependency-groups"]["dev"])
    distributions = packages_distributions()
    undeclared: dict[str, list[str]] = {}
    for name in tracked():
        if name.endswith(".py"):
            allowed = for_tests if name.startswith("tests/") else for_all
            for package in _imported(name):
                if not {_normal(each) for each in distributions.get(package, [package])} & allowed:
                    undeclared.setdefault(package, []).append(name)
    assert undeclared == {}
