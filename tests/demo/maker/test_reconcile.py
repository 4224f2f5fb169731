"""From the open orders to the wanted book: exactly, in the fewest commands, never crossed."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from fairbook.demo.maker.quotes import ASK, BID, LimitOrder
from fairbook.demo.maker.reconcile import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    OpenOrder,
    reconcile,
    replace_all,
)


@st.composite
def books(draw: st.DrawFn) -> list[LimitOrder]:
    """A book that is not crossed; prices may repeat, and lots do."""
    middle = draw(st.integers(2, 30))
    bids = draw(st.lists(st.tuples(st.integers(1, middle - 1), st.integers(1, 4)), max_size=7))
    asks = draw(st.lists(st.tuples(st.integers(middle, 40), st.integers(1, 4)), max_size=7))
    return [LimitOrder(BID, *level) for level in bids] + [LimitOrder(ASK, *level) for level in asks]


@st.composite
def opened(draw: st.DrawFn) -> list[OpenOrder]:
    """Orders, some of them partly filled, in any order."""
    book = draw(st.permutations(draw(books())))
    return [
        OpenOrder(str(number), *quote, filled=draw(st.integers(0, 3)))
        for number, quote in enumerate(book)
    ]


def states(commands: list[Command], orders: list[OpenOrder]) -> Iterator[list[LimitOrder]]:
    """What is in the book after each command, done as the exchange does it."""
    book = {order.order_id: order for order in orders}
    for number, command in enumerate(commands):
        match command:
            case CancelAll():
                book.clear()
            case CancelOrder():
                assert book.pop(command.order_id).side == command.side
            case AmendOrder():
                before = book[command.order_id]
                assert before.side == command.side
                assert (command.price, command.total) != (
                    before.price,
                    before.lots + before.filled,
                ), "an amend that changes nothing"
                book[command.order_id] = before._replace(
                    price=command.price, lots=command.total - before.filled
                )
            case LimitOrder():
                book[f"new {number}"] = OpenOrder("", *command)
        yield [LimitOrder(order.side, order.price, order.lots) for order in book.values()]


def fewest(wanted: list[LimitOrder], orders: list[OpenOrder]) -> int:
    """The least number of commands there can be: each changes one order of one side, or all go."""
    count = 0
    for side in (BID, ASK):
        want = Counter(quote for quote in wanted if quote.side == side)
        have = Counter(LimitOrder(o.side, o.price, o.lots) for o in orders if o.side == side)
        kept = (want & have).total()
        count += max(want.total(), have.total()) - kept
    return min(count, 1 + len(wanted))


def is_crossed(book: list[LimitOrder]) -> bool:
    bids = [quote.price for quote in book if quote.side == BID]
    asks = [quote.price for quote in book if quote.side == ASK]
    return bool(bids and asks) and max(bids) >= min(asks)


@given(books(), opened())
def test_the_commands_make_the_wanted_book(
    wanted: list[LimitOrder], orders: list[OpenOrder]
) -> None:
    commands = reconcile(wanted, orders)
    start = [LimitOrder(order.side, order.price, order.lots) for order in orders]
    end = [start, *states(commands, orders)][-1]
    assert Counter(end) == Counter(wanted)


@given(books(), opened())
def test_there_are_no_fewer_commands(wanted: list[LimitOrder], orders: list[OpenOrder]) -> None:
    """And so never more than cancel-all and place-all."""
    commands = reconcile(wanted, orders)
    assert len(commands) == fewest(wanted, orders)
    assert len(commands) <= 1 + len(wanted)


@given(books(), opened())
def test_nothing_crosses_on_the_way(wanted: list[LimitOrder], orders: list[OpenOrder]) -> None:
    """The maker's bids and asks never cross, so its post-only orders are not refused for that."""
    for book in states(reconcile(wanted, orders), orders):
        assert not is_crossed(book)


@given(books())
def test_a_book_that_is_right_is_left_alone(wanted: list[LimitOrder]) -> None:
    orders = [OpenOrder(str(number), *quote) for number, quote in enumerate(wanted)]
    assert reconcile(wanted, orders) == []


@given(opened())
def test_nothing_wanted_is_one_command_at_most(orders: list[OpenOrder]) -> None:
    assert len(reconcile([], orders)) == min(len(orders), 1)


def test_a_lower_quantity_keeps_the_place() -> None:
    """The order at the price is amended down, not replaced by one from elsewhere."""
    orders = [OpenOrder("far", BID, 90, 5), OpenOrder("near", BID, 100, 9, filled=1)]
    commands = reconcile([LimitOrder(BID, 100, 4), LimitOrder(BID, 99, 5)], orders)
    assert commands == [AmendOrder("near", BID, 100, 5), AmendOrder("far", BID, 99, 5)]


def test_what_is_farthest_from_the_middle_is_cancelled() -> None:
    orders = [OpenOrder(str(price), ASK, price, 1) for price in (101, 105, 110)]
    assert reconcile([LimitOrder(ASK, 102, 1), LimitOrder(ASK, 103, 1)], orders) == [
        CancelOrder("110", ASK),
        AmendOrder("101", ASK, 102, 1),
        AmendOrder("105", ASK, 103, 1),
    ]


def test_a_market_has_two_sides_as_soon_as_can_be() -> None:
    wanted = [
        LimitOrder(BID, 99, 1),
        LimitOrder(BID, 98, 1),
        LimitOrder(ASK, 101, 1),
        LimitOrder(ASK, 102, 1),
    ]
    assert reconcile(wanted, []) == [
        LimitOrder(BID, 99, 1),
        LimitOrder(ASK, 101, 1),
        LimitOrder(BID, 98, 1),
        LimitOrder(ASK, 102, 1),
    ]
    assert replace_all(wanted) == [CancelAll(), *reconcile(wanted, [])]
