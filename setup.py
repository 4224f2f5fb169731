"""Build the package: plain Python, and core/ compiled by mypyc where a C compiler is found.

FAIRBOOK_BUILD=interpreted: do not compile. FAIRBOOK_BUILD=compiled: fail if it cannot be compiled.

The compiled modules go to fairbook/core/_compiled/KEY (see fairbook/core/__init__.py), as one
library, so that calls between them are C calls.
"""

import os
import runpy
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMMANDS_THAT_COMPILE = {"bdist_wheel", "build", "build_ext", "editable_wheel"}
BUILD_DIR = Path("build", "core")

core = runpy.run_path(
    str(Path("src", "fairbook", "core", "__init__.py")), init_globals={"__path__": []}
)


class BuildCore(build_ext):
    """Build the extensions, then write the manifest that makes them valid."""

    def run(self) -> None:
        if not self.extensions:
            return
        folder = Path(self.get_ext_fullpath(self.extensions[0].name)).parent
        folder.mkdir(parents=True, exist_ok=True)
        for other in Path(self.build_lib, "fairbook", "core", "_compiled").glob("*"):
            if other.name != folder.name:
                shutil.rmtree(other)  # It must not go into the next wheel.
        super().run()
        built = all(Path(self.get_ext_fullpath(each.name)).exists() for each in self.extensions)
        if built and folder.name == core["key"]():
            from mypy.version import __version__ as mypy_version  # noqa: PLC0415

            (folder / core["MANIFEST"]).write_text(f"mypyc {mypy_version}\n", encoding="ascii")
        elif os.environ.get("FAIRBOOK_BUILD") == "compiled":
            sys.exit("the core was edited while it was being compiled" if built else 1)


def without_compiler() -> str:
    """Why C cannot be compiled here; empty if it can. Sets CC if the configured one is missing."""
    configured = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(configured) is None:
        found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
        if found is None:
            return "no C compiler was found"
        os.environ["CC"] = found
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's C headers are not installed (Debian: python3-dev)"
    return ""


def compiled_modules(*, demanded: bool) -> list[Extension]:
    """Translate core/ to C, and return the extensions to compile."""
    from mypyc.build import mypycify  # noqa: PLC0415

    key = core["key"]()
    modules = [str(path) for path in core["sources"]()]
    BUILD_DIR.mkdir(parents=True, exist_ok=True)
    package = f"fairbook.core._compiled.{key}"
    extensions: list[Any] = mypycify(
        [f"--cache-dir={BUILD_DIR / 'mypy_cache'}", *modules],
        group_name="fairbook.core.native",
        opt_level="3",
        target_dir=str(BUILD_DIR),
    )
    for extension in extensions:
        extension.name = f"{package}.{extension.name.rpartition('.')[2]}"
        extension.optional = not demanded
        # The C is generated: warnings of newer compilers are no errors.
        extension.extra_compile_args = [*extension.extra_compile_args, "-Wno-error"]
    return extensions


def extensions() -> list[Extension]:
    """What to compile in this run: core/, or nothing."""
    wanted = os.environ.get("FAIRBOOK_BUILD", "")
    if wanted not in ("", "compiled", "interpreted"):
        sys.exit(f"FAIRBOOK_BUILD must be compiled or interpreted, not {wanted!r}")
    if wanted == "interpreted" or COMMANDS_THAT_COMPILE.isdisjoint(sys.argv):
        return []
    why = without_compiler()
    if why:
        sys.stderr.write(f"the core will run interpreted: {why}\n")
        if wanted == "compiled":
            sys.exit(os.EX_UNAVAILABLE)
        return []
    try:
        return compiled_modules(demanded=wanted == "compiled")
    except (ImportError, SystemExit) as error:
        if wanted == "compiled":
            raise
        sys.stderr.write(f"the core will run interpreted: mypyc failed ({error})\n")
        return []


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildCore})
