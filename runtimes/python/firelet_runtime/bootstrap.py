"""Loads the function's handler and runs it for one invocation after the other.

Imports nothing that the function may not need: `os`, `json`, `logging` and `traceback` are left to the function or to the
moment of need. The response of one invocation is the request for the next.
"""

import posix
import sys
from time import time

import _frozen_importlib
import _frozen_importlib_external

from . import streams
from .connection import Connection, ConnectionClosed
from .marshal import Encoder, FaultException, unmarshal_request

API = "/2018-06-01/runtime"
# Of `stat`, which is not imported.
FILE_TYPE, SOCKET = 0o170000, 0o140000
MAX_XRAY_CAUSE = 64 * 1024
ASCII_RESPONSES_UNTIL = (3, 11)
# Has an outcome answered with the next event.
NEXT = "Firelet-Runtime-Next: 1\r\n"


def environment(name, default=None):
    value = posix.environ.get(name.encode())
    return default if value is None else value.decode("utf-8", "surrogateescape")


class Invocation:
    """What the log handlers need to know of the current invocation."""

    request_id = None
    tenant_id = None


class LambdaContext(object):
    def __init__(self, function, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name, self.log_stream_name, self.function_name, self.memory_limit_in_mb, self.function_version = function
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        client_context = headers.get("lambda-runtime-client-context")
        identity = headers.get("lambda-runtime-cognito-identity")
        if client_context or identity:
            from .identity import read_client_context, read_identity

            self.client_context, self._w3c_fields = read_client_context(client_context)
            self.identity = read_identity(identity)
        else:
            self.client_context, self._w3c_fields = None, {}
            self.identity = CognitoIdentity()
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        remaining = self._epoch_deadline_time_in_ms - int(time() * 1000)
        return remaining if remaining > 0 else 0

    def w3c(self):
        """Answers the W3C trace context of this invocation."""
        return dict(self._w3c_fields)

    def log(self, msg):
        write_log(str(msg))

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([{}])".format(",".join(["{}={}".format(name, getattr(self, name)) for name in names]))


class CognitoIdentity(object):
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __init__(self, identity={}):
        self.cognito_identity_id = identity.get("cognitoIdentityId")
        self.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id={},cognito_identity_pool_id={}])".format(
            self.cognito_identity_id, self.cognito_identity_pool_id
        )


def write_log(text):
    """Writes `text` where log lines go, as it is."""
    logs = sys.modules.get("firelet_runtime.logs")
    if logs is None and b"_LAMBDA_TELEMETRY_LOG_FD" in posix.environ:
        from . import logs
    if logs is None:
        sys.stdout.write(text)
    else:
        logs.sink().log(text)


class LoggingFinder:
    """Sets the root logger up in the moment in which `logging` is first imported.

    On AWS `logging` is imported before the function, so a module of that name in the function's code is never found.
    """

    def __init__(self, library):
        self.library = library
        # Loaded ahead of the function, and not set up; out of sight until the function imports it.
        self.preloaded = sys.modules.pop("logging", None)

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        spec = _frozen_importlib_external.PathFinder.find_spec(name, self.library)
        if spec is not None:
            spec.loader = LoggingLoader(spec.loader, self.preloaded)
        return spec


class LoggingLoader:
    def __init__(self, loader, preloaded):
        self.loader = loader
        self.preloaded = preloaded

    def create_module(self, spec):
        return self.preloaded or self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        if self.preloaded is None:
            self.loader.exec_module(module)
        from .logs import install

        install(module, Invocation)


def search_path(runtime_root):
    """Answers the module search path as on AWS, and the part of it that is the standard library."""
    layer_root = environment("FIRELET_LAYER_ROOT", "/opt")
    wanted = [
        environment("LAMBDA_TASK_ROOT", "/var/task"),
        "{}/python/lib/python{}.{}/site-packages".format(layer_root, *sys.version_info[:2]),
        layer_root + "/python",
    ]
    user = [entry for entry in environment("PYTHONPATH", "").split(":") if entry]
    if runtime_root not in user:
        wanted.append(runtime_root)
    library = [
        entry
        for entry in sys.path
        if entry and entry not in user and entry != runtime_root and not entry.endswith(("site-packages", "dist-packages"))
    ]
    packages = runtime_root + "/site-packages"
    path = wanted + user + library
    try:
        posix.stat(packages)
        path.append(packages)
    except OSError:
        pass
    return list(dict.fromkeys(path)), library


def own_folders(runtime_root):
    """Answers the folders whose modules are found before those of the standard library."""
    path, library = search_path(runtime_root)
    return [folder for folder in path if folder not in library]


def prepare_interpreter(runtime_root):
    sys.path[:], library = search_path(runtime_root)
    if sys.flags.no_site:
        import builtins

        import _sitebuiltins

        builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
        builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
        builtins.help = _sitebuiltins._Helper()
    streams.unbuffer()
    sys.meta_path.insert(0, LoggingFinder(library))


def get_handler(handler):
    try:
        modname, fname = handler.rsplit(".", 1)
    except ValueError as error:
        raise FaultException("Runtime.MalformedHandlerName", "Bad handler '{}': {}".format(handler, error))
    try:
        if modname.split(".")[0] in sys.builtin_module_names:
            raise FaultException(
                "Runtime.BuiltInModuleConflict", "Cannot use built-in module {} as a handler module".format(modname)
            )
        module = import_module(modname.replace("/", "."))
    except ImportError as error:
        raise FaultException("Runtime.ImportModuleError", "Unable to import module '{}': {}".format(modname, error))
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise FaultException(
            "Runtime.UserCodeSyntaxError", "Syntax error in module '{}': {}".format(modname, error), trace
        )
    try:
        return getattr(module, fname)
    except AttributeError:
        raise FaultException("Runtime.HandlerNotFound", "Handler '{}' missing on module '{}'".format(fname, modname))


def import_module(name):
    if name.startswith("."):
        import importlib

        return importlib.import_module(name)
    return _frozen_importlib._gcd_import(name)


def set_trace_id(trace_id):
    os = sys.modules.get("os")
    if os is not None:
        if trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
    elif trace_id is not None:
        value = trace_id.encode("utf-8", "surrogateescape")
        posix.environ[b"_X_AMZN_TRACE_ID"] = value
        posix.putenv(b"_X_AMZN_TRACE_ID", value)
    elif posix.environ.pop(b"_X_AMZN_TRACE_ID", None) is not None:
        posix.unsetenv(b"_X_AMZN_TRACE_ID")


class Runtime:
    def __init__(self, address):
        self.address = address
        self.connect()
        host = "Host: {}\r\n".format(address)
        self.next_request = "GET {}/invocation/next HTTP/1.1\r\n{}\r\n".format(API, host).encode()
        self.restore_request = "GET {}/restore/next HTTP/1.1\r\n{}\r\n".format(API, host).encode()
        self.post_start = "POST {}/".format(API)
        self.post_middle = " HTTP/1.1\r\n{}Content-Type: ".format(host)
        version = environment("AWS_EXECUTION_ENV", "").rpartition("python")[2].split(".")
        version = tuple(map(int, version)) if all(part.isdigit() for part in version) else sys.version_info[:2]
        self.encoder = Encoder(version <= ASCII_RESPONSES_UNTIL)
        self.streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
        self.function = [
            environment(name)
            for name in (
                "AWS_LAMBDA_LOG_GROUP_NAME",
                "AWS_LAMBDA_LOG_STREAM_NAME",
                "AWS_LAMBDA_FUNCTION_NAME",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                "AWS_LAMBDA_FUNCTION_VERSION",
            )
        ]

    def connect(self):
        self.connection = Connection(self.address)

    def post_head(self, path, content_type, length, extra=""):
        return "{}{}{}{}\r\nContent-Length: {}\r\n{}\r\n".format(
            self.post_start, path, self.post_middle, content_type, length, extra
        ).encode()

    def load(self, handler):
        """Answers the handler, or reports why there is none and ends the process."""
        try:
            return get_handler(handler)
        except Exception as error:
            from . import faults

            faults.warn_of_unhandled()
            self.report_and_exit(error, "init/error")

    def report_and_exit(self, error, path, error_type=None, status=1):
        """Reports what belongs to no invocation, as `error_type` if it is not the error's own, and ends the process."""
        from . import faults

        body, own_type = faults.report_error(error, self.encoder)
        self.flush()
        extra = faults.header(error_type or own_type)
        self.connection.send(self.post_head(path, "application/json", len(body), extra), body)
        self.connection.receive()
        sys.exit(status)

    def serve(self, request_handler):
        connection = self.connection
        self.flush()
        connection.send(self.next_request)
        is_reporting = False
        while True:
            status, headers, body = connection.receive()
            if status == 200:
                head, body = self.handle_event_request(request_handler, headers, body)
                self.flush()
                connection.send(head, body)
                is_reporting = True
            elif is_reporting:
                sys.stdout.write("LAMBDA_RUNTIME Failed to post handler response. Http response code: {}.\n".format(status))
                self.flush()
                connection.send(self.next_request)
                is_reporting = False
            else:
                raise ConnectionClosed("next answered {}: {}".format(status, bytes(body)))

    def handle_event_request(self, request_handler, headers, body):
        """Answers the head and the body of the request that reports this invocation's outcome."""
        request_id = headers["lambda-runtime-aws-request-id"]
        Invocation.request_id = request_id
        Invocation.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        set_trace_id(headers.get("lambda-runtime-trace-id"))
        try:
            lambda_context = LambdaContext(self.function, headers)
            event = unmarshal_request(body, headers.get("content-type", "application/json"))
            response = request_handler(event, lambda_context)
            body, content_type = self.marshal_response(response)
            return self.post_head("invocation/" + request_id + "/response", content_type, len(body), NEXT), body
        except Exception as error:
            from . import faults

            body, extra = faults.report_invocation_error(error, request_id, self.encoder)
            return self.post_head("invocation/" + request_id + "/error", "application/json", len(body), extra + NEXT), body

    def marshal_response(self, response):
        if isinstance(response, bytes):
            return response, "application/unknown"
        try:
            return self.encoder.encode(response).encode("utf-8"), "application/json"
        except Exception as error:
            raise FaultException("Runtime.MarshalError", "Unable to marshal response: {}".format(error))

    def flush(self):
        for stream in self.streams:
            try:
                stream.flush()
            except (OSError, ValueError):
                pass


def is_started_ahead():
    """Whether standard input is a socket, which only an interpreter that waits for a function has."""
    return posix.fstat(0).st_mode & FILE_TYPE == SOCKET


def await_function(runtime_root):
    """Returns once this interpreter, which was started ahead of its function, has been told it."""
    modules = set(sys.modules)
    folders = own_folders(runtime_root)
    from . import assignment, rehearsal

    is_forking = environment("FIRELET_FORK")
    if is_forking:
        from . import zygote
    assignment.preload()
    # From here on nothing may be imported: what is looked for where nothing is mounted yet is never looked for there again.
    prepare_interpreter(runtime_root)
    is_awaited = is_forking and zygote.serve()
    if not is_awaited:
        rehearsal.rehearse(folders)
    assignment.wait()
    if assignment.hide_all_but(modules, folders):
        sys.meta_path[0].preloaded = None


def main(runtime_root):
    if is_started_ahead():
        await_function(runtime_root)
    else:
        prepare_interpreter(runtime_root)
    runtime = Runtime(environment("AWS_LAMBDA_RUNTIME_API"))
    request_handler = runtime.load(environment("_HANDLER", ""))
    try:
        if environment("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            from . import snapshot

            snapshot.pass_through(runtime)
        runtime.serve(request_handler)
    except (ConnectionClosed, ConnectionError):
        sys.exit(0)
