"""Acts and readings of operators over the control socket, for `fairbook admin`."""

from collections.abc import Mapping
from typing import Any

from fairbook.admin.admin_gateway import AdminGateway
from fairbook.api.errors import ApiError
from fairbook.net.control_socket import ControlRefused, ControlRequest


class AdminControl:
    """The handler of the control socket's command `admin`. A token is needed here as well: the
    owner of the data directory is not an operator.
    """

    def __init__(self, gateway: AdminGateway) -> None:
        self._gateway = gateway

    async def handle(self, request: ControlRequest) -> Mapping[str, Any]:
        """request: `token`; `read` or `act`, a name; `fields`; `reason`. Raises ControlRefused."""
        operator = self._gateway.operator(str(request.get("token", "")))
        if operator is None:
            raise ControlRefused("this needs the token of an operator: --token-file")
        fields = request.get("fields")
        if not isinstance(fields, dict):
            raise ControlRefused("fields must be an object")
        try:
            if "read" in request:
                return {"found": await self._gateway.read(str(request["read"]), fields)}
            name, reason = str(request.get("act")), request.get("reason")
            return {"found": await self._gateway.act(operator, name, fields, reason)}
        except ApiError as error:
            raise ControlRefused(f"{error.code}: {error.message}") from None
