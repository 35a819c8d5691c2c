"""Extensions for tests: what speaks the Extensions API inside of functions."""

import io
import zipfile

from support import packages

# Calls to the Extensions API, for a function's own module or for a program in a layer.
CLIENT = """
import http.client, json, os

def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {"Lambda-Extension-" + name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, "/2020-01-01/extension/" + path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, found, json.loads(text) if text[:1] == "{" else text

def register(name, *events):
    answer = call("POST", "register", json.dumps({"events": events}), Name=name)
    assert answer[0] == 200, answer
    return answer[1]["lambda-extension-identifier"]

def next_event(identifier):
    return call("GET", "event/next", Identifier=identifier)
"""


def internal(source):
    """A Python function whose module has the client."""
    return packages.python(CLIENT + source)


def layer(programs, executable=True):
    """A layer of extensions: name to source of the Python program, which has the client."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, source in programs.items():
            entry = zipfile.ZipInfo(f"extensions/{name}", (2024, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, f"#!/usr/bin/python3\n{CLIENT}\n{source}")
    return content.getvalue()


def recorder(*events, then="pass"):
    """A program that says in the log which events it gets, and keeps those of invocations in `/tmp`."""
    return f"""
import sys, time
NAME = os.path.basename(sys.argv[0])
identifier = register(NAME, *{events!r})
print(NAME, "started", flush=True)
while True:
    event = next_event(identifier)[2]
    with open(f"/tmp/{{NAME}}", "a") as file:
        file.write(json.dumps(event) + "\\n")
    if event["eventType"] == "SHUTDOWN":
        left = event["deadlineMs"] - time.time() * 1000
        print(NAME, "shutdown", event["shutdownReason"], "left", round(left), flush=True)
        {then}
        sys.exit()
"""
