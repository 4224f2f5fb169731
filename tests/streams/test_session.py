"""The protocol of a session: the actions of each frame; refused frames change nothing."""

import json
import random
from typing import Any

import pytest

from fairbook.net.ws_frames import ProtocolError
from fairbook.ports.accounts import READ, Access
from fairbook.streams.channel_source import Channel, StreamKind
from fairbook.streams.session import (
    CallMethod,
    SendLatest,
    SendReply,
    Session,
    SessionLimits,
    Subscribe,
    Unsubscribe,
)
from tests.streams.hub_harness import KeyList

SECOND = 1_000_000_000
STREAMS = {
    "depth.SOL_USDC": StreamKind(),
    "trade.SOL_USDC": StreamKind(),
    "liquidation": StreamKind(is_silent=True),
    "account.orderUpdate": StreamKind(is_private=True),
    "account.balanceUpdate": StreamKind(is_private=True),
    "account.rfqUpdate": StreamKind(is_private=True, is_silent=True),
} | {f"s{n}": StreamKind() for n in range(300)}
ALICE = ["alice", "subscribe", "1", "5000"]
BOB = ["bob", "subscribe", 1, 5000]


class Talk:
    """A session, with a clock that advances a second per frame."""

    def __init__(self, *, keys: KeyList | None = None, **limits: int) -> None:
        self.keys = keys or KeyList()
        self.session = Session(STREAMS.get, self.keys, SessionLimits(**limits))
        self.now_ns = 0

    def raw(self, text: bytes) -> list[Any]:
        self.now_ns += SECOND
        return list(self.session.receive(text, self.now_ns))

    def say(self, **frame: Any) -> list[Any]:
        return self.raw(json.dumps(frame).encode())

    def subscribe(self, *names: str, **fields: Any) -> list[Any]:
        return self.say(method="SUBSCRIBE", params=names, **fields)

    def kept(self) -> Any:
        return self.session.access, dict(self.session._subscribed)


def code(actions: list[Any]) -> int:
    """Of the error that is the last action."""
    error = json.loads(actions[-1].payload)["error"]
    assert error["message"]
    number = error["code"]
    assert isinstance(number, int)
    return number


def test_public_streams_need_no_login_and_have_no_answer() -> None:
    talk = Talk()
    assert talk.subscribe("depth.SOL_USDC", "trade.SOL_USDC") == [
        Subscribe(Channel("depth.SOL_USDC")),
        Subscribe(Channel("trade.SOL_USDC")),
    ]
    assert talk.say(method="UNSUBSCRIBE", params=["depth.SOL_USDC"]) == [
        Unsubscribe(Channel("depth.SOL_USDC"))
    ]
    assert talk.session.channels() == [Channel("trade.SOL_USDC")]


@pytest.mark.parametrize("raw", ["7", '"seven"', "1.50", '"a\\u0041\\"b"', "-0", "1e5", "true"])
def test_an_id_is_answered_as_it_was_written(raw: str) -> None:
    talk = Talk()
    frame = b'{"method":"SUBSCRIBE", "id" : %b ,"params":["%b"]}'
    done = talk.raw(frame % (raw.encode(), b"depth.SOL_USDC"))[-1]
    assert done == SendReply(b'{"id":%b,"result":null}' % raw.encode())
    failed = talk.raw(frame % (raw.encode(), b"nothing"))[-1]
    assert failed.payload.startswith(b'{"id":%b,"error":{"code":4006,' % raw.encode())


def test_repeated_and_missing_subscriptions_are_no_errors() -> None:
    """ccxt fails every pending call of a connection when it sees an error frame."""
    talk = Talk()
    assert len(talk.subscribe("depth.SOL_USDC", "depth.SOL_USDC")) == 1
    before = talk.kept()
    assert talk.subscribe("depth.SOL_USDC") == [SendLatest(Channel("depth.SOL_USDC"))]
    assert talk.say(method="UNSUBSCRIBE", params=["trade.SOL_USDC", "nothing"]) == []
    assert talk.say(method="UNSUBSCRIBE", params=[], id=None) == []
    assert talk.kept() == before


def test_silent_streams_are_never_opened() -> None:
    talk = Talk()
    assert talk.subscribe("liquidation") == []
    assert talk.subscribe("account.rfqUpdate", "account.orderUpdate", signature=ALICE) == [
        Subscribe(Channel("account.orderUpdate", 7))
    ]
    assert talk.say(method="UNSUBSCRIBE", params=["liquidation", "account.rfqUpdate"]) == []


def test_a_frame_with_an_unknown_name_subscribes_the_others() -> None:
    talk = Talk()
    actions = talk.subscribe("nothing", "depth.SOL_USDC", "depth*\n", id=3)
    assert actions[0] == Subscribe(Channel("depth.SOL_USDC"))
    assert json.loads(actions[1].payload) == {
        "id": 3,
        "error": {"code": 4006, "message": "Invalid stream: nothing, depth*\n"},
    }
    assert len(actions) == 2


def test_a_signature_binds_private_streams_to_its_account() -> None:
    talk = Talk()
    assert talk.subscribe("account.orderUpdate", "depth.SOL_USDC", signature=ALICE) == [
        Subscribe(Channel("account.orderUpdate", 7)),
        Subscribe(Channel("depth.SOL_USDC", 0)),
    ]
    assert talk.session.access is None, "a signature over subscribe is no login"
    assert code(talk.subscribe("account.balanceUpdate")) == 4002
    # ccxt signs this too, needlessly.
    assert talk.say(method="UNSUBSCRIBE", params=["account.orderUpdate"], signature=["x"]) == [
        Unsubscribe(Channel("account.orderUpdate", 7))
    ]


def test_another_accounts_signature_takes_the_stream_over() -> None:
    """A stream has one name, so it shows one account: that of the last request."""
    talk = Talk()
    talk.subscribe("account.orderUpdate", signature=ALICE)
    assert talk.subscribe("account.orderUpdate", signature=BOB) == [
        Unsubscribe(Channel("account.orderUpdate", 7)),
        Subscribe(Channel("account.orderUpdate", 8)),
    ]
    assert talk.session.channels() == [Channel("account.orderUpdate", 8)]


@pytest.mark.parametrize(
    "frame",
    [{"params": {"token": "alice"}}, {"signature": ["alice", "login", "1", "5000"]}],
    ids=["token", "signature"],
)
def test_after_login_private_streams_need_no_signature(frame: dict[str, Any]) -> None:
    talk = Talk()
    assert talk.say(method="LOGIN", id=1, **frame) == [SendReply(b'{"id":1,"result":null}')]
    assert talk.session.access == talk.keys.live["alice"]
    assert talk.subscribe("account.orderUpdate") == [Subscribe(Channel("account.orderUpdate", 7))]
    # A newer token of the same account may take the older one's place.
    newer = talk.keys.live["newer"] = Access(7, READ, credential=9)
    assert talk.say(method="LOGIN", params={"token": "newer"}) == []
    assert talk.session.access == newer


def test_other_methods_are_passed_on() -> None:
    talk = Talk()
    text = b'{"id":"x1","method":"order.place","params":{"price":1.50,"side":"Bid"}}'
    assert talk.raw(text) == [CallMethod(b'"x1"', "order.place", {"price": "1.50", "side": "Bid"})]
    assert talk.raw(b'{"method":"order.status"}') == [CallMethod(b"null", "order.status", None)]
    assert talk.session.refuse_method(b"5", talk.now_ns).payload == (
        b'{"id":5,"error":{"code":4001,"message":"Unknown method"}}'
    )


MANY = json.dumps([f"s{n}" for n in range(200)]).encode()
ILLEGAL: dict[str, tuple[int, bytes]] = {
    "nothing": (4000, b""),
    "no JSON": (4000, b"hello"),
    "no object": (4000, b"[]"),
    "a number": (4000, b"1"),
    "two values": (4000, b"{} {}"),
    "byte order mark": (4000, b'\xef\xbb\xbf{"method":"SUBSCRIBE","params":["s1"]}'),
    "key twice": (4000, b'{"method":"SUBSCRIBE","params":["s1"],"params":["s2"]}'),
    "NaN": (4000, b'{"method":"SUBSCRIBE","params":["s1"],"id":NaN}'),
    "lone surrogate": (4000, b'{"method":"SUBSCRIBE","params":["s1"],"id":"\\ud800"}'),
    "deep": (4000, b'{"method":"SUBSCRIBE","params":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "deep id": (4000, b'{"method":"SUBSCRIBE","params":[],"id":' + b"[" * 900 + b"]" * 900 + b"}"),
    "id is an object": (4000, b'{"method":"SUBSCRIBE","params":["s1"],"id":{}}'),
    "no method": (4000, b'{"params":["s1"]}'),
    "method is null": (4000, b'{"method":null,"params":["s1"]}'),
    "no params": (4000, b'{"method":"SUBSCRIBE"}'),
    "params is text": (4000, b'{"method":"SUBSCRIBE","params":"s1"}'),
    "params is an object": (4000, b'{"method":"SUBSCRIBE","params":{"s1":1}}'),
    "a name in a list": (4000, b'{"method":"SUBSCRIBE","params":["s1",["s2"]]}'),
    "a name that is null": (4000, b'{"method":"UNSUBSCRIBE","params":["trade.SOL_USDC",null]}'),
    "private, unsigned": (4002, b'{"method":"SUBSCRIBE","params":["account.orderUpdate","s1"]}'),
    "no list": (4002, b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":"x"}'),
    "three parts": (
        4002,
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["alice","subscribe","1"]}',
    ),
    "wrong signature": (
        4002,
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate","s1"],"signature":["alice","login",1,2]}',
    ),
    "unknown key": (
        4002,
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["eve","subscribe",1,2]}',
    ),
    "may not read": (
        4002,
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["trader","subscribe",1,2]}',
    ),
    "expired": (
        4003,
        b'{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["alice","subscribe","old",2]}',
    ),
    "unknown stream": (4006, b'{"method":"SUBSCRIBE","params":["depth.sol_usdc"]}'),
    "unknown private": (4006, b'{"method":"SUBSCRIBE","params":["account.secrets"]}'),
    "a number as stream": (4006, b'{"method":"SUBSCRIBE","params":[1]}'),
    "too many": (4029, b'{"method":"SUBSCRIBE","params":%b}' % MANY),
    "login with nothing": (4000, b'{"method":"LOGIN"}'),
    "login with a list": (4000, b'{"method":"LOGIN","params":["alice"]}'),
    "unknown token": (4002, b'{"method":"LOGIN","params":{"token":"eve"}}'),
    "login signed for streams": (4002, b'{"method":"LOGIN","signature":["alice","subscribe",1,2]}'),
    "login expired": (4003, b'{"method":"LOGIN","signature":["alice","login","old",2]}'),
}  # fmt: skip


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_frame_is_an_error_and_no_change(name: str) -> None:
    expected, text = ILLEGAL[name]
    talk = Talk()
    talk.subscribe("trade.SOL_USDC")
    before = talk.kept()
    actions = talk.raw(text)
    assert len(actions) == 1 and code(actions) == expected
    assert talk.kept() == before


def test_a_connection_has_one_account() -> None:
    talk = Talk()
    talk.say(method="LOGIN", params={"token": "alice"})
    before = talk.kept()
    assert code(talk.say(method="LOGIN", params={"token": "bob"})) == 4000
    assert talk.kept() == before


def test_a_login_without_read_permission_does_not_take_over_private_streams() -> None:
    """They would stay open with a credential that could not have opened them."""
    talk = Talk()
    talk.say(method="LOGIN", params={"token": "alice"})
    talk.subscribe("account.orderUpdate", "account.rfqUpdate")
    before = talk.kept()
    assert code(talk.say(method="LOGIN", params={"token": "trader"})) == 4002
    assert talk.kept() == before
    talk.say(method="UNSUBSCRIBE", params=["account.orderUpdate"])
    talk.subscribe("account.balanceUpdate", signature=ALICE)
    assert talk.say(method="LOGIN", params={"token": "trader"}) == []


def test_without_an_authority_private_streams_are_refused() -> None:
    session = Session(STREAMS.get, None, SessionLimits())
    for frame in (
        {"method": "LOGIN", "params": {"token": "alice"}},
        {"method": "SUBSCRIBE", "params": ["account.orderUpdate"], "signature": ALICE},
    ):
        assert code(list(session.receive(json.dumps(frame).encode(), SECOND))) == 4002
    assert session.has_live_credentials() and session.channels() == []


def test_subscriptions_are_limited_and_can_be_released() -> None:
    talk = Talk(streams_max=3)
    talk.subscribe("s1", "s2", "liquidation")
    assert code(talk.subscribe("s1", "s4")) == 4029
    again = [SendLatest(Channel("s1")), SendLatest(Channel("s2"))]
    assert talk.subscribe("s1", "s2") == again, "nothing new is not too much"
    talk.say(method="UNSUBSCRIBE", params=["liquidation"])
    assert talk.subscribe("s4") == [Subscribe(Channel("s4"))]


@pytest.mark.parametrize("text", [b'{"method":"\xff"}', b"\xed\xa0\x80", b'{"id":"\xe2\x82'])
def test_invalid_utf8_closes_the_connection(text: bytes) -> None:
    with pytest.raises(ProtocolError) as error:
        Talk().session.receive(text, 0)
    assert error.value.close_code == 1007


def test_too_many_control_frames_close_the_connection() -> None:
    """A burst, then the rate; other methods do not count."""
    talk = Talk(control_frames_per_s=20, control_frames_burst=5)
    session, now_ns = talk.session, SECOND
    text = b'{"method":"SUBSCRIBE","params":["s1"]}'
    for _ in range(5):
        session.receive(text, now_ns)
    for _ in range(100):
        session.receive(b'{"method":"order.place"}', now_ns)
    for refused in (text, b"no JSON", b'{"method":"SUBSCRIBE","params":["nothing"]}'):
        with pytest.raises(ProtocolError) as error:
            session.receive(refused, now_ns)
        assert error.value.close_code == 1008
    with pytest.raises(ProtocolError):
        session.refuse_method(b"1", now_ns)
    now_ns += SECOND // 20
    session.receive(text, now_ns)
    with pytest.raises(ProtocolError):
        session.receive(text, now_ns)


def test_a_session_is_live_while_its_credentials_are() -> None:
    for use in (
        {"method": "LOGIN", "params": {"token": "alice"}},
        {"method": "SUBSCRIBE", "params": ["account.orderUpdate"], "signature": ALICE},
    ):
        talk = Talk()
        talk.subscribe("depth.SOL_USDC")
        talk.say(**use)
        assert talk.session.has_live_credentials()
        del talk.keys.live["alice"]
        assert not talk.session.has_live_credentials()
    # After the unsubscribe its key does not matter.
    talk.say(method="UNSUBSCRIBE", params=["account.orderUpdate"])
    assert talk.session.has_live_credentials()


def test_actions_and_channels_agree_for_random_frames() -> None:
    """Valid and broken frames: following the actions gives the session's channels; an error changes
    nothing, and no other exception is raised.
    """
    chance = random.Random(4)
    methods = ["SUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE", "LOGIN", "subscribe", None, 5]
    names = [*list(STREAMS)[:9], "nothing", "", "account.nothing"]
    trader, login = ["trader", "subscribe", 1, 2], ["alice", "login", 1, 2]
    signatures = [None, ALICE, BOB, trader, login, ["eve"], "x"]
    for _ in range(40):
        talk = Talk(streams_max=6)
        received: set[Channel] = set()
        for _ in range(100):
            frame = {
                "id": chance.choice([None, 1, "x", [], 1.5]),
                "method": chance.choice(methods),
                "params": chance.choice(
                    [
                        [chance.choice(names) for _ in range(chance.randrange(5))],
                        {"token": chance.choice(["alice", "alice", "bob", "eve", 1, None])},
                        None,
                    ]
                ),
                "signature": chance.choice(signatures),
            }
            given = {name: frame[name] for name in frame if chance.random() < 0.9}
            text = bytearray(json.dumps(given).encode())
            if chance.random() < 0.1:
                text[chance.randrange(len(text))] = chance.randrange(128)
            before = talk.kept()
            actions = talk.raw(bytes(text))
            for action in actions:
                if isinstance(action, Subscribe):
                    assert action.channel not in received
                    received.add(action.channel)
                elif isinstance(action, Unsubscribe):
                    received.remove(action.channel)
                elif isinstance(action, SendLatest):
                    assert action.channel in received
            assert received == set(talk.session.channels())
            last = actions[-1] if actions else None
            is_error = isinstance(last, SendReply) and b'"error"' in last.payload
            if is_error and code(actions) != 4006:
                assert len(actions) == 1 and talk.kept() == before
            owners = {channel.owner for channel in received if channel.name.startswith("account.")}
            assert owners <= {7, 8}
            assert all(bool(c.owner) == c.name.startswith("account.") for c in received)
