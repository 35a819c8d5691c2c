"""Events from JSON, responses to JSON, without the `json` package.

`import json` compiles regular expressions, which costs more than starting the interpreter's other parts; its C scanner and
encoder need none of them. Errors are still reported in the words of `json`, which is loaded only then.

Responses are encoded as on AWS: a `Decimal` becomes a number, `bytes` inside a response become text, a named tuple becomes an
object. From Python 3.12 on, text stays as it is; before, it is escaped to ASCII.
"""

from gc import get_referents
from sys import modules

import _json

WHITESPACE = " \t\n\r"
SCALARS = frozenset((str, int, float, bool, type(None)))
CONTAINERS = frozenset((dict, list, tuple))
PLAIN = SCALARS | CONTAINERS


class FaultException(Exception):
    """A failure that the runtime itself reports, under one of AWS's `Runtime.` names."""

    def __init__(self, exception_type, msg, trace=None):
        self.exception_type = exception_type
        self.msg = msg
        self.trace = trace


class _ScannerOptions:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


_scan = _json.make_scanner(_ScannerOptions)


def unmarshal_request(body, content_type):
    if content_type != "application/json":
        return bytes(body)
    try:
        text = str(body, "utf-8")
        start = 0 if text[:1] not in WHITESPACE else len(text) - len(text.lstrip(WHITESPACE))
        value, end = _scan(text, start)
        if end == len(text) or not text[end:].strip(WHITESPACE):
            return value
    except Exception:
        pass
    return _unmarshal_with_json(body)


def _unmarshal_with_json(body):
    import json

    try:
        return json.loads(body)
    except Exception as error:
        raise FaultException("Runtime.UnmarshalError", "Unable to unmarshal input: {}".format(error))


class Encoder:
    """Encodes responses, one at a time."""

    def __init__(self, ensure_ascii):
        self._encode_text = _json.encode_basestring_ascii if ensure_ascii else _json.encode_basestring
        self._number_mark = None
        self._renew()

    def _renew(self):
        self._encode = _json.make_encoder({}, self._default, self._encode_text, None, ": ", ", ", False, False, True)

    def encode(self, value):
        """Answers the JSON text of `value`."""
        self._has_numbers = False
        try:
            text = "".join(self._encode(value, 0))
            if _has_records(value):
                text = "".join(self._encode(_plain(value), 0))
        except BaseException as error:
            self._renew()
            if not (isinstance(error, TypeError) and str(error).endswith("not bytes")):
                raise
            text = "".join(self._encode(_plain(value), 0))
        return self._with_numbers(text) if self._has_numbers else text

    def _default(self, value):
        if isinstance(value, bytes):
            return value.decode("utf-8")
        as_dict = getattr(value, "_asdict", None)
        if callable(as_dict) and not isinstance(value, type):
            return as_dict()
        if "decimal" in modules:
            from decimal import Decimal

            if isinstance(value, Decimal):
                return float("nan") if value.is_nan() else self._marked_number(value)
        raise TypeError("Object of type {} is not JSON serializable".format(value.__class__.__name__))

    def _marked_number(self, value):
        if self._number_mark is None:
            from posix import urandom

            self._number_mark = urandom(16).hex()
        self._has_numbers = True
        return self._number_mark + str(value)

    def _with_numbers(self, text):
        first, *rest = text.split('"' + self._number_mark)
        return first + "".join([part.replace('"', "", 1) for part in rest])


def _has_records(value):
    """Tells whether a named tuple is in `value`, which has been encoded: no cycle leads through its plain containers."""
    level = [value]
    kinds = {type(value)}
    seen = set()
    while not kinds <= SCALARS:
        others = [kind for kind in kinds - PLAIN if issubclass(kind, (dict, list, tuple))]
        if any(issubclass(kind, tuple) and hasattr(kind, "_asdict") for kind in others):
            return True
        containers = CONTAINERS.union(others)
        level = [item for item in level if type(item) in containers]
        if others:
            level = [item for item in level if id(item) not in seen]
            seen.update(map(id, level))
        level = get_referents(*level)
        kinds = set(map(type, level))
    return False


def _plain(value):
    if isinstance(value, dict):
        return {key.decode("utf-8") if isinstance(key, bytes) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
