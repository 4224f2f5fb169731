"""Set Fairbook up on first use, and run it.

./dev up [--data DIR] [...]      run the exchange with its demo; options are those of `fairbook up`
./dev test [--all] [PYTEST ...]  run the tests; --all: also the long ones, and public clients
./dev check [--fix]              lint, format, types
./dev bench NAME [...]           measure; `./dev bench --help` lists them
./dev lock [--upgrade]           write the requirements*.txt anew from pyproject.toml

How it works: .venv gets what the locked lists name, and nothing else; a stamp in it remembers which
lists those were, so that a second run costs no time. Where a C compiler is found the core is
compiled whenever its sources have changed. Only the standard library is used here.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENVS = ROOT / ".venvs"  # one for each public client that tests/clients runs
COMPILED = ROOT / "src" / "fairbook" / "core" / "_compiled"
COMPILE_LOG = ROOT / "build" / "core.log"
BUILDS_KEPT = 4

TO_RUN = ("requirements.txt", "requirements-build.txt")
TO_TEST = (*TO_RUN, "requirements-dev.txt")
TOGETHER = ("tests/bench", "tests/cli", "tests/clients", "tests/crash", "tests/followers")
"""Tests of whole processes, for which a run mostly waits."""
CLIENTS = ("ccxt-4.5.90", "ccxt-4.5.64", "bpx-py-2.0.11")
WHEELS = ("--only-binary=:all:",)  # Nobody's build script runs here but our own.
LOCKER = "uv==0.13.9"


def say(text: str) -> None:
    print(f"dev: {text}", file=sys.stderr, flush=True)


def up(arguments: list[str]) -> int:
    prepare(TO_RUN)
    compile_core()
    return become("fairbook", ["up", *arguments])


def bench(arguments: list[str]) -> int:
    prepare(TO_TEST)
    compile_core(must=True)
    os.chdir(ROOT)  # bench/ is beside the package, not installed.
    return become("bench", arguments)


def test(arguments: list[str]) -> int:
    """Run pytest; without paths, also the core's tests interpreted, unless FAIRBOOK_CORE says
    which core.
    """
    everything = "--all" in arguments
    chosen = [argument for argument in arguments if argument != "--all"]
    prepare(TO_TEST)
    compiled = compile_core(must=True)
    if everything:
        chosen = ["-m", "", *chosen]
        for client in CLIENTS:
            prepare_client(client)
    pytest = [str(python_of(VENV)), "-m", "pytest"]
    if "FAIRBOOK_CORE" in os.environ or not compiled:
        return run([*pytest, *chosen])
    if set(arguments) <= {"--all"} and (ROOT / "tests").is_dir():
        return test_everything([*pytest, *chosen])
    return run([*pytest, *chosen], {"FAIRBOOK_CORE": "compiled"})


def test_everything(pytest: list[str]) -> int:
    """Run all of it in three parts at once, which share the processors well. What the second and
    the third say is shown when they have ended.
    """
    quietly = [*pytest, "-q", "-p", "no:cacheprovider"]
    rest = [*pytest, *(f"--ignore={folder}" for folder in TOGETHER)]
    with (
        beside("tests of whole processes", [*quietly, *TOGETHER], "compiled") as whole,
        beside("the core's tests, interpreted", [*quietly, "tests/core"], "interpreted") as core,
    ):
        status = run(rest, {"FAIRBOOK_CORE": "compiled"})
    return status or whole.returncode or core.returncode


@contextmanager
def beside(what: str, command: list[str], core: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the `with` block runs, wait for its end, and show what it printed."""
    environment = {**os.environ, "FAIRBOOK_CORE": core}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=told, stderr=told)
        try:
            yield process
        finally:
            process.wait()
            say(what)
            told.seek(0)
            shutil.copyfileobj(told, sys.stdout.buffer)
            sys.stdout.flush()


def check(arguments: list[str]) -> int:
    """Run every check, also after one of them has failed."""
    prepare(TO_TEST)
    python = str(python_of(VENV))
    fix = "--fix" in arguments
    statuses = [
        run([python, "-m", "ruff", "check", *(["--fix"] if fix else [])]),
        run([python, "-m", "ruff", "format", *([] if fix else ["--check"])]),
        run([python, "-m", "mypy"]),
    ]
    return max(statuses)


def lock(arguments: list[str]) -> int:
    """Resolve for every platform and Python from 3.11 on; keep the present versions if they fit."""
    with alone():
        tool = VENVS / "lock"
        make_venv(tool)
        run_or_stop([*pip_of(tool), "install", LOCKER])
    for name, source in (
        ("requirements.txt", ["pyproject.toml"]),
        ("requirements-build.txt", ["--group", "build", "-c", "requirements.txt"]),
        ("requirements-dev.txt", ["--group", "dev", "-c", "requirements-build.txt"]),
    ):
        resolve(name, source, arguments)
    for client in CLIENTS:
        name, _, version = client.rpartition("-")
        resolve(f"tests/clients/requirements-{client}.txt", ["-"], arguments, f"{name}=={version}")
    return 0


def resolve(path: str, source: list[str], arguments: list[str], text: str = "") -> None:
    say(f"resolving {path}")
    uv = str(VENVS / "lock" / "bin" / "uv")
    switches = "--universal --generate-hashes --no-header --no-annotate --only-binary=:all: --quiet"
    command = [uv, "pip", "compile", *source, *switches.split(), *arguments]
    (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*command, "--python-version=3.11", f"--output-file={path}"],
        cwd=ROOT,
        input=text,
        text=True,
        check=True,
    )


def prepare(lists: Sequence[str]) -> None:
    """Make .venv hold what `lists` name, and the package itself as it stands here."""
    wanted = {name: fingerprint(ROOT / name) for name in lists}
    built_by = fingerprint(ROOT / "pyproject.toml", ROOT / "setup.py")
    wanted["the package"] = f"{built_by} {ROOT}"
    if wanted.items() <= stamp_of(VENV).items():
        return
    with alone():
        stamp = stamp_of(VENV)
        if wanted.items() <= stamp.items():
            return  # Another ./dev did it meanwhile.
        make_venv(VENV)
        changed = [name for name in lists if stamp.get(name) != wanted[name]]
        if changed:
            install(VENV, lists)
            # What was compiled by another mypyc, or against another runtime, is of no use.
            shutil.rmtree(COMPILED, ignore_errors=True)
        package = ["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        run_or_stop([*pip_of(VENV), *package], {"FAIRBOOK_BUILD": "interpreted"})
        write_stamp(VENV, {**stamp, **wanted})


def prepare_client(name: str) -> None:
    """Make .venvs/NAME hold one public client, unmodified, and what it needs."""
    path = f"tests/clients/requirements-{name}.txt"
    wanted = {path: fingerprint(ROOT / path)}
    with alone():
        if wanted == stamp_of(VENVS / name):
            return
        make_venv(VENVS / name)
        install(VENVS / name, [path])
        write_stamp(VENVS / name, wanted)


def compile_core(*, must: bool = False) -> bool:
    """Compile the core if its sources have changed since; returns whether it is compiled.

    must: stop if the compiler that is there fails, instead of going on interpreted.
    """
    if is_compiled():
        return True
    if os.environ.get("FAIRBOOK_CORE") == "interpreted":
        return False
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        say("no C compiler found: the core runs interpreted, several times slower")
        return False
    with alone():
        if is_compiled():
            return True
        say("compiling the core, which takes some seconds; only after changes to it")
        status = run_compiler()
    if is_compiled():
        return True
    lines = COMPILE_LOG.read_text(errors="replace").splitlines()
    if status == os.EX_UNAVAILABLE:
        say(lines[-1])
        return False
    say("the core could not be compiled; build/core.log says more:")
    say("\n".join(line[:300] for line in lines[-10:]))
    if must:
        sys.exit(status or 1)
    return False


def run_compiler() -> int:
    """Compile; what the compiler says goes to COMPILE_LOG."""
    COMPILE_LOG.parent.mkdir(exist_ok=True)
    setup = [str(python_of(VENV)), "setup.py", "--quiet", "build_ext", "--inplace"]
    with COMPILE_LOG.open("wb") as output:
        status = run(setup, {"FAIRBOOK_BUILD": "compiled"}, output.fileno())
    # Keep the newest few, so that going back and forth between versions is cheap.
    builds = sorted(COMPILED.glob("*"), key=lambda path: path.stat().st_mtime)
    for path in builds[:-BUILDS_KEPT]:
        shutil.rmtree(path)
    return status


def is_compiled() -> bool:
    """Whether there is a compiled core of the sources as they are."""
    environment = {**os.environ, "FAIRBOOK_CORE": ""}
    command = [str(python_of(VENV)), "-c", "import fairbook.core as core; print(core.COMPILED)"]
    return subprocess.check_output(command, env=environment, cwd=ROOT, text=True) == "True\n"


def make_venv(path: Path) -> None:
    """Make a virtual environment, unless a working one is there."""
    probe = [str(python_of(path)), "-c", "import pip"]
    if python_of(path).exists() and run(probe) == 0:
        return
    say(f"making {path.relative_to(ROOT)}")
    status = run([base_python(), "-m", "venv", "--clear", str(path)])
    if status != 0:
        say("Python's venv module is needed (Debian: apt install python3-venv)")
        sys.exit(status)


def base_python() -> str:
    """The interpreter outside of any environment: one that --clear does not remove."""
    return str(getattr(sys, "_base_executable", sys.executable))


def install(venv: Path, lists: Sequence[str]) -> None:
    """Install locked versions, from wheels whose hashes are known."""
    say(f"installing into {venv.relative_to(ROOT)}")
    named = [part for name in lists for part in ("-r", str(ROOT / name))]
    run_or_stop([*pip_of(venv), "install", "--require-hashes", "--no-deps", *WHEELS, *named])


def pip_of(venv: Path) -> list[str]:
    switches = ["--quiet", "--no-input", "--disable-pip-version-check"]
    return [str(python_of(venv)), "-m", "pip", *switches]


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def fingerprint(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def stamp_of(venv: Path) -> dict[str, str]:
    """What was last installed into `venv`; nothing if it is not usable."""
    try:
        stamp: dict[str, str] = json.loads((venv / "stamp.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if python_of(venv).exists() else {}


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
    aside = venv / "stamp.json.new"
    aside.write_text(json.dumps(stamp, indent=1))
    aside.rename(venv / "stamp.json")


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other ./dev changes an environment or compiles."""
    VENVS.mkdir(exist_ok=True)
    with (VENVS / "lock-file").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another ./dev to finish its setup")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list[str], extra: dict[str, str] | None = None, output: int | None = None) -> int:
    """Run a command in ROOT and return its exit status.

    extra: additions to the environment. output: a file for all that it prints.
    """
    environment = {**os.environ, **(extra or {})}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False
    )
    return done.returncode


def run_or_stop(command: list[str], extra: dict[str, str] | None = None) -> None:
    status = run(command, extra)
    if status != 0:
        sys.exit(status)


def become(module: str, arguments: list[str]) -> int:
    """Run a module in place of this process, so that signals reach it."""
    python = str(python_of(VENV))
    sys.stdout.flush()
    os.execv(python, [python, "-m", module, *arguments])


COMMANDS = {"up": up, "test": test, "check": check, "bench": bench, "lock": lock}


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        asked = arguments in (["-h"], ["--help"], ["help"])
        print(__doc__, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        return command(arguments[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
