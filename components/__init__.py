"""Sequence FX: from market data to live MetaTrader 5 trading, one room per package.

Rooms import only rooms below them (see `.importlinter`); everything else uses a room through its front, the names in its `__all__`.
"""

import hashlib as _hashlib
import os as _os
import shutil as _shutil
from pathlib import Path as _Path


def _keep_compiled_code_apart() -> None:
    """Give every version of the source its own cache of compiled code, before numba is imported.

    Numba notices that a file changed, but not that a function which another file has compiled in has changed; without this, an update could
    go on trading with machine code of the version before. An operator's own NUMBA_CACHE_DIR is taken as the parent folder.
    """
    here = _Path(__file__).resolve().parent
    digest = _hashlib.sha256()
    for room in ("fx", "features", "strategy", "risk", "execution", "backtest"):
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
