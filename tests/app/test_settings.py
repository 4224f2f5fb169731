"""Settings: what wins, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairbook.app import settings
from fairbook.app.settings import BadSetting, UpSettings, up_settings


def test_without_anything_the_defaults_hold() -> None:
    """Also when variables are there but empty."""
    assert up_settings({}, {}) == UpSettings()
    assert up_settings({"data": None}, {"FAIRBOOK_DATA": "", "FAIRBOOK_HTTP_PORT": ""}) == (
        UpSettings()
    )


def test_an_argument_wins_over_the_environment() -> None:
    """And the environment over the default."""
    environ = {"FAIRBOOK_DATA": "from-environ", "FAIRBOOK_HTTP_PORT": "9000"}
    given = up_settings({"http-port": "0", "no-maker": ""}, environ)
    assert given.data_dir == Path("from-environ")
    assert given.http_port == 0
    assert not given.with_maker


@pytest.mark.parametrize(
    "port", ["-1", "65536", "80 ", "1e3", "٣", "0x50", "99999999999999999999", "http"]
)
def test_a_bad_port_is_named(port: str) -> None:
    """With the name under which it was given."""
    with pytest.raises(BadSetting, match="--http-port"):
        up_settings({"http-port": port}, {})
    with pytest.raises(BadSetting, match="FAIRBOOK_WS_PORT"):
        up_settings({}, {"FAIRBOOK_WS_PORT": port})


@pytest.mark.parametrize("seconds", ["-1", "61", "nan", "inf", "five"])
def test_a_bad_duration_is_named(seconds: str) -> None:
    """Not a number is not a duration either."""
    with pytest.raises(BadSetting, match="FAIRBOOK_DRAIN_MAX_S"):
        up_settings({}, {"FAIRBOOK_DRAIN_MAX_S": seconds})


def test_logs_are_text_or_json() -> None:
    """Nothing else."""
    assert up_settings({}, {"FAIRBOOK_LOGS": "json"}).json_logs is True
    assert up_settings({}, {"FAIRBOOK_LOGS": "text"}).json_logs is False
    with pytest.raises(BadSetting, match="FAIRBOOK_LOGS"):
        up_settings({}, {"FAIRBOOK_LOGS": "xml"})


def test_every_variable_is_documented() -> None:
    found = set(re.findall(r'"(FAIRBOOK_[A-Z_]+)"', Path(settings.__file__).read_text()))
    assert len(found) > 10
    text = (Path(__file__).parents[2] / "docs" / "operate" / "operations.md").read_text()
    assert [name for name in sorted(found) if f"`{name}`" not in text] == []


def test_two_ports_are_needed() -> None:
    """One number for both is a mistake; twice "any free one" is not."""
    with pytest.raises(BadSetting, match="8001 for both"):
        up_settings({"http-port": "8001"}, {})
    assert up_settings({"http-port": "0", "ws-port": "0"}, {}).ws_port == 0


def test_limits_of_the_streams() -> None:
    environ = {
        "FAIRBOOK_WS_PER_ADDRESS": "10",
        "FAIRBOOK_WS_CONNECTIONS": "99",
        "FAIRBOOK_WS_ORIGINS": "https://a.example, https://b.example",
    }
    given = up_settings({"no-recorder": ""}, environ)
    assert (given.ws_per_address, given.ws_connections) == (10, 99)
    assert given.ws_origins == ("https://a.example", "https://b.example")
    assert not given.with_recorder
    with pytest.raises(BadSetting, match="FAIRBOOK_WS_PER_ADDRESS"):
        up_settings({}, {"FAIRBOOK_WS_PER_ADDRESS": "0"})
