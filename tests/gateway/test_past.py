"""Long answers are made one at a time, and others have their turn meanwhile."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import cast

from fairbook.gateway.answers import Answers
from fairbook.gateway.past import Past
from fairbook.gateway.ports import History


def test_long_answers_are_made_one_at_a_time() -> None:
    """However many are asked for, whoever waits for the loop waits for a piece of one."""
    made: list[str] = []
    turns: list[int] = []

    async def make(past: Past, name: str) -> bytes:
        def text_of(number: int) -> str:
            made.append(name)
            return str(number)

        return await past.array(range(100), text_of)

    async def look() -> None:
        while len(made) < 300:
            turns.append(len(made))
            await asyncio.sleep(0)

    async def main() -> None:
        past = Past(cast(Answers, None), cast(History, None))
        *texts, _ = await asyncio.gather(make(past, "a"), make(past, "b"), make(past, "c"), look())
        assert texts == [f"[{','.join(map(str, range(100)))}]".encode()] * 3

    asyncio.run(main())
    assert made == ["a"] * 100 + ["b"] * 100 + ["c"] * 100
    assert max(later - turn for turn, later in pairwise(turns)) <= 25


def test_a_short_answer_does_not_wait_for_a_long_one() -> None:
    ended: list[int] = []

    async def make(past: Past, count: int) -> None:
        await past.array(range(count), str)
        ended.append(count)

    async def main() -> None:
        past = Past(cast(Answers, None), cast(History, None))
        await asyncio.gather(*[make(past, count) for count in (1000, 900, 25, 1, 0)])

    asyncio.run(main())
    assert ended == [25, 1, 0, 1000, 900]
