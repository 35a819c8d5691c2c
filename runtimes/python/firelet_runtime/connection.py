"""One kept-alive connection to the Runtime API, on the raw socket type.

Knows no paths and no invocations. Never reconnects: an environment whose Runtime API is gone has nothing left to do, but for one
that goes on elsewhere (`snapshot`).
"""

import _socket

RECEIVE_SIZE = 16384
JOIN_BELOW = 65536


class ConnectionClosed(Exception):
    """The Runtime API ended the connection."""


class Connection:
    __slots__ = ("_socket", "_pending")

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        self._socket = _socket.socket(family, _socket.SOCK_STREAM)
        self._socket.connect((host, int(port)))
        self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._pending = b""

    def close(self):
        self._socket.close()

    def send(self, head, body=b""):
        """Sends both in one write, and without a copy when they are large."""
        send_all = self._socket.sendall
        if len(body) < JOIN_BELOW:
            send_all(head + body)
            return
        sent = self._socket.sendmsg((head, body)) - len(head)
        if sent < 0:
            send_all(head[sent:])
            sent = 0
        if sent < len(body):
            send_all(memoryview(body)[sent:])

    def receive(self):
        """Answers the status, the headers (lower-case names) and the body of the next final response."""
        while True:
            lines = self._receive_head()
            status = int(lines[0][9:12])
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            if status >= 200:
                return status, headers, self._receive_body(status, headers)

    def _receive_head(self):
        pending = self._pending
        end = pending.find(b"\r\n\r\n")
        while end < 0:
            seen = len(pending)
            pending += self._receive_some()
            end = pending.find(b"\r\n\r\n", max(0, seen - 3))
        self._pending = pending[end + 4 :]
        return pending[:end].decode("utf-8", "surrogateescape").split("\r\n")

    def _receive_body(self, status, headers):
        length = headers.get("content-length")
        if length is not None:
            return self._receive_exactly(int(length))
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._receive_chunked()
        return b""

    def _receive_exactly(self, length):
        pending = self._pending
        present = len(pending)
        if present == length:
            self._pending = b""
            return pending
        if present > length:
            self._pending = pending[length:]
            return pending[:length]
        body = bytearray(length)
        body[:present] = pending
        self._pending = b""
        with memoryview(body) as view:
            while present < length:
                count = self._socket.recv_into(view[present:])
                if not count:
                    raise ConnectionClosed
                present += count
        return body

    def _receive_chunked(self):
        chunks = []
        while True:
            size = int(self._receive_line().partition(b";")[0], 16)
            if not size:
                break
            chunks.append(self._receive_exactly(size))
            self._receive_line()
        while self._receive_line():
            pass
        return b"".join(chunks)

    def _receive_line(self):
        while b"\r\n" not in self._pending:
            self._pending += self._receive_some()
        line, _, self._pending = self._pending.partition(b"\r\n")
        return line

    def _receive_some(self):
        chunk = self._socket.recv(RECEIVE_SIZE)
        if not chunk:
            raise ConnectionClosed
        return chunk
