"""tests/vectors/numbers.json: decimal texts and their units, for the page in web/ as well.

`python -m tests.api.test_number_vectors` writes the file.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from fairbook.api.errors import BadRequest
from fairbook.api.numbers import Scale

PATH = Path(__file__).parents[1] / "vectors" / "numbers.json"
SCALES = ((1, 0), (1, 2), (5, 2), (25, 4), (1, 9), (10, 3), (1, 18))
TEXTS = (
    "0", "1", "0.01", "0.05", "10", "10.5", "10.50", "007", "0.10", "999999999999999999", ".5",
    "5.", "1e3", "1,5", "-1", "+1", " 1", "1 ", "", "0x1", "٣", "1.2.3", "1" * 19,
    "0.000000000000000001", "0." + "0" * 17 + "10", "123456.789", "0.30000000000000004",
)  # fmt: skip


def vectors() -> list[dict[str, Any]]:
    made = random.Random(1)
    numbers = [f"{made.randrange(10**6)}.{made.randrange(10**4):04d}" for _ in range(20)]
    found = []
    for step, decimals in SCALES:
        for text in (*TEXTS, *numbers):
            scale = Scale("Price", step=step, decimals=decimals)
            row = {"step": str(scale.step), "decimals": scale.decimals, "text": text}
            try:
                units = scale.units(text)
                found.append({**row, "units": str(units), "written": scale.text(units)})
            except BadRequest:
                found.append({**row, "units": None, "written": None})
    return found


def test_the_vectors_are_those_of_the_code() -> None:
    assert json.loads(PATH.read_text()) == vectors()


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text("[\n" + ",\n".join(map(json.dumps, vectors())) + "\n]\n")
