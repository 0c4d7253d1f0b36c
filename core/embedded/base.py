from typing import Any

from django.db.backends.postgresql import base, client
from django.db.utils import OperationalError

from core.embedded import programs, server


class DatabaseClient(client.DatabaseClient):
    """For dbshell: the psql that came with the server."""

    executable_name = str(programs.installation() / "bin" / "psql")

    def runshell(self, parameters: list[str]) -> None:
        self.connection.hold_server()
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """Starts the server when a connection is opened, so that a command that opens none starts none."""

    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.hold_server()
        return super().get_new_connection(conn_params)

    def hold_server(self) -> None:
        try:
            server.hold(self.settings_dict["EMBEDDED_POSTGRES_DIR"])
        except server.ServerError as error:
            raise OperationalError(str(error)) from error
