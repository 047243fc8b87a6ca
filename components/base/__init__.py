# ruff: noqa: F401
"""Settings, database, clock, files and log: what every room stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.base.clock import now_ms
    from components.base.database import Database, Migration, claim_one, create_all, insert_or_ignore
    from components.base.files import atomic_path, sha256_of, write_atomic
    from components.base.log import configure_log, get_log
    from components.base.settings import ROOT, VERSION, Settings, load_settings

# Imported when first asked for: a fresh process must not pay for what it does not use.
__getattr__, __all__ = lazy_front(__name__, __file__)
