"""Error payloads, error log lines and X-Ray causes, in AWS's form.

Loaded at a function's first error only.
"""

import os
import sys
import time
import traceback

from .bootstrap import MAX_XRAY_CAUSE, environment
from .logs import ERROR_LEVEL, is_json_format, sink
from .marshal import Encoder, FaultException

INDENT = "\u00a0"
UNHANDLED_WARNING = (
    "LAMBDA_WARNING: Unhandled exception. "
    "The most likely cause is an issue in the function code. "
    "However, in rare cases, a Lambda runtime update can cause unexpected function behavior. "
    "For functions using managed runtimes, runtime updates can be triggered by a function change, or can be applied automatically. "
    "To determine if the runtime has been updated, check the runtime version in the INIT_START log entry. "
    "If this error correlates with a change in the runtime version, you may be able to mitigate this error by temporarily rolling"
    " back to the previous runtime version. "
    "For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)

_ascii_encoder = Encoder(True)


def warn_of_unhandled():
    """Logs what AWS says before an error at the start of a function."""
    import logging

    logging.warning(UNHANDLED_WARNING)


def report_error(error, encoder):
    """Logs an error that belongs to no invocation, and answers the payload and its type."""
    result, _ = _describe(error, "")
    _log_error(result, encoder)
    return _encode(result, encoder), result["errorType"]


def report_invocation_error(error, request_id, encoder):
    """Logs the error and answers the payload and the headers that go with it."""
    result, frames = _describe(error, request_id)
    _log_error(result, encoder)
    return _encode(result, encoder), header(result["errorType"]) + _xray_header(error, result, frames)


def header(error_type):
    return "Lambda-Runtime-Function-Error-Type: {}\r\n".format(error_type.encode("ascii", "replace").decode())


def _describe(error, request_id):
    if isinstance(error, FaultException):
        frames = []
        message, error_type, trace = error.msg, error.exception_type, error.trace or []
    else:
        frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(error.__traceback__)]
        for index, frame in enumerate(frames):
            if "/bootstrap.py" not in frame[0]:
                frames = frames[index:]
                break
        message, error_type, trace = str(error), type(error).__name__, traceback.format_list(frames)
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}, frames


def _encode(result, encoder):
    return encoder.encode(result).encode("utf-8", "backslashreplace")


def _log_error(result, encoder):
    if is_json_format():
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"timestamp": stamp, "level": "ERROR"}
        entry.update(result)
        lines = [encoder.encode(entry)]
    else:
        lines = _error_lines(result)
    sink().log_lines(lines, ERROR_LEVEL)


def _error_lines(result):
    head = "[ERROR] " + result["errorType"]
    if result["errorMessage"]:
        head += ": " + result["errorMessage"]
    lines = [head, "Traceback (most recent call last):"]
    for element in result["stackTrace"]:
        for line in element.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append(INDENT * (len(line) - len(text)) + text)
    return lines


def _xray_header(error, result, frames):
    fault_type = "LambdaValidationError" if isinstance(error, FaultException) else result["errorType"]
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in frames]
    cause = {
        "working_directory": os.getcwd(),
        "exceptions": [{"message": result["errorMessage"], "type": fault_type, "stack": stack}],
        "paths": sorted({path for path, _, _, _ in frames}),
    }
    text = _ascii_encoder.encode(cause)
    return "Lambda-Runtime-Function-XRay-Error-Cause: {}\r\n".format(text) if len(text) < MAX_XRAY_CAUSE else ""
