"""The child process of a hook with a URL: POST one event, without following redirects.

Standard input: {"url", ["secret"], "event"}. With a secret the request is signed as the webhook of
deposits is. Exit code 0: the answer was 2xx.
"""

import hmac
import http.client
import json
import sys
import time
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

DEADLINE_S: Final = 5.0


def post(request: dict[str, Any]) -> int:
    """The status of the answer. Raises OSError, HTTPException."""
    url = urlsplit(request["url"])
    body = json.dumps(request["event"]).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "fairbook"}
    if "secret" in request:
        stamp = str(int(time.time()))
        signed = f"{stamp}.".encode() + body
        headers["X-Webhook-Timestamp"] = stamp
        headers["X-Webhook-Signature"] = hmac.new(
            request["secret"].encode(), signed, sha256
        ).hexdigest()
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=DEADLINE_S)
    try:
        connection.request("POST", f"{url.path or '/'}{'?' + url.query if url.query else ''}",
                           body, headers)  # fmt: skip
        return connection.getresponse().status
    finally:
        connection.close()


def main() -> int:
    try:
        return 0 if 200 <= post(json.loads(sys.stdin.buffer.read())) < 300 else 1
    except (OSError, http.client.HTTPException):
        return 2


if __name__ == "__main__":
    sys.exit(main())
