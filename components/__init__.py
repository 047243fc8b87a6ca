"""Sequence FX: from market data to live MetaTrader 5 trading, one room per package.

Rooms import only rooms below them (see `.importlinter`); everything else uses a room through its front, the names in its `__all__`.
"""

import ast as _ast
import gc as _gc
import hashlib as _hashlib
import os as _os
import shutil as _shutil
import sys as _sys
from collections.abc import Callable as _Callable
from importlib import import_module as _import_module
from pathlib import Path as _Path
from types import ModuleType as _ModuleType
from typing import Any as _Any


def lazy_front(room: str, file: str) -> tuple[_Callable[[str], _Any], list[str]]:
    """The front of a room whose modules are imported only when a name of theirs is first asked for (PEP 562).

    Parameters
    ----------
    room, file : str
        ``__name__`` and ``__file__`` of the package. What its source imports under ``if TYPE_CHECKING:`` is what the front offers.

    Returns
    -------
    tuple of (callable, list of str)
        The package's ``__getattr__`` and ``__all__``.
    """
    blocks = [node for node in _ast.parse(_Path(file).read_text(encoding="utf-8")).body if isinstance(node, _ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, _ast.ImportFrom) and node.module]
    home = {name.name: str(node.module) for node in imports for name in node.names}
    package = _sys.modules[room]

    class Front(_ModuleType):
        def __setattr__(self, name: str, value: _Any) -> None:
            # Importing a submodule sets it here; where a public name is spelled the same, the public name is what is meant.
            if not (name in home and isinstance(value, _ModuleType)):
                super().__setattr__(name, value)

    package.__class__ = Front

    def find(name: str) -> _Any:
        if name not in home:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(_imported(home[name]), name)
        setattr(package, name, value)
        return value

    return find, sorted(home)


def _imported(module: str) -> _ModuleType:
    """The module. While it is imported nothing is looked through for garbage, nor is what that made later on: what imports make stays.

    Looking through it, over and over, took a sixth of a start.
    """
    if module in _sys.modules or not _gc.isenabled():
        return _import_module(module)
    _gc.disable()
    try:
        return _import_module(module)
    finally:
        _gc.freeze()
        _gc.enable()


def spare_numba_scipy() -> None:
    """Keep numba from importing scipy.linalg when it first compiles, 0.1 s of every start; to be called before that, again does no harm.

    It does so to see whether compiled code may multiply matrices. It may: scipy is a requirement, and is imported where such code is met.
    """
    if "numba.np.arraymath" in _sys.modules:
        return
    linalg: _Any = _import_module("numba.np.linalg")
    asked = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        arrays: _Any = _import_module("numba.np.arraymath")
        arrays.ensure_blas = asked
    finally:
        linalg.ensure_blas = asked


def _keep_compiled_code_apart() -> None:
    """Give every version of the source its own cache of compiled code, before numba is imported.

    Numba notices that a file changed, but not that a function which another file has compiled in has changed; without this, an update could
    go on trading with machine code of the version before. An operator's own NUMBA_CACHE_DIR is taken as the parent folder.
    """
    here = _Path(__file__).resolve().parent
    digest = _hashlib.sha256()
    for room in ("fx", "features", "strategy", "risk", "execution"):
        for source in sorted((here / room).glob("*.py")):
            digest.update(str(source.relative_to(here)).encode() + b"\0" + source.read_bytes())
    version = "source-" + digest.hexdigest()[:16]
    given = _os.environ.get("NUMBA_CACHE_DIR")
    if given and _Path(given).name.startswith("source-"):
        given = str(_Path(given).parent)
    parent = _Path(given) if given else here.parent / "output_central" / "compiled"
    try:
        (parent / version).mkdir(parents=True, exist_ok=True)
        if not _os.access(parent / version, _os.W_OK):
            return
        others = sorted((p for p in parent.glob("source-*") if p.name != version), key=lambda p: p.stat().st_mtime)
        for outdated in others[:-3]:
            _shutil.rmtree(outdated, ignore_errors=True)
    except OSError:
        return
    _os.environ["NUMBA_CACHE_DIR"] = str(parent / version)


_keep_compiled_code_apart()
