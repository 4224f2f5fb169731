"""A typed client of the public API (docs/maker.md): Rest, Socket, Connections, BookFeed."""
