"""Settings, database, clock, files and log: what every room stands on."""

from components.base.clock import now_ms
from components.base.database import Database, Migration, claim_one, create_all, insert_or_ignore
from components.base.files import atomic_path, sha256_of, write_atomic
from components.base.log import configure_log, get_log
from components.base.settings import ROOT, VERSION, Settings, load_settings

__all__ = [
    "ROOT",
    "VERSION",
    "Database",
    "Migration",
    "Settings",
    "atomic_path",
    "claim_one",
    "configure_log",
    "create_all",
    "get_log",
    "insert_or_ignore",
    "load_settings",
    "now_ms",
    "sha256_of",
    "write_atomic",
]
