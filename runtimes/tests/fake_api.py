"""A small Runtime API for tests: one guest, one connection, answers in the order of `invoke` calls.

Never checks what the guest says; it records it, and the tests judge.
"""

import queue
import socket
import threading


class Post:
    """A request of the guest with a body."""

    def __init__(self, path, headers, body, trailers=None):
        self.path = path
        self.headers = headers
        self.body = body
        self.trailers = trailers

    @property
    def asks_for_next(self):
        return "firelet-runtime-next" in self.headers


class FakeRuntimeApi:
    """`style` is how answers look on the wire: "plain", "odd" (other letter cases, split writes) or "chunked"."""

    def __init__(self, style="plain", post_status=202):
        self.style = style
        self.post_status = post_status
        self.posts = queue.Queue()
        # The chunks of bodies that come in pieces, as they come.
        self.chunks = queue.Queue()
        self.next_asked = threading.Semaphore(0)
        # What becomes of those who ask to be restored: True for an answer, False for the end of the connection.
        self.restores = queue.Queue()
        self.restore_asked = threading.Semaphore(0)
        self._invocations = queue.Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send_event(self, body, headers):
        self._invocations.put((body, headers))

    def close(self):
        self._invocations.put(None)
        self.restores.put(False)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection:
            try:
                self._answer_all(connection)
            except OSError:
                pass

    def _answer_all(self, connection):
        reader = connection.makefile("rb")
        while True:
            first, headers = _read_head(reader)
            if not first:
                return
            method, path, _ = first.split(" ")
            trailers = None
            if headers.get("transfer-encoding") == "chunked":
                body, trailers = self._read_chunks(reader)
            else:
                body = reader.read(int(headers.get("content-length", 0)))
            if method == "POST":
                post = Post(path, headers, body, trailers)
                is_answered = self.post_status != 202 or not post.asks_for_next
                if is_answered:
                    self._answer(
                        connection, self.post_status, "Accepted", {"Content-Type": "application/json"}, b'{"status":"OK"}'
                    )
                self.posts.put(post)
                if is_answered:
                    continue
            if path.endswith("/restore/next"):
                self.restore_asked.release()
                if not self.restores.get():
                    return
                self._answer(connection, 200, "OK", {}, b"")
                continue
            self.next_asked.release()
            invocation = self._invocations.get()
            if invocation is None:
                return
            self._answer(connection, 200, "OK", invocation[1], invocation[0])

    def _read_chunks(self, reader):
        chunks = []
        while size := int(reader.readline(), 16):
            chunks.append(reader.read(size))
            assert reader.readline() == b"\r\n"
            self.chunks.put(chunks[-1])
        return b"".join(chunks), _read_fields(reader)

    def _answer(self, connection, status, reason, headers, body):
        head = ["HTTP/1.1 {} {}".format(status, reason)]
        swap = str.swapcase if self.style == "odd" else str
        head += ["{}:{}{}".format(swap(name), "" if self.style == "odd" else " ", value) for name, value in headers.items()]
        if self.style == "chunked":
            head.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            body = b"".join(
                b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part
            )
            body += b"0\r\nTrailer: x\r\n\r\n"
        else:
            head.append(swap("Content-Length") + ": {}".format(len(body)))
        message = "\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + body
        if self.style == "odd":
            for start in range(0, len(message), 7):
                connection.sendall(message[start : start + 7])
        else:
            connection.sendall(message)


def _read_head(reader):
    return reader.readline().decode("latin-1").rstrip("\r\n"), _read_fields(reader)


def _read_fields(reader):
    """Header lines up to an empty one, by lower-case names."""
    lines = iter(lambda: reader.readline().decode("latin-1").rstrip("\r\n"), "")
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
