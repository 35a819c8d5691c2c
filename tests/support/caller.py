"""Calls through boto3, and their answers as they came over the wire."""

import concurrent.futures
import json
import threading

from botocore.exceptions import ClientError


class Answer:
    """An answer as it came over the wire: JSON is read, no body is an empty text."""

    def __init__(self, kept, payload):
        self.status = kept["status_code"]
        self.headers = {name.lower(): value for name, value in kept["headers"].items()}
        text = (kept["body"] if payload is None else payload).decode()
        try:
            self.body = json.loads(text)
        except ValueError:
            self.body = text

    def member(self, path):
        """The member of the body that a dotted path leads to."""
        found = self.body
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found


def read(parsed):
    """What comes after the head of an answer: a payload, or the events of a stream as a list in JSON."""
    if "EventStream" in parsed:
        events = list(parsed["EventStream"])
        return json.dumps(events, default=bytes.decode).encode() if events else b""
    return parsed["Payload"].read() if "Payload" in parsed else None


class Caller:
    """Calls operations through boto3, which signs and spells them, and gives the answers that boto3 read."""

    def __init__(self, world):
        self.world = world
        self.clients = {}
        self.kept = threading.local()

    def answers(self, requests):
        """The answers to requests; several are sent at the same time."""
        clients = [self._client(request["account"] or self.world.account) for request in requests]
        if len(requests) == 1:
            return [self._answer(clients[0], requests[0])]
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(self._answer, clients, requests))

    def _client(self, account):
        if account not in self.clients:
            client = self.clients[account] = self.world.server.client(account)
            client.meta.events.register("before-parse.lambda.*", self._keep)
        return self.clients[account]

    def _keep(self, response_dict, **_):
        self.kept.answer = response_dict

    def _answer(self, client, request):
        methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
        payload = None
        try:
            parsed = getattr(client, methods[request["call"]])(**(request["with"] or {}))
            payload = read(parsed)
        except ClientError:
            pass
        return Answer(self.kept.answer, payload)
