"""Functions in a server, seen through boto3."""

import base64
import dataclasses
import itertools
import json

from botocore.exceptions import ClientError

from support.server import ACCOUNT
from support.waiting import wait_for

ROLE = "arn:aws:iam::000000000000:role/test"
HANDLERS = {"python": "app.handler", "nodejs": "index.handler", "provided": "bootstrap"}


@dataclasses.dataclass
class Answer:
    """What Invoke gave."""

    status: int
    body: bytes
    error: str | None
    log: str | None
    version: str | None
    request_id: str

    @property
    def payload(self):
        return json.loads(self.body)


class World:
    """One account of one server. Every function that it makes has a name of its own."""

    _numbers = itertools.count(1)

    def __init__(self, server, account=ACCOUNT):
        self.server = server
        self.account = account
        self.client = server.client(account)

    def name(self, stem="function"):
        return f"{stem}-{next(self._numbers)}"

    def create(self, zip_bytes, name=None, runtime="python3.11", **settings):
        """Creates a function; gives the answer as it came. A setting of None is left out."""
        family = runtime.rstrip("0123456789.x").split(".")[0]
        request = {
            "FunctionName": name or self.name(),
            "Runtime": runtime,
            "Handler": HANDLERS.get(family, "app.handler"),
            "Role": ROLE,
            "Code": {"ZipFile": zip_bytes},
            "Timeout": 30,
        }
        request = {key: value for key, value in (request | settings).items() if value is not None}
        return self.client.create_function(**request)

    def deploy(self, zip_bytes, **settings):
        """Creates a function, waits until it is active, and gives its name."""
        name = self.create(zip_bytes, **settings)["FunctionName"]
        self.await_active(name)
        return name

    def await_active(self, name):
        wait_for(lambda: self.configuration(name)["State"] == "Active", f"{name} is active")

    def await_updated(self, name):
        wait_for(
            lambda: self.configuration(name)["LastUpdateStatus"] == "Successful", f"{name} is updated"
        )

    def await_idle(self, name):
        """An environment is free only a moment after its answer; where that is long, another one is made for the next caller."""
        is_idle = lambda: all(one["state"] in ("idle", "frozen") for one in self.server.environments(name))
        wait_for(is_idle, f"the environments of {name} are free")

    def configuration(self, name):
        return self.client.get_function_configuration(FunctionName=name)

    def invoke(self, name, payload=None, tail=False, **settings):
        """Invokes a function; a payload that is not bytes goes as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        if tail:
            settings["LogType"] = "Tail"
        answer = self.client.invoke(FunctionName=name, Payload=body, **settings)
        log = answer.get("LogResult")
        return Answer(
            status=answer["StatusCode"],
            body=answer["Payload"].read(),
            error=answer.get("FunctionError"),
            log=base64.b64decode(log).decode() if log is not None else None,
            version=answer.get("ExecutedVersion"),
            request_id=answer["ResponseMetadata"]["RequestId"],
        )

    def stream(self, name, payload=None, **settings):
        """Invokes a function for an answer in pieces, which have yet to be read."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        return self.client.invoke_with_response_stream(FunctionName=name, Payload=body, **settings)


@dataclasses.dataclass
class Refusal:
    """An error as the client sees it."""

    status: int
    code: str
    message: str
    body: dict


def refusal(call, *arguments, **settings):
    """The error that `call` ends in."""
    try:
        answer = call(*arguments, **settings)
    except ClientError as error:
        return Refusal(
            status=error.response["ResponseMetadata"]["HTTPStatusCode"],
            code=error.response["Error"]["Code"],
            message=error.response["Error"]["Message"],
            body=error.response,
        )
    raise AssertionError(f"was not refused: {answer}")
