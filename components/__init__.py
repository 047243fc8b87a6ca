"""Sequence FX: from market data to live MetaTrader 5 trading, one room per package.

Rooms import only rooms below them (see `.importlinter`); everything else uses a room through its front, the names in its `__all__`.
"""

import hashlib as _hashlib
import os as _os
import sys as _sys
from pathlib import Path as _Path


def _keep_machine_code_by_source() -> None:
    """Name numba's cache after the sources of all compiled rooms.

    numba looks only at the file of the function itself: a fill rule that was changed in one file would go on running as it was, inside a
    function that was compiled in another.
    """
    rooms = _Path(__file__).resolve().parent
    digest = _hashlib.sha256()
    for room in ("fx", "features", "risk", "strategy", "execution"):
        for source in sorted((rooms / room).glob("*.py")):
            content = source.read_bytes()
            if b"numba" in content or b"@compiled" in content or source.name == "book.py":
                digest.update(source.name.encode() + b"\0" + content)
    folder = str(rooms / "__pycache__" / f"compiled-{digest.hexdigest()[:16]}")
    _os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in _sys.modules:
        _sys.modules["numba"].config.CACHE_DIR = folder


_keep_machine_code_by_source()
