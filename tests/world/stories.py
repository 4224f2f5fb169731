"""Async tests that get something running: `with_exchange = runner_of(play, 2)` makes a decorator.

@with_exchange(SOME_LIMITS)
async def test_something(venue: RunningExchange, client: HttpClient) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Test = Callable[..., Any]


def runner_of(play: Callable[..., None], arguments: int) -> Callable[..., Callable[[Test], Test]]:
    """A decorator for async tests that `play` runs, giving their first `arguments` arguments.

    The other arguments of a test are pytest's. Those of the decorator go to `play`.
    """

    def with_options(*options: Any, **named_options: Any) -> Callable[[Test], Test]:
        def decorate(story: Test) -> Test:
            @functools.wraps(story)
            def test(**fixtures: Any) -> None:
                play(functools.partial(story, **fixtures), *options, **named_options)

            signature = inspect.signature(story)
            of_pytest = list(signature.parameters.values())[arguments:]
            del test.__wrapped__  # pytest would look through it.
            test.__signature__ = signature.replace(parameters=of_pytest)  # type: ignore[attr-defined]
            return test

        return decorate

    return with_options
