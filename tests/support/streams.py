"""Functions that stream their answers as they are told, and the answers as callers read them."""

import contextlib
import dataclasses
import http.server
import threading

from support import packages

# A runtime that does what its event says, step by step, in the plainest HTTP, and logs what the Runtime API answers.
BOOTSTRAP = r"""#!/usr/bin/python3
import base64, http.client, json, os, socket, time, urllib.request

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
API = "/2018-06-01/runtime/invocation/"


class Post:
    def __init__(self, path, headers):
        self.socket = socket.create_connection((HOST, int(PORT)))
        head = [f"POST {API}{path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers.items())]
        self.send("\r\n".join(head) + "\r\n\r\n")

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self, trailers):
        self.send("0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers.items()) + "\r\n")

    def log_answer(self):
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        print("answered", response.status, response.read().decode().strip(), flush=True)


def run(event, path):
    headers = {"Lambda-Runtime-Function-Response-Mode": event.get("mode", "streaming")}
    if "type" in event:
        headers["Content-Type"] = event["type"]
    post = Post(path + "/response", headers | {"Transfer-Encoding": "chunked"} | event.get("headers", {}))
    trailers = {}
    for step, *arguments in event["steps"]:
        if step == "write":
            post.chunk(arguments[0].encode())
        elif step == "fill":
            piece = b"x" * (1 << 16)
            for _ in range(arguments[0] >> 16):
                post.chunk(piece)
        elif step == "ask":
            urllib.request.urlopen(arguments[0], timeout=60).read()
        elif step == "fail":
            body = arguments[1] if len(arguments) > 1 else {"errorType": arguments[0], "errorMessage": "in mid-stream"}
            trailers = {
                "Lambda-Runtime-Function-Error-Type": arguments[0],
                "Lambda-Runtime-Function-Error-Body": base64.b64encode(json.dumps(body).encode()).decode(),
            }
        elif step == "sleep":
            time.sleep(arguments[0])
        elif step == "print":
            print(arguments[0], flush=True)
        elif step == "break":
            post.socket.close()
            return
        elif step == "exit":
            os._exit(arguments[0])
    post.end(trailers)
    post.log_answer()


while True:
    connection = http.client.HTTPConnection(HOST, int(PORT))
    connection.request("GET", API + "next")
    response = connection.getresponse()
    event, path = json.loads(response.read()), response.headers["Lambda-Runtime-Aws-Request-Id"]
    if "steps" in event:
        run(event, path)
    else:
        post = Post(path + "/response", {"Content-Type": "text/special", "Content-Length": 7})
        post.send('"whole"')
        post.log_answer()
"""
PACKAGE = packages.package({"bootstrap": BOOTSTRAP})


def deploy(world, **settings):
    """A function that does what its event says."""
    return world.deploy(PACKAGE, runtime="provided.al2023", **settings)


@dataclasses.dataclass
class Streamed:
    """A whole answer of InvokeWithResponseStream."""

    pieces: list
    end: dict

    @property
    def body(self):
        return b"".join(self.pieces)


def begin(world, name, *steps, payload=None, **settings):
    """Invokes a function; gives the answer whose events have yet to be read."""
    event = payload if payload is not None else {"steps": steps}
    return world.stream(name, event, **settings)


def read(answer):
    """Reads all events of an answer."""
    events = list(answer["EventStream"])
    assert [list(event) for event in events[:-1]] == [["PayloadChunk"]] * (len(events) - 1)
    assert list(events[-1]) == ["InvokeComplete"]
    return Streamed([event["PayloadChunk"]["Payload"] for event in events[:-1]], events[-1]["InvokeComplete"])


def run(world, name, *steps, **settings):
    return read(begin(world, name, *steps, **settings))


@contextlib.contextmanager
def gate():
    """Serves an address that answers only once the gate is open; gives both, and says when it was asked."""
    opened, asked = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            opened.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", opened, asked
    finally:
        opened.set()
        server.shutdown()
        server.server_close()
        thread.join()
