"""The exchange as one deterministic function (docs/reference/protocol.md), compiled or interpreted.

setup.py compiles the modules of this package with mypyc into `_compiled/KEY`. KEY is a hash of the
sources and of the interpreter's binary interface, so a compiled core never shadows edited sources.
If the folder of the present sources is complete, it is put first in the path of this package, and
imports find the compiled modules; otherwise they find the sources.

FAIRBOOK_CORE=interpreted: never use the compiled modules.
FAIRBOOK_CORE=compiled: raise ImportError without them.
"""

import os
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_HERE = Path(__file__).parent

# Written last: a folder without it is an unfinished build.
MANIFEST = "manifest"


def sources() -> list[Path]:
    """The modules that are compiled."""
    return sorted(path for path in _HERE.glob("*.py") if path.name != "__init__.py")


def key() -> str:
    """The key of the present sources."""
    digest = blake2b(EXTENSION_SUFFIXES[0].encode(), digest_size=12)
    for path in sources():
        source = path.read_bytes()
        digest.update(f"\n{path.name} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()


def _missing(folder: Path) -> str:
    """Why `folder` cannot be used, or empty."""
    if (folder / MANIFEST).is_file():
        return ""
    if any(folder.parent.glob(f"*/{MANIFEST}")):
        return "the compiled core was built from other sources or for another Python"
    return "the core has not been compiled"


def _choose() -> str:
    """Put the compiled modules first, or return why not."""
    wanted = os.environ.get("FAIRBOOK_CORE", "")
    if wanted not in ("", "compiled", "interpreted"):
        raise ImportError(f"FAIRBOOK_CORE is compiled, interpreted or not set, not {wanted!r}")
    if wanted == "interpreted":
        return "FAIRBOOK_CORE=interpreted"
    folder = _HERE / "_compiled" / key()
    why = _missing(folder)
    if not why:
        __path__.insert(0, str(folder))
    elif wanted == "compiled":
        raise ImportError(f"FAIRBOOK_CORE=compiled, but {why}")
    return why


WHY_INTERPRETED = _choose()
COMPILED = not WHY_INTERPRETED
