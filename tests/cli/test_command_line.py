"""The command line itself: help, version, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairbook import core
from fairbook.app.settings import SETTINGS
from fairbook.cli import COMMANDS, INTERNAL, main
from tests.world.commands import run_fairbook


def test_help_lists_the_commands_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for argument in ("--help", "-h", "help"):
        assert main([argument]) == 0
        listed = re.findall(r"^  ([\w-]+) ", capsys.readouterr().out, re.MULTILINE)
        assert listed == list(COMMANDS)
        assert set(listed).isdisjoint(INTERNAL)


@pytest.mark.parametrize("command", [*COMMANDS, *INTERNAL])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"usage: fairbook {command} " in capsys.readouterr().out


def test_the_help_of_up_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        assert setting.option in text
        assert setting.variable in text


def test_version_names_the_form_of_the_core(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("fairbook 0.")
    assert ("compiled" if core.COMPILED else "interpreted") in line


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["verfy", "d"], "verify"),
        (["--versoin"], "--version"),
        (["nothing"], "--help"),
        (["gateway"], "--help"),
        (["bench", "core"], "--help"),
        (["up", "--http-prot", "1"], "--http-port"),
        (["up", "--http", "1"], "--http-port"),
        (["verify"], "DIR"),
        (["verify", "a", "b"], "unknown argument b"),
        (["replay", "d", "--to", "0"], "--to"),
        (["admin", "resum", "d"], "resume"),
        (["admin", "resume", "d", "--aknowledge", "3"], "--acknowledge"),
        (["admin"], "ACTION"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line_that_names_the_right_word(
    argv: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("fairbook")
    assert named in said.err


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "usage: fairbook COMMAND" in said.err


def test_a_bad_setting_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "d"
    assert main(["up", "--data", str(directory), "--http-port", "x"]) == 2
    assert "--http-port" in capsys.readouterr().err
    monkeypatch.setenv("FAIRBOOK_WS_CONNECTIONS", "many")
    assert main(["up", "--data", str(directory)]) == 2
    said = capsys.readouterr().err
    assert "FAIRBOOK_WS_CONNECTIONS" in said and said.count("\n") == 1
    assert not directory.exists()


def test_commands_that_log_refuse_a_bad_format_of_log_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRBOOK_LOGS", "xml")
    for argv in (["maker", "--credentials", "none"], ["up"]):
        assert main(argv) == 2
        said = f"fairbook {argv[0]}: FAIRBOOK_LOGS must be text or json, not 'xml'\n"
        assert capsys.readouterr().err == said


def test_a_bad_form_of_the_core_is_refused_in_one_line() -> None:
    for arguments in (["--version"], ["status", "nowhere"]):
        done = run_fairbook(*arguments, FAIRBOOK_CORE="nonsense")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "FAIRBOOK_CORE" in done.stderr and "nonsense" in done.stderr
    assert run_fairbook("--help", FAIRBOOK_CORE="nonsense").returncode == 0


def test_a_misspelt_variable_is_named(tmp_path: Path) -> None:
    done = run_fairbook(
        "up", "--data", str(tmp_path / "file"), FAIRBOOK_HTTP_PROT="0", FAIRBOOK_HOST="no host"
    )
    assert done.returncode == 1
    assert "FAIRBOOK_HTTP_PROT is not a setting; did you mean FAIRBOOK_HTTP_PORT?" in done.stderr
