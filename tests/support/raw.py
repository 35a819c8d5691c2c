"""HTTP without a client library's kindness."""

import dataclasses
import http.client
import json


@dataclasses.dataclass
class Response:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def request(server, method, path, body=None, headers=None):
    """Sends a request exactly as given."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        try:
            connection.request(method, path, body=body, headers=headers or {})
        except BrokenPipeError:
            # A server may answer before it has read everything; the answer is there nevertheless.
            pass
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()
