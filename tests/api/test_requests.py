"""Bodies and queries are read in one way, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import (
    JsonNumber,
    client_id_field,
    order_id_field,
    query_fields,
    read_array,
    read_json,
    read_object,
    read_query,
    signed_pairs,
)

BROKEN = {
    "empty": b"",
    "not an object": b"[1]",
    "text": b"hello",
    "null": b"null",
    "cut off": b'{"a":1',
    "something after it": b"{}{}",
    "something before it": b"x{}",
    "other space before it": b"\x0b{}",
    "other space after it": b"{}\xc2\xa0",
    "space alone": b" \n",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "comment": b'{"a":1}//x',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "invalid UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\x80"}',
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate as key": b'{"\\udfff":"a"}',
    "lone surrogate, deep": b'{"a":[{"b":["\\ud800x"]}]}',
    "control character": b'{"a":"\n"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "duplicate key": b'{"side":"Bid","side":"Ask"}',
    "duplicate key by escape": b'{"side":"Bid","\\u0073ide":"Ask"}',
    "duplicate key, deep": b'{"a":{"b":1,"b":1}}',
    "too deep": b'{"a":' + b"[" * 8000 + b"]" * 8000 + b"}",
    "leading zeros": b'{"a":01}',
    "plus": b'{"a":+1}',
    "hexadecimal": b'{"a":0x1}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=list(BROKEN))
def test_ambiguous_and_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_object(body)


def test_surrounding_space_is_accepted() -> None:
    assert read_object(b' \t\r\n{ "a" : 1 }\n\r\t ') == {"a": "1"}


def test_numbers_keep_their_literal() -> None:
    """A float would lose digits; an integer of thousands of digits would be slow."""
    digits = b"9" * 5000
    fields = read_object(b'{"a":1.10,"b":1e400,"c":-0.0,"d":' + digits + b',"e":0.1e-5}')
    assert fields == {"a": "1.10", "b": "1e400", "c": "-0.0", "d": "9" * 5000, "e": "0.1e-5"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert read_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_reads_the_same_as_json_loads(value: object) -> None:
    """With numbers as text; the result can be signed."""
    body = json.dumps(value).encode()
    try:
        found = read_json(body)
    except BadRequest:
        assert b"\\ud" in body  # hypothesis made a lone surrogate
        return
    assert found == json.loads(body, parse_int=str)
    if isinstance(found, dict):
        "".join(f"{name}{text}" for name, text in signed_pairs(found)).encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (read_object, read_array, read_query):
        try:
            read(body)
        except BadRequest:
            pass


def test_arrays_hold_objects() -> None:
    assert read_array(b'[{"a":1},{}]') == [{"a": "1"}, {}]
    assert len(read_array(b"[" + b"{}," * 49 + b"{}]")) == 50
    for body in (b"{}", b"[1]", b"[[]]", b"[{},null]", b"[]", b"[" + b"{}," * 50 + b"{}]"):
        with pytest.raises(BadRequest):
            read_array(body)


def test_queries() -> None:
    pairs = read_query(b"symbol=SOL_USDC&a=%2F%20x&empty=&marketType=SPOT&marketType=PERP")
    assert pairs[:3] == [("symbol", "SOL_USDC"), ("a", "/ x"), ("empty", "")]
    assert query_fields(pairs)["marketType"] == ["SPOT", "PERP"]
    for query in (b"a=%ff", b"a=\xff", b"&".join(b"a%d=1" % i for i in range(100))):
        with pytest.raises(BadRequest):
            read_query(query)
    with pytest.raises(BadRequest):
        query_fields(read_query(b"symbol=A&symbol=B"))


@pytest.mark.parametrize("name", ["clientId", "clientOrderId"])
def test_client_ids(name: str) -> None:
    """A 32-bit number, or its digits, in either field; another text; null and an empty text mean
    none.
    """
    for value, expected in (("0", 0), ("42", 42), ("4294967295", 2**32 - 1)):
        assert client_id_field({name: value}) == expected
        assert client_id_field(read_object(b'{"%b":%b}' % (name.encode(), value.encode()))) == (
            expected
        )
        assert client_id_field({"clientId": value, "clientOrderId": JsonNumber(value)}) == expected
    for text in (
        "007",
        "00",
        "-1",
        "4294967296",
        "1.0",
        "1e3",
        "x",
        "0" * 11,
        "a.b_c:d/e-F",
        "9" * 36,
    ):
        assert client_id_field({name: text}) == text
    for fields in ({}, {name: None}, {name: ""}):
        assert client_id_field(fields) is None
    wrong: list[object] = [
        "\u0663", " 1", "a b", "x" * 37, "a\n", "\u00e9", "%20", True, False, [], {}, ["1"],
        *map(JsonNumber, ("-1", "4294967296", "1.0", "1e3", "-0", "9" * 36)),
    ]  # fmt: skip
    for bad in wrong:
        with pytest.raises(BadRequest, match=f"Invalid {name}"):
            client_id_field({name: bad})
    for other in ("8", "007", "x"):
        with pytest.raises(BadRequest, match="differ"):
            client_id_field({"clientId": "7", "clientOrderId": other})


def test_order_ids() -> None:
    assert order_id_field({"orderId": "4227701917"}) == 4227701917
    assert order_id_field({"orderId": str(2**63 - 1)}) == 2**63 - 1
    assert order_id_field({"orderId": ""}) is None
    for value in ("abc", "-1", "1.5", "\u0663", True, ["1"], "0x1"):
        with pytest.raises(BadRequest, match="Invalid orderId"):
            order_id_field({"orderId": value})
    for value in (str(2**63), "9" * 5000):
        with pytest.raises(ApiError, match="Order Not Found"):
            order_id_field({"orderId": value})
