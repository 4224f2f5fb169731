"""`fairbook keys`: make key pairs for bots, and tokens of which an exchange gets the hash only."""

import argparse
import base64
import json
import secrets
from pathlib import Path
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from fairbook.app.identity import make_key
from fairbook.cli.parser import CommandParser
from fairbook.ports.digests import invitation_digest, token_digest, webhook_digest

ERRORS: Final = (OSError,)


def add_arguments(parser: CommandParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    kinds.add_parser(
        "new", help="an API key: public and secret half, and the proof with which it is registered"
    )
    kinds.add_parser("invitation", help="a code for one sign-up, and its hash")
    kinds.add_parser("webhook", help="the secret of a webhook of deposits, and its hash")
    kinds.add_parser("token", help="a bearer token, as an operator has one, and its hash")

    identity = kinds.add_parser(
        "identity", help="a secret key that signs checkpoints, in a file, and its public half"
    )
    identity.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="new file for the secret key, readable by its owner only",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.kind == "identity":
        if arguments.file.exists():
            raise FileExistsError(f"{arguments.file} exists already")
        print(json.dumps({"key": make_key(arguments.file)}, indent=2))
        return 0
    print(json.dumps(_MAKERS[arguments.kind](), indent=2))
    return 0


def new_key() -> dict[str, str]:
    """`proof`: the signature of the new key with which POST /auth/v1/keys takes it."""
    seed = secrets.token_bytes(32)
    public_key, secret_key = crypto_sign_seed_keypair(seed)
    api_key = base64.b64encode(public_key).decode()
    signed = crypto_sign(f"instruction=registerKey&publicKey={api_key}".encode(), secret_key)
    return {
        "apiKey": api_key,
        "apiSecret": base64.b64encode(seed).decode(),
        "proof": base64.b64encode(signed[:64]).decode(),
    }


def new_invitation() -> dict[str, str]:
    code = secrets.token_urlsafe(32)
    return {"code": code, "codeHash": invitation_digest(code).hex()}


def new_token() -> dict[str, str]:
    token = secrets.token_urlsafe(32)
    return {"token": token, "tokenHash": token_digest(token).hex()}


def new_secret() -> dict[str, str]:
    secret = secrets.token_urlsafe(32)
    return {"secret": secret, "tokenHash": webhook_digest(secret).hex()}


_MAKERS: Final = {
    "new": new_key,
    "invitation": new_invitation,
    "webhook": new_secret,
    "token": new_token,
}
