"""The parts of the context object that only mobile clients and tracing tools send."""

import json

from .bootstrap import CognitoIdentity
from .marshal import FaultException

W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class _Record(object):
    __slots__ = []

    def __init__(self, fields):
        for name in self.__slots__:
            setattr(self, name, fields.get(name))

    def __repr__(self):
        fields = ["{}={}".format(name, getattr(self, name)) for name in self.__slots__]
        return "{}([{}])".format(self.__class__.__name__, ",".join(fields))


class Client(_Record):
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext(_Record):
    __slots__ = ["custom", "env", "client"]


def read_client_context(header):
    """Answers the client context, or `None`, and the W3C trace fields that came with it."""
    fields = _parse(header, "Client Context")
    if fields is None:
        return None, {}
    w3c = fields.pop("w3c", None) if isinstance(fields, dict) else None
    context = ClientContext(fields)
    if context.client is not None:
        context.client = Client(context.client)
    if not isinstance(w3c, dict):
        w3c = {}
    return context, {name: w3c[name] for name in W3C_FIELDS if isinstance(w3c.get(name), str)}


def read_identity(header):
    return CognitoIdentity(_parse(header, "Cognito Identity") or {})


def _parse(header, name):
    if not header:
        return None
    try:
        return json.loads(header)
    except Exception as error:
        raise FaultException("Runtime.LambdaContextUnmarshalError", "Unable to parse {} JSON: {}".format(name, error))
