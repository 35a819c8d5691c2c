"""Extensions for tests: what speaks the Extensions API inside of functions."""

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
