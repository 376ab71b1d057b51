"""An HTTPS proxy on this machine."""

import socket
import threading
from contextlib import contextmanager, suppress


@contextmanager
def proxy(answer=b"HTTP/1.1 200 OK\r\n\r\n", most=2**40):
    """Yield the address of an HTTPS proxy, and the list of what it was asked for.

    It cuts a connection after so many bytes in one direction.
    """
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def copy(source, target):
            left = most
            with suppress(OSError):
                while left > 0 and (data := source.recv(65536)):
                    target.sendall(data)
                    left -= len(data)
                if left <= 0:
                    source.shutdown(socket.SHUT_RDWR)
                    target.shutdown(socket.SHUT_RDWR)

        def serve():
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    head = client.recv(65536).decode().split()
                    asked.append(" ".join(head[:2]))
                    client.sendall(answer)
                    if b" 200 " not in answer:
                        client.close()
                        continue
                    host, _, port = head[1].rpartition(":")
                    server = socket.create_connection((host, int(port)))
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=copy, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:  # closing it does not end a wait: the next connection would still be taken
            listener.shutdown(socket.SHUT_RDWR)
