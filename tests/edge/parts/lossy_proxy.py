"""A way to a broker that passes on what it is told and can lose the answers."""

import selectors
import socket
import threading


class LossyProxy:
    """Forwards one connection after another on a loopback port. While `deaf`, answers are thrown away."""

    def __init__(self, port: int) -> None:
        self.deaf = threading.Event()
        self.cut = threading.Event()  # ends the connection that there is
        self._behind = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.cut.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _work(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._behind)) as broker:
                self.cut.clear()
                self._forward(client, broker)

    def _forward(self, client: socket.socket, broker: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, broker)
            selector.register(broker, selectors.EVENT_READ, client)
            while not self.cut.is_set():
                for key, _ in selector.select(0.02):
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    if not (self.deaf.is_set() and key.fileobj is broker):
                        key.data.sendall(data)
