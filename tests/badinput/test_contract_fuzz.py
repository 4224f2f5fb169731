"""schemathesis against a real process: no server error, and only answers that OpenAPI has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.world.exchange_process import ExchangeProcess

SEED = 1
EXAMPLES = 15  # for each route
LEFT_OUT = ("/auth/v1/logout", "/auth/v1/password")  # They end the token that is used.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance",
)  # fmt: skip
UNLIMITED = {"FAIRBOOK_SIGN_UPS_PER_HOUR": "0", "FAIRBOOK_GUESSES_PER_MINUTE": "0"}
TESTED = re.compile(r"Test cases:\s+(\d+) generated, (\d+) passed")


@pytest.mark.slow
def test_generated_requests_get_answers_of_the_contract(tmp_path: Path) -> None:
    with ExchangeProcess(tmp_path / "d", environment=UNLIMITED) as venue:
        token = venue.demo("demo1")["token"]
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{venue.url}/openapi.json",
            "-H", f"Authorization: Bearer {token}", "--seed", str(SEED), "--no-color",
            "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
            "--checks", ",".join(CHECKS),
        ]  # fmt: skip
        for path in LEFT_OUT:
            command += ["--exclude-path", path]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path
        )
        venue.stop()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    counts = TESTED.search(done.stdout)
    assert counts is not None and int(counts[1]) == int(counts[2]) > 1_000
