"""The local book: equal to the exchange's at every update id, whatever is merged, late or lost."""

from hypothesis import given
from hypothesis import strategies as st

from fairbook.client.local_book import LocalBook, LocalBookSide
from fairbook.client.messages import Depth, DepthUpdate, Level
from tests.demo.maker.test_quotes import GRIDS

GRID = GRIDS["SOL_USDC"]
FIRST_ID = 12
Book = dict[tuple[str, int], int]
Change = tuple[str, int, int]  # side, price, lots


def level(price: int, lots: int) -> Level:
    return GRID.price.text(price), GRID.quantity.text(lots)


def history(changes: list[Change]) -> list[Book]:
    """The true book after each update; entry n is at id FIRST_ID + n."""
    books: list[Book] = [{}]
    for side, price, lots in changes:
        book = dict(books[-1])
        book[side, price] = lots
        if not lots:
            del book[side, price]
        books.append(book)
    return books


def update_of(changes: list[Change], first: int, last: int) -> DepthUpdate:
    """Updates first..last (counted from 1) merged into one message."""
    merged: dict[tuple[str, int], int] = {}
    for side, price, lots in changes[first - 1 : last]:
        merged[side, price] = lots
    return DepthUpdate(
        symbol="SOL_USDC",
        first_id=FIRST_ID + first,
        last_id=FIRST_ID + last,
        bids=[level(p, lots) for (side, p), lots in merged.items() if side == "Bid"],
        asks=[level(p, lots) for (side, p), lots in merged.items() if side == "Ask"],
    )


def snapshot_of(book: Book, at: int) -> Depth:
    return Depth(
        asks=sorted(level(p, lots) for (side, p), lots in book.items() if side == "Ask"),
        bids=sorted(level(p, lots) for (side, p), lots in book.items() if side == "Bid"),
        last_update_id=str(FIRST_ID + at),
        timestamp=0,
    )


def content(book: LocalBook) -> Book:
    bids = {("Bid", price): lots for price, lots in book.bids.levels()}
    asks = {("Ask", price): lots for price, lots in book.asks.levels()}
    return bids | asks


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    one = st.tuples(st.sampled_from(("Bid", "Ask")), st.integers(1, 8), st.integers(0, 3))
    return draw(st.lists(one, min_size=1, max_size=30))


@given(changes(), st.data())
def test_the_book_is_exact_at_every_id(every: list[Change], data: st.DataObject) -> None:
    """Messages merged at random, some lost, snapshots of any moment: while live, it is right; and
    a snapshot that is new enough makes it live.
    """
    truth = history(every)
    book = LocalBook(GRID)
    at = 0  # updates sent so far
    newest_snapshot = -1
    while at < len(every):
        if not book.is_live and data.draw(st.booleans(), label="snapshot"):
            newest_snapshot = data.draw(st.integers(max(newest_snapshot, 0), at), label="as of")
            became_live = book.load(snapshot_of(truth[newest_snapshot], newest_snapshot))
            assert became_live == book.is_live
        last = data.draw(st.integers(at + 1, min(at + 4, len(every))), label="message up to")
        if data.draw(st.integers(0, 9), label="lost") != 0:
            book.on_update(update_of(every, at + 1, last))
        at = last
        if book.is_live:
            assert content(book) == truth[book.last_id - FIRST_ID]
    if not book.is_live:
        assert book.load(snapshot_of(truth[at], at))
        assert book.last_id == FIRST_ID + at
    assert content(book) == truth[book.last_id - FIRST_ID]


def test_after_a_gap_a_new_snapshot_is_needed() -> None:
    every = [("Bid", 5, 1), ("Bid", 6, 2), ("Ask", 9, 3), ("Ask", 8, 1)]
    book = LocalBook(GRID)
    book.on_update(update_of(every, 1, 1))
    assert not book.is_live
    assert book.load(snapshot_of(history(every)[1], 1))
    book.on_update(update_of(every, 3, 3))
    assert (book.is_live, book.gaps) == (False, 1)
    assert not book.load(snapshot_of(history(every)[1], 1)), "too old for what is kept"
    assert book.load(snapshot_of(history(every)[2], 2))
    book.on_update(update_of(every, 4, 4))
    assert content(book) == history(every)[4]
    assert book.bids.best() == (6, 2)
    assert book.asks.best() == (8, 1)


def test_the_same_message_twice_changes_nothing() -> None:
    every = [("Bid", 5, 1), ("Bid", 5, 0)]
    book = LocalBook(GRID)
    assert book.load(snapshot_of({}, 0))
    for first, last in ((1, 1), (1, 2), (1, 1), (2, 2)):
        book.on_update(update_of(every, first, last))
    assert book.is_live
    assert content(book) == {}


def test_the_best_price_of_a_side() -> None:
    for is_bid, best in ((True, 7), (False, 3)):
        side = LocalBookSide(is_bid=is_bid)
        assert side.best() is None
        for price in (5, 3, 7):
            side.set(price, price * 10)
        assert side.best() == (best, best * 10)
        assert [price for price, _ in side.levels()] == sorted((3, 5, 7), reverse=is_bid)
        side.set(best, 0)
        side.set(best, 0)
        assert side.best() == (5, 50)
        assert len(side) == 2
        assert best not in dict(side.levels())
