"""Which code a result came from."""

from __future__ import annotations

import hashlib
import subprocess
from functools import lru_cache
from pathlib import Path

from components.base import ROOT


@lru_cache(maxsize=1)
def code_version() -> str:
    """The version of the code that this process runs, read once.

    Returns
    -------
    str
        The git commit, 12 characters; with ``+`` and a hash of `components/` where that differs from the commit; ``package-`` and the hash
        alone where there is no git checkout.
    """
    return _version_of(ROOT)


def _version_of(root: Path) -> str:
    package = _package_hash(root / "components")
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    if not commit or not top or Path(top).resolve() != root.resolve():
        return f"package-{package}"
    changes = _git(root, "status", "--porcelain", "--", "components")
    return commit[:12] if changes == "" else f"{commit[:12]}+{package}"


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None where it cannot say."""
    try:
        run = subprocess.run(("git", "--no-optional-locks", *arguments), cwd=root, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def _package_hash(folder: Path) -> str:
    """SHA-256 over names and contents of every Python file, 12 characters."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
