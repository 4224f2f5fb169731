"""Which e-mail addresses and passwords are taken."""

import re
from typing import Final

from fairbook.api.errors import BadRequest
from fairbook.ports.digests import folded

EMAIL_CHARACTERS_MAX: Final = 254
PASSWORD_CHARACTERS_MIN: Final = 10
PASSWORD_CHARACTERS_MAX: Final = 128

# ASCII only: of two letters that look alike one would be another user.
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9.+_-]{0,62}[A-Za-z0-9])?@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


def check_email(value: object) -> str:
    """An address as it was written; `folded` tells which are the same. Raises BadRequest."""
    if not isinstance(value, str) or len(value) > EMAIL_CHARACTERS_MAX:
        raise BadRequest("Missing or malformed field: email")
    if not _EMAIL.fullmatch(value) or ".." in value:
        raise BadRequest("email must be an address of letters, digits and .+_- such as a@b.org")
    return str(value)


def check_password(value: object, email: str) -> str:
    """Raises BadRequest."""
    if not isinstance(value, str):
        raise BadRequest("Missing or malformed field: password")
    if not PASSWORD_CHARACTERS_MIN <= len(value) <= PASSWORD_CHARACTERS_MAX:
        raise BadRequest(
            f"A password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters"
        )
    if folded(value) in (folded(email), folded(email).partition("@")[0]):
        raise BadRequest("The password must not be the e-mail address")
    if len(set(value)) < 4:
        raise BadRequest("The password has too few different characters")
    return str(value)
