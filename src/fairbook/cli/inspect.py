"""`fairbook inspect`: read the log: its commands, an order, an account, the state at a position."""

import argparse
from typing import Final

from fairbook.cli.account_history import account_frame_lines
from fairbook.cli.account_text import account_lines
from fairbook.cli.data_directory import (
    REPLAY_ERRORS,
    DataError,
    apply_entry,
    read_log,
    replay_log,
    require_position,
)
from fairbook.cli.exchange_text import LastTrades, exchange_lines
from fairbook.cli.order_history import ClientId, OrderHistory
from fairbook.cli.parser import CommandParser, UsageError, position, whole_number
from fairbook.cli.record_text import frame_lines
from fairbook.core.exchange import Exchange
from fairbook.core.parts import is_client_text
from fairbook.core.records import LOW
from fairbook.engine.runner import Runner

ERRORS: Final = REPLAY_ERRORS


def add_arguments(parser: CommandParser) -> None:
    parser.description = (
        "Read the log of an exchange, running or stopped. It is replayed from its first entry, and"
        " no snapshot is trusted: with --order, --account or --at, nothing is printed until that"
        " is done. Without them, print the commands of the log and their events."
    )
    parser.add_directory()
    parser.add_argument(
        "--from", dest="first", type=position, metavar="N", help="first position to print"
    )
    parser.add_argument(
        "--to", type=position, metavar="N", help="last position to print (default: the end)"
    )
    parser.add_argument(
        "--at",
        type=position,
        metavar="POSITION",
        help="the state after this position; alone, a summary of the exchange",
    )
    parser.add_argument(
        "--order",
        type=whole_number,
        metavar="ID",
        help="the life of an order: why it rested, was filled, expired or was cancelled",
    )
    parser.add_argument(
        "--account",
        type=whole_number,
        metavar="N",
        help="the state of an account; with --from or --to also what concerned it there",
    )
    parser.add_argument(
        "--user", type=whole_number, metavar="ID", help="the account of a user, as --account"
    )
    parser.add_argument(
        "--client-id",
        metavar="TEXT",
        help="with --account: its orders with this client id, and why others were refused",
    )


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if arguments.order is not None or arguments.client_id is not None:
        _print_orders(arguments)
    elif arguments.account is not None or arguments.user is not None:
        _print_account(arguments)
    elif arguments.at is not None:
        _print_exchange(arguments)
    else:
        _print_log(arguments)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that do not go together."""
    has_account = arguments.account is not None or arguments.user is not None
    has_range = arguments.first is not None or arguments.to is not None
    if arguments.account is not None and arguments.user is not None:
        raise UsageError("fairbook inspect: --account and --user exclude each other")
    if arguments.order is not None and (has_account or arguments.client_id is not None):
        raise UsageError("fairbook inspect: --order goes with --at only: its number is enough")
    if arguments.client_id is not None and not has_account:
        raise UsageError("fairbook inspect: --client-id needs --account or --user")
    is_of_account = has_account and arguments.client_id is None
    asked = (arguments.order, arguments.client_id, arguments.at)
    if has_range and not is_of_account and any(each is not None for each in asked):
        raise UsageError("fairbook inspect: --from and --to go with --account, or stand alone")


def _print_log(arguments: argparse.Namespace) -> None:
    runner = Runner(Exchange())
    for entry, events in replay_log(arguments.directory, runner, to=arguments.to):
        if entry.position >= (arguments.first or 1):
            for line in frame_lines(entry, events, runner.exchange):
                print(line)


def _print_orders(arguments: argparse.Namespace) -> None:
    runner = Runner(Exchange())
    client_id = None if arguments.client_id is None else _client_id(arguments.client_id)
    account = arguments.account or 0
    if arguments.user is not None:
        account = _account_of_user(arguments)
    history = OrderHistory(order_id=arguments.order or 0, account=account, client_id=client_id)
    for entry in read_log(arguments.directory, to=arguments.at):
        history.before(entry, runner.exchange)
        history.take(entry, apply_entry(runner, entry), runner.exchange)
    require_position(runner, arguments.at)
    lines = history.lines(runner.position, runner.exchange)
    if not lines:
        what = (
            f"no order has the id {arguments.order}"
            if client_id is None
            else f"no order of account {account} has the client id {client_id}"
        )
        raise DataError(f"{what}, up to position {runner.position}")
    for line in lines:
        print(line)


def _account_of_user(arguments: argparse.Namespace) -> int:
    """By a replay of its own: the account must be known from the first entry on."""
    runner = Runner(Exchange())
    for _ in replay_log(arguments.directory, runner, to=arguments.at):
        account = runner.exchange.account_of_user(arguments.user)
        if account:
            return account
    raise DataError(f"no account was opened for user {arguments.user}")


def _client_id(text: str) -> ClientId:
    """A number, as the API reads it, or a text."""
    is_number = text.isascii() and text.isdigit() and str(int(text)) == text and int(text) <= LOW
    if is_number:
        return int(text)
    if not (text.isascii() and is_client_text(text.encode("ascii"))):
        raise UsageError(f"fairbook inspect: {text!r} cannot be a client id")
    return text


def _print_account(arguments: argparse.Namespace) -> None:
    runner = Runner(Exchange())
    account = arguments.account or 0
    if arguments.user is not None:
        account = _account_of_user(arguments)
    has_range = arguments.first is not None or arguments.to is not None
    lines: list[str] = []
    for entry, events in replay_log(arguments.directory, runner, to=arguments.at):
        is_after = arguments.to is not None and entry.position > arguments.to
        if has_range and entry.position >= (arguments.first or 1) and not is_after:
            lines += account_frame_lines(entry, events, runner.exchange, account)
    require_position(runner, arguments.at)
    if account >= len(runner.exchange.tables.accounts):
        raise DataError(f"there is no account {account}, up to position {runner.position}")
    for line in (
        *lines,
        f"state at position {runner.position}",
        *account_lines(runner.exchange, account),
    ):
        print(line)


def _print_exchange(arguments: argparse.Namespace) -> None:
    runner = Runner(Exchange())
    trades = LastTrades()
    for entry, events in replay_log(arguments.directory, runner, to=arguments.at):
        trades.take(events, entry.time_ns)
    require_position(runner, arguments.at)
    for line in exchange_lines(runner, trades):
        print(line)
