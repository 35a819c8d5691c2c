"""Functions that listen to their own telemetry."""

from support import extensions, packages

# An HTTP listener in the function's process, and what it has got. `collect` waits for what a test wants to see.
LISTENER = """
import http.server, socket, socketserver, sys, threading, time

batches = []
requests = []

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        requests.append([self.command, self.path, self.headers["content-type"], self.headers["host"], len(body)])
        status = answer_with()
        if status == 200:
            keep(body)
            batches.append(json.loads(body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    do_PUT = do_POST

    def log_message(self, *arguments):
        pass

def answer_with():
    return 200

def keep(body):
    pass

def listen():
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return listener.server_address[1]

def listen_by_tcp():
    listener = socket.create_server(("127.0.0.1", 0))
    def take():
        while True:
            connection, _ = listener.accept()
            for line in connection.makefile("rb"):
                batches.append([json.loads(line)])
    threading.Thread(target=take, daemon=True).start()
    return listener.getsockname()[1]

def events(*types):
    return [event for batch in list(batches) for event in batch if not types or event["type"] in types]

def collect(type, count):
    deadline = time.monotonic() + 20
    while len(events(type)) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return events()

def subscribe(identifier, path="/2022-07-01/telemetry", body=None, **changes):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {"Lambda-Extension-Identifier": identifier} if identifier else {}
    text = body if body is not None else json.dumps(SUBSCRIPTION | changes)
    connection.request("PUT", path, text, headers)
    answer = connection.getresponse()
    return [answer.status, json.loads(answer.read())]

def to(port, path=""):
    return {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}{path}"}

def by_tcp(port):
    return {"protocol": "TCP", "port": port}

def settle(identifier):
    threading.Thread(target=next_event, args=(identifier,), daemon=True).start()

SUBSCRIPTION = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function"],
    "buffering": {"timeoutMs": 25},
}
"""
# Subscribes an extension that hears of no invocations, so that it is never waited for.
SUBSCRIBED = """
identifier = register("listener")
answer = subscribe(identifier, destination=to(listen()), **OPTIONS)
assert answer == [200, "OK"], answer
settle(identifier)
"""


def listening(source, before="", **options):
    """A Python function that is subscribed with these changes of the usual request; `before` runs first."""
    return extensions.internal(f"{LISTENER}\nOPTIONS = {options!r}\n{before}\n{SUBSCRIBED}\n{source}")


def written(source):
    """A Python function with the listener, which subscribes by itself."""
    return extensions.internal(LISTENER + source)


def records(events, kind):
    """The records of events of one type."""
    return [event["record"] for event in events if event["type"] == kind]


# An extension that keeps in `/tmp/told` all that it is told, each batch a line, and prints what it was told at the end.
KEEPER = """
def keep(body):
    with open("/tmp/told", "ab") as file:
        file.write(body + b"\\n")

identifier = register(os.path.basename(sys.argv[0]), "INVOKE", "SHUTDOWN")
answer = subscribe(identifier, destination=to(listen()), **OPTIONS)
assert answer == [200, "OK"], answer
print("extension speaks", flush=True)
while next_event(identifier)[2]["eventType"] != "SHUTDOWN":
    pass
collect(AWAITED, 1)
print("told at last of", [event["type"] for event in events()], flush=True)
"""
# What a function reads of that.
TOLD = """
import json, os, time

def told(until=None):
    deadline = time.monotonic() + 20
    while True:
        lines = open("/tmp/told").read().splitlines() if os.path.exists("/tmp/told") else []
        events = [event for line in lines for event in json.loads(line)]
        if until is None or any(event["type"] == until for event in events) or time.monotonic() > deadline:
            return events
        time.sleep(0.005)
"""


def keeper(awaited="platform.report", **options):
    """A layer with an extension that is subscribed with these changes of the usual request, and awaits an event at its end."""
    constants = f"AWAITED = {awaited!r}\nOPTIONS = {options!r}"
    return extensions.layer({"keeper": f"{LISTENER}\n{constants}\n{KEEPER}"})


def reading(source):
    """A Python function that can read what the extension of `keeper` was told."""
    return packages.python(TOLD + source)
