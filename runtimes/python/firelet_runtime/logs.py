"""Where log records go, and how they look.

Lines go to standard output, or, when `_LAMBDA_TELEMETRY_LOG_FD` names a descriptor, there in AWS's frames, which keep
a record of several lines together. Loaded only once the function imports `logging` or fails.
"""

import os
import sys
import time

_DATETIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_RESERVED_FIELDS = frozenset(
    (
        "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created msecs "
        "relativeCreated thread threadName processName process aws_request_id tenant_id"
    ).split()
)
_TEXT_FRAME = 0xA55A0003
_JSON_FRAME = 0xA55A0002
ERROR_LEVEL = 40

_sink = None


def is_json_format():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def sink():
    """Answers the one sink of this process."""
    global _sink
    if _sink is None:
        descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        _sink = StandardLogSink() if descriptor is None else FramedLogSink(int(descriptor), is_json_format())
    return _sink


class StandardLogSink(object):
    def log(self, text, level=0):
        sys.stdout.write(text)

    def log_lines(self, lines, level):
        sys.stdout.write("\n".join(lines) + "\n")


class FramedLogSink(object):
    """Frames are type, length (4 bytes each), microseconds since 1970 (8 bytes), all big-endian, and the text."""

    def __init__(self, descriptor, json_format):
        self._descriptor = descriptor
        self._json_format = json_format

    def log(self, text, level=0):
        base = _JSON_FRAME if self._json_format and level else _TEXT_FRAME
        kind = base + (level // 10 * 4 + 4 if level else 0)
        body = text.encode("utf-8", "backslashreplace")
        stamp = time.time_ns() // 1000
        frame = kind.to_bytes(4, "big") + len(body).to_bytes(4, "big") + stamp.to_bytes(8, "big") + body
        while frame:
            frame = frame[os.write(self._descriptor, frame) :]

    def log_lines(self, lines, level):
        self.log("\n".join(lines), level)


def _level(record):
    return min(50, max(0, record.levelno)) // 10 * 10


def install(logging, invocation):
    """Gives the root logger the handler that AWS gives it; called when `logging` has just been imported."""

    class LambdaLoggerHandler(logging.Handler):
        def __init__(self, log_sink):
            logging.Handler.__init__(self)
            self.log_sink = log_sink

        def emit(self, record):
            text = self.format(record)
            # A traceback has no line end of its own, and what is printed next is no part of it.
            self.log_sink.log(text if text.endswith("\n") else text + "\n", _level(record) if with_levels else 0)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = invocation.request_id or ""
            record.tenant_id = invocation.tenant_id
            return True

    class JsonFormatter(logging.Formatter):
        def __init__(self):
            super().__init__(datefmt=_DATETIME_FORMAT)

        def format(self, record):
            return _format_json(self, record, logging.getLevelName)

    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    json_format = is_json_format()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    with_levels = json_format or bool(level)
    handler = LambdaLoggerHandler(sink())
    handler.setFormatter(JsonFormatter() if json_format else logging.Formatter(_TEXT_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    if level in logging._nameToLevel:
        root.setLevel(level)
    handler.addFilter(LambdaLoggerFilter())
    root.addHandler(handler)


def _format_json(formatter, record, level_name):
    import json
    import traceback

    record.levelno = _level(record)
    record.levelname = level_name(record.levelno)
    error = record.exc_info or None
    is_plain_dict = isinstance(record.msg, dict) and not record.args
    result = {
        "timestamp": formatter.formatTime(record, formatter.datefmt),
        "level": record.levelname,
        "message": record.msg if is_plain_dict else record.getMessage(),
        "logger": record.name,
        "stackTrace": traceback.format_tb(error[2]) if error else None,
        "errorType": error[0].__name__ if error and error[0] else None,
        "errorMessage": str(error[1]) if error else None,
        "requestId": getattr(record, "aws_request_id", None),
        "location": "{}:{}:{}".format(record.pathname, record.funcName, record.lineno) if error else None,
        "tenantId": getattr(record, "tenant_id", None),
    }
    for name, value in record.__dict__.items():
        if name not in _RESERVED_FIELDS and name not in result:
            result[name] = value
    result = {name: value for name, value in result.items() if value is not None}
    return json.dumps(result, ensure_ascii=False, default=str) + "\n"
