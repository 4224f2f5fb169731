from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts.accounts_place import AccountsPlace, accounts_place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[AccountsPlace]:
    with accounts_place(tmp_path) as made:
        yield made
