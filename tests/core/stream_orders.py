"""Orders of a stream."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from fairbook.core import parts, records
from tests.core.stream_choices import EXTREMES, POOR, WIDE, Choices

# Texts that differ in one character, at an end, in their case, or from a number by a zero.
TEXTS = (
    "a", "b", "A", "a.", "007", "07", "00", "4294967296", "42949672950", "-1", "a" * 36,
    "a" * 35 + "b", "b" + "a" * 35, "bot:1/BTC-USDT_2", "bot:1/BTC-USDT_3",
)  # fmt: skip
NO_TEXTS = (b"7", b"0", b"4294967295", b"a b", b"caf\xc3\xa9", b"a\0", b"")
_TEXT = Struct("<BB10x36s")


def text_part(text: bytes, length: int) -> bytes:
    """A TEXT, which may be none."""
    return _TEXT.pack(records.TEXT_PART, length, text)


class OrderChoices(Choices):
    """PLACE, CANCEL, AMEND, CANCEL_ALL and END_SESSION."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        self.open: list[tuple[int, int, int]] = []  # (account, market, order id), newest last
        self.closed_id = 0
        self.placed: list[bytes] = []  # PLACE commands with a client id, to be repeated
        self.texts: list[tuple[int, str]] = []  # (account, text) of recent orders
        self.used_signatures: list[bytes] = []

    def price(self, market: int, side: int) -> int:
        """In ticks: a few that collide."""
        if self.rarely(40):
            return self.one_of(EXTREMES)
        if market == WIDE:
            return self.one_of((1, 2, 2**10, 2**20, 2**22, 2**40, 2**40 - 1))
        return 93 + 6 * side + self.pick(10)  # bids 93..102, asks 99..108

    def quantity(self, market: int) -> int:
        """In lots."""
        if self.rarely(40):
            return self.one_of(EXTREMES)
        if market == WIDE:
            return self.one_of((1, 2, 2**12, 2**20, 2**22, 2**39, 2**40, 2**40 - 1))
        return 1 + self.pick(12)

    def place(self) -> bytes:
        """A new order, or one that was placed before."""
        if self.placed and self.rarely(15):
            old = self.placed[-1 - self.pick(len(self.placed))]
            price = self.one_of((None, None, 97))
            return old if price is None else old[:-16] + price.to_bytes(8, "little") + old[-8:]
        market = self.market()
        side = self.pick(2)
        price, quantity = self.price(market, side), self.quantity(market)
        flags = self.one_of((0, 0, 1, 2)) << records.STP_SHIFT
        account = self.account()
        shape = self.pick(20)
        if account == POOR and self.pick(2):
            shape = 14 + shape % 4
        tif = records.GTC
        if shape >= 18:
            flags |= records.POST_ONLY
        elif shape >= 14:
            flags |= records.MARKET_ORDER
            tif, price = records.IOC, 0
            if shape >= 16:
                flags |= records.BY_QUOTE
                quantity = self.one_of((quantity, quantity * 97, quantity * 300))
                quantity = min(quantity, 2**63 - 1)
        elif shape >= 10:
            tif = self.one_of((records.IOC, records.FOK))
        client_id, text = self._client_id()
        made = records.place(
            account=account,
            market=market,
            side=side,
            quantity=max(quantity, -(2**63)),
            price=price,
            tif=tif,
            flags=flags | (records.HAS_CLIENT_ID if client_id else 0),
            client_id=client_id,
            text=text,
            session=self.one_of((0, 0, 1, 2)),
            credential=self.credential_of(0, account),
        )
        if client_id or text is not None:
            self.placed.append(made)
            del self.placed[:-2000]
        if text is not None:
            self.texts.append((account, text))
            del self.texts[:-50]
        return self.signed(made)

    def _client_id(self) -> tuple[int, str | None]:
        """A number, a text, or (0, None)."""
        choice = self.pick(10)
        if choice >= 4:
            return 0, None
        is_new = self.pick(8)
        if choice < 2:
            return (self.next_number() if is_new else self.pick(8)), None
        return 0, f"t-{self.next_number()}" if is_new else self.one_of(TEXTS)

    def signed(self, unit: bytes) -> bytes:
        """Some orders carry a used signature, which some others had before."""
        if self.pick(12) < 11:
            return unit
        signature = self.next_number().to_bytes(16, "little")
        if self.used_signatures and self.rarely(4):
            signature = self.one_of(self.used_signatures[-8:])
        self.used_signatures.append(signature)
        del self.used_signatures[:-8]
        return parts.with_signature(unit, signature)

    def _named(self) -> tuple[int, dict[str, int | str]]:
        """The account, and which order: one that may be open."""
        if self.texts and self.rarely(10):
            account, text = self.texts[-1 - self.pick(len(self.texts))]
            return account, {"market": self.one_of((0, 0, 1, 2)), "text": text}
        if not self.open or self.rarely(8):
            order_id = self.one_of((self.closed_id, 1, -1, 2**40))
            return self.account(), {
                "market": self.pick(4),
                "order_id": order_id,
                "flags": self.pick(2),
                "client_id": self.pick(8),
            }
        account, market, order_id = self.open[-1 - self.pick(len(self.open))]
        wrong = self.pick(30)
        if wrong == 29:
            account = self.account()
        elif wrong == 28:
            market = self.market()
        elif wrong == 27:
            order_id ^= 1  # the right sequence with the wrong slot
        elif wrong == 26:
            market = 0
        return account, {"market": market, "order_id": order_id}

    def cancel(self) -> bytes:
        """Of an order that may be open."""
        account, named = self._named()
        credential = self.credential_of(0, account)
        made = records.cancel(account=account, credential=credential, **named)  # type: ignore[arg-type]
        return self.signed(made)

    def amend(self) -> bytes:
        """New terms."""
        account, named = self._named()
        market = named["market"]
        assert isinstance(market, int)
        sizes = market or self.one_of((1, WIDE))
        made = records.amend(
            account=account,
            price=self.one_of((0, self.price(sizes, self.pick(2)))),
            quantity=self.one_of((self.quantity(sizes), 0, 1)),
            credential=self.credential_of(0, account),
            **named,  # type: ignore[arg-type]
        )
        return self.signed(made)

    def cancel_all(self) -> bytes:
        """In a market or in all."""
        account = self.account()
        credential = self.credential_of(0, account)
        return self.signed(
            records.cancel_all(account=account, market=self.pick(5), credential=credential)
        )

    def end_session(self) -> bytes:
        """Of one connection."""
        return records.end_session(account=self.account(), session=self.one_of((1, 2, 0)))

    def bad_text(self) -> bytes:
        """An order whose TEXT is none, or comes with a number."""
        text = self.one_of(NO_TEXTS)
        length = self.one_of((len(text), len(text), 37, 255))
        flags = self.one_of((0, 0, records.HAS_CLIENT_ID))
        made = records.place(
            account=self.account(), market=1, side=0, quantity=1, price=97, flags=flags, text="t"
        )
        return text_part(text if flags == 0 else b"t", length if flags == 0 else 1) + made[48:]
