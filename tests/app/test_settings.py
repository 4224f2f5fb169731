"""Settings: precedence, values that are refused, and the table in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairbook.app.settings import (
    SETTINGS,
    SettingError,
    UpSettings,
    documentation,
    misspelt,
    read_settings,
)


def test_nothing_given_means_the_defaults() -> None:
    assert read_settings({}, {}) == UpSettings()
    options = {"data_dir": None, "with_maker": False}
    assert read_settings(options, {"FAIRBOOK_DATA": "", "FAIRBOOK_HTTP_PORT": ""}) == UpSettings()


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"FAIRBOOK_DATA": "from-environ", "FAIRBOOK_HTTP_PORT": "9000"}
    settings = read_settings({"http_port": "0", "with_maker": True, "allow_faults": True}, environ)
    assert settings.data_dir == Path("from-environ")
    assert settings.http_port == 0
    assert not settings.with_maker
    assert settings.with_replica
    assert settings.allow_faults


@pytest.mark.parametrize(
    "port", ["-1", "65536", "80 ", "1e3", "٣", "0x50", "99999999999999999999", "http"]
)
def test_a_bad_port_is_refused_by_the_name_it_was_given_by(port: str) -> None:
    with pytest.raises(SettingError, match="--http-port must be a whole number, 0 to 65535, not"):
        read_settings({"http_port": port}, {})
    with pytest.raises(SettingError, match="FAIRBOOK_WS_PORT"):
        read_settings({}, {"FAIRBOOK_WS_PORT": port})


@pytest.mark.parametrize("seconds", ["-1", "61", "nan", "inf", "five"])
def test_a_bad_duration_is_refused(seconds: str) -> None:
    with pytest.raises(SettingError, match="FAIRBOOK_DRAIN_MAX_S"):
        read_settings({}, {"FAIRBOOK_DRAIN_MAX_S": seconds})


def test_logs_are_text_or_json() -> None:
    assert read_settings({}, {"FAIRBOOK_LOGS": "json"}).json_logs is True
    assert read_settings({}, {"FAIRBOOK_LOGS": "text"}).json_logs is False
    with pytest.raises(SettingError, match="FAIRBOOK_LOGS"):
        read_settings({}, {"FAIRBOOK_LOGS": "xml"})


def test_every_variable_is_read() -> None:
    """A value that no setting takes is refused for each of them but those that take any."""
    variables = [setting.variable for setting in SETTINGS if setting.variable]
    assert len(set(variables)) == len(variables) > 10
    refused = []
    for variable in variables:
        try:
            read_settings({}, {variable: "-"})
        except SettingError as error:
            assert str(error).startswith(f"{variable} must be ")
            refused.append(variable)
    assert set(variables) - set(refused) == {
        "FAIRBOOK_ADMIN_HOST",
        "FAIRBOOK_CHECKPOINTS_FILE",
        "FAIRBOOK_CONFIG",
        "FAIRBOOK_DATA",
        "FAIRBOOK_HOST",
        "FAIRBOOK_HOSTS",
        "FAIRBOOK_IDENTITY_FILE",
        "FAIRBOOK_WS_ORIGINS",
    }


def test_the_documentation_has_the_table_of_settings() -> None:
    path = Path(__file__).parents[2] / "docs" / "operate" / "operations.md"
    assert documentation() in path.read_text(), "run `python -m fairbook.app.settings`"


def test_misspelt_variables_are_found() -> None:
    environ = {
        "FAIRBOOK_HTTP_PROT": "1",
        "FAIRBOOK_DRAIN_S": "1",
        "FAIRBOOK_HTTP_PORT": "1",
        "FAIRBOOK_CORE": "compiled",
        "FAIRBOOK_SEED": "1",
        "HTTP_PROT": "1",
    }
    assert list(misspelt(environ)) == [
        ("FAIRBOOK_DRAIN_S", "FAIRBOOK_DRAIN_MAX_S"),
        ("FAIRBOOK_HTTP_PROT", "FAIRBOOK_HTTP_PORT"),
    ]


def test_one_port_for_both_servers_is_refused() -> None:
    with pytest.raises(SettingError, match="8001 twice"):
        read_settings({"http_port": "8001"}, {})
    assert read_settings({"http_port": "0", "ws_port": "0"}, {}).ws_port == 0


def test_limits_of_the_streams() -> None:
    environ = {
        "FAIRBOOK_WS_PER_ADDRESS": "10",
        "FAIRBOOK_WS_CONNECTIONS": "99",
        "FAIRBOOK_WS_ORIGINS": "https://a.example, https://b.example",
    }
    settings = read_settings({"with_recorder": True}, environ)
    assert (settings.ws_per_address, settings.ws_connections) == (10, 99)
    assert settings.ws_origins == ("https://a.example", "https://b.example")
    assert not settings.with_recorder
    with pytest.raises(SettingError, match="FAIRBOOK_WS_PER_ADDRESS"):
        read_settings({}, {"FAIRBOOK_WS_PER_ADDRESS": "0"})
