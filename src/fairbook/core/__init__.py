"""The exchange as one deterministic function (docs/reference/protocol.md), compiled or interpreted.

How it works: setup.py lets mypyc compile the modules of this package into `_compiled/KEY`, where
KEY is a hash of their sources and of the interpreter's binary interface. If the folder for the
sources as they are now is complete, it is put first in the path of this package, and imports find
the compiled modules in it; otherwise they find the sources.

FAIRBOOK_CORE=interpreted: never take the compiled modules.
FAIRBOOK_CORE=compiled: refuse to be imported without them.

Always true: a compiled core never shadows edited source, because another source is another KEY.
"""

import os
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_HERE = Path(__file__).parent

# The last file of a build to be written; a folder without it is a build that did not end.
MANIFEST = "manifest"


def sources() -> list[Path]:
    """The modules that are compiled: all of this package but this one."""
    return sorted(path for path in _HERE.glob("*.py") if path.name != "__init__.py")


def key() -> str:
    """What a compiled core must have been made from to stand for the sources as they are now."""
    digest = blake2b(EXTENSION_SUFFIXES[0].encode(), digest_size=12)
    for path in sources():
        source = path.read_bytes()
        digest.update(f"\n{path.name} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()


def _missing(folder: Path) -> str:
    """Why `folder` cannot be used, or nothing if it can."""
    if (folder / MANIFEST).is_file():
        return ""
    if any(folder.parent.glob(f"*/{MANIFEST}")):
        return "the compiled core is of other sources or of another Python"
    return "the core has not been compiled"


def _choose() -> str:
    """Put the compiled modules first if they are wanted and there; else say why not."""
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
