"""The Python bootstrap, driven as a real process."""

import json
import pathlib
import re
import shutil
import tempfile
import unittest

from guest import ARN, PYTHON, REQUEST_ID, RUNTIMES, TIMEOUT, Guest

ECHO = "def handler(event, context):\n    return event\n"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def guest(source, handler="app.handler", **options):
    return Guest(PYTHON, handler, {"app.py": source}, **options)


class Handlers(unittest.TestCase):
    def check(self, handler, files, expected, layers=None, **env):
        with Guest(PYTHON, handler, files, env=env, layers=layers) as function:
            self.assertEqual(function.result({"a": 1}), expected)

    def test_module_and_function(self):
        self.check("app.handler", {"app.py": ECHO}, {"a": 1})

    def test_folder_and_function(self):
        self.check("src/app.handler", {"src/app.py": ECHO}, {"a": 1})

    def test_dotted_package(self):
        self.check("pkg.sub.app.handler", {"pkg/sub/__init__.py": "", "pkg/__init__.py": "", "pkg/sub/app.py": ECHO}, {"a": 1})

    def test_search_path_is_task_then_layers_then_runtime_then_library(self):
        source = "import sys\ndef handler(event, context):\n    return sys.path\n"
        with guest(source, env={"PYTHONPATH": "/user/one:{task}/two"}) as function:
            path = function.result()
            version = "{}.{}".format(*re.search(r"python(\d)\.?(\d+)", " ".join(path)).groups())
            expected = [
                str(function.task),
                "{}/python/lib/python{}/site-packages".format(function.opt, version),
                "{}/python".format(function.opt),
                PYTHON[-1].rpartition("/")[0],
                "/user/one",
                "{}/two".format(function.task),
            ]
            self.assertEqual(path[:6], expected)
            self.assertEqual([entry for entry in path if entry.endswith("-packages")], expected[1:2])

    def test_layers_are_importable_and_the_function_comes_first(self):
        files = {"app.py": "import one, two\ndef handler(e, c):\n    return [one.x, two.x]\n", "one.py": "x = 'task'"}
        self.check("app.handler", files, ["task", "layer"], {"python/one.py": "x = 'layer'", "python/two.py": "x = 'layer'"})

    def test_packages_of_the_runtime_come_last(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / "runtime"
            shutil.copytree(RUNTIMES / "python", root)
            (root / "site-packages").mkdir()
            (root / "site-packages" / "sdk.py").write_text("name = 'shipped'")
            source = "import sdk, sys\ndef handler(e, c):\n    return [sdk.name, sys.path[-1]]\n"
            with Guest(PYTHON[:-1] + [str(root / "bootstrap.py")], "app.handler", {"app.py": source}) as function:
                self.assertEqual(function.result(), ["shipped", str(root / "site-packages")])

    def test_state_is_kept_between_invocations(self):
        with guest("count = 0\ndef handler(e, c):\n    global count\n    count += 1\n    return count\n") as function:
            self.assertEqual([function.result() for _ in range(3)], [1, 2, 3])
            self.assertEqual(function.api.connections, 1)

    def test_exit_and_help_exist(self):
        self.check("app.handler", {"app.py": "def handler(e, c):\n    return [callable(exit), callable(quit), callable(help)]\n"}, [True] * 3)

    def test_context_types_can_be_imported(self):
        source = (
            "from awslambdaric.lambda_context import LambdaContext\n"
            "def handler(e, c):\n    return isinstance(c, LambdaContext)\n"
        )
        self.check("app.handler", {"app.py": source}, True)


class InitErrors(unittest.TestCase):
    def check(self, source, error_type, message, handler="app.handler", trace=0, **options):
        with guest(source, handler, **options) as function:
            post = function.post()
            self.assertEqual(post.path, "/2018-06-01/runtime/init/error")
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], error_type)
            payload = json.loads(post.body)
            self.assertEqual(list(payload), ["errorMessage", "errorType", "requestId", "stackTrace"])
            self.assertEqual((payload["errorType"], payload["requestId"]), (error_type, ""))
            self.assertRegex(payload["errorMessage"], "^" + message + "$")
            self.assertEqual(function.exit_status(), 1)
            self.assertIn("[ERROR] {}: {}".format(error_type, payload["errorMessage"]), function.output())
            self.assertRegex(function.output(), r"\[WARNING\]\t" + TIME + r"\.\d{3}Z\t\tLAMBDA_WARNING: Unhandled exception")
            return payload

    def test_missing_module(self):
        self.check("", "Runtime.ImportModuleError", "Unable to import module 'nope': No module named 'nope'", "nope.handler")

    def test_missing_dependency(self):
        self.check("import zzz", "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'zzz'")

    def test_missing_handler(self):
        self.check("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'")

    def test_handler_without_dot(self):
        message = r"Bad handler 'app': not enough values to unpack \(expected 2, got 1\)"
        self.check("", "Runtime.MalformedHandlerName", message, "app")

    def test_built_in_module(self):
        message = "Cannot use built-in module time as a handler module"
        self.check("", "Runtime.BuiltInModuleConflict", message, "time.handler")

    def test_syntax_error(self):
        payload = self.check("def (", "Runtime.UserCodeSyntaxError", r"Syntax error in module 'app': invalid syntax \(app.py, line 1\)")
        self.assertRegex(payload["stackTrace"][0], r'^  File ".*/app.py" Line 1\n    def \(')

    def test_exception_at_import(self):
        payload = self.check("def f():\n    raise ValueError('no')\nf()\n", "ValueError", "no")
        self.assertRegex(payload["stackTrace"][-1], r'^  File ".*/app.py", line 2, in f\n    raise ValueError\(\'no\'\)\n$')

    def test_exit_at_import_ends_the_process_with_its_status(self):
        with guest("print('bye', end='')\nimport sys\nsys.exit(3)") as function:
            self.assertEqual((function.exit_status(), function.output()), (3, "bye"))
            self.assertTrue(function.api.posts.empty())


HOOKS = """
import snapshot_restore_py
calls = []
@snapshot_restore_py.register_before_snapshot
def one(): calls.append("before one")
snapshot_restore_py.register_before_snapshot(lambda *a, **k: calls.append(["before two", a, k]), 1, x=2)
@snapshot_restore_py.register_after_restore
def three(): calls.append("after one")
snapshot_restore_py.register_after_restore(calls.append, "after two")
def handler(event, context):
    return [calls, context.log_stream_name]
"""
SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}


class Snapshots(unittest.TestCase):
    def test_hooks_run_around_the_wait_to_be_restored(self):
        with guest("print('loaded')\n" + HOOKS, env=SNAP_START) as function:
            self.assertTrue(function.api.restore_asked.acquire(timeout=TIMEOUT))
            self.assertFalse(function.api.next_asked.acquire(blocking=False))
            function.api.restores.put(True)
            calls, _ = function.result()
            self.assertEqual(calls, [["before two", [1], {"x": 2}], "before one", "after one", "after two"])
            self.assertEqual(function.api.connections, 1)

    def test_without_hooks_and_without_snapshots(self):
        with guest(ECHO, env=SNAP_START) as function:
            function.api.restores.put(True)
            self.assertEqual(function.result(1), 1)
        for initialization in ("on-demand", "provisioned-concurrency"):
            with guest(HOOKS, env={"AWS_LAMBDA_INITIALIZATION_TYPE": initialization}) as function:
                self.assertEqual(function.result()[0], [])

    def test_a_process_that_goes_on_elsewhere_connects_anew_and_draws_other_numbers(self):
        source = (
            "import random, snapshot_restore_py, ssl\nrandom.seed(1)\nresumed = []\n"
            "snapshot_restore_py.register_after_restore(lambda: resumed.append(random.random()))\n"
            "def handler(e, c):\n    return resumed\n"
        )
        with guest(source, env=SNAP_START) as function:
            function.api.restores.put(False)
            function.api.restores.put(True)
            (number,) = function.result()
            self.assertNotEqual(number, 0.13436424411240122)
            self.assertEqual(function.api.connections, 2)

    def check_failure(self, hook, path, error_type, status, raised="raise ValueError('no')"):
        source = "import snapshot_restore_py\ndef f():\n    {}\nsnapshot_restore_py.{}(f)\n{}".format(raised, hook, ECHO)
        with guest(source, env=SNAP_START) as function:
            function.api.restores.put(True)
            post = function.post()
            self.assertEqual(post.path, "/2018-06-01/runtime/" + path)
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], error_type)
            self.assertEqual(function.exit_status(), status)
            self.assertNotIn("LAMBDA_WARNING", function.output())
            return json.loads(post.body), function.output()

    def test_a_hook_that_lost_a_connection_has_failed(self):
        self.check_failure(
            "register_before_snapshot", "init/error", "Runtime.BeforeSnapshotError", 64, "raise ConnectionResetError('gone')"
        )

    def test_a_hook_before_the_snapshot_fails(self):
        payload, output = self.check_failure("register_before_snapshot", "init/error", "Runtime.BeforeSnapshotError", 64)
        self.assertEqual(list(payload), ["errorMessage", "errorType", "requestId", "stackTrace"])
        self.assertEqual((payload["errorMessage"], payload["errorType"], payload["requestId"]), ("no", "ValueError", ""))
        self.assertRegex(payload["stackTrace"][-1], r'^  File ".*/app.py", line 3, in f\n    raise ValueError\(\'no\'\)\n$')
        self.assertRegex(output, r"^\[ERROR\] ValueError: no\nTraceback")

    def test_a_hook_after_the_restore_fails(self):
        self.check_failure("register_after_restore", "restore/error", "Runtime.AfterRestoreError", 65)

    def test_a_hook_that_exits_has_failed(self):
        payload, _ = self.check_failure(
            "register_after_restore", "restore/error", "Runtime.AfterRestoreError", 65, "import sys; sys.exit(3)"
        )
        self.assertEqual((payload["errorType"], payload["errorMessage"]), ("SystemExit", "3"))

    def test_a_copy_in_the_function_comes_first(self):
        files = {"app.py": HOOKS, "snapshot_restore_py.py": (RUNTIMES / "python" / "snapshot_restore_py.py").read_text()}
        with Guest(PYTHON, "app.handler", files, env=SNAP_START) as function:
            function.api.restores.put(True)
            self.assertEqual(len(function.result()[0]), 4)


class InvocationErrors(unittest.TestCase):
    def test_exception(self):
        with guest("def handler(event, context):\n    raise ValueError('b\\u00e9')\n") as function:
            post = function.invoke()
            self.assertEqual(post.path, "/2018-06-01/runtime/invocation/{}/error".format(REQUEST_ID))
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], "ValueError")
            trace = '  File "{}/app.py", line 2, in handler\n    raise ValueError(\'b\\u00e9\')\n'.format(function.task)
            expected = {"errorMessage": "b\u00e9", "errorType": "ValueError", "requestId": REQUEST_ID, "stackTrace": [trace]}
            self.assertEqual(json.loads(post.body), expected)
            cause = json.loads(post.headers["lambda-runtime-function-xray-error-cause"])
            self.assertEqual(cause["exceptions"][0]["stack"][0]["label"], "handler")
            self.assertTrue(post.asks_for_next)
            self.assertEqual(
                function.finish(),
                "[ERROR] ValueError: b\u00e9\nTraceback (most recent call last):\n\u00a0\u00a0File \"{}/app.py\", line 2, in handler\n"
                "\u00a0\u00a0\u00a0\u00a0raise ValueError('b\\u00e9')\n".format(function.task),
            )

    def check(self, body, error_type, message):
        with guest("import sys\ndef handler(event, context):\n    " + body) as function:
            error = function.error()
            self.assertEqual((error["errorType"], error["errorMessage"]), (error_type, message))

    def test_response_that_is_not_json(self):
        message = "Unable to marshal response: Object of type set is not JSON serializable"
        self.check("return {1}", "Runtime.MarshalError", message)

    def test_key_that_is_not_json(self):
        message = "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"
        self.check("return {(1, 2): 3}", "Runtime.MarshalError", message)

    def test_circular_response_and_the_next_one(self):
        with guest("def handler(e, c):\n    x = []\n    if e: x.append(x)\n    return x\n") as function:
            self.assertEqual(function.error(True)["errorMessage"], "Unable to marshal response: Circular reference detected")
            self.assertEqual(function.result(False), [])

    def test_event_that_is_not_json(self):
        with guest(ECHO) as function:
            error = function.error(b"{]")
            self.assertEqual(error["errorType"], "Runtime.UnmarshalError")
            self.assertRegex(error["errorMessage"], "^Unable to unmarshal input: Expecting property name")
            self.assertRegex(function.error(b"1 2")["errorMessage"], "^Unable to unmarshal input: Extra data")
            self.assertRegex(function.error(b"")["errorMessage"], "^Unable to unmarshal input: Expecting value")
            self.assertEqual(function.result(b' \n{"a": 1} '), {"a": 1})

    def test_bad_client_context(self):
        with guest(ECHO) as function:
            self.assertEqual(function.error(Client_Context="{")["errorType"], "Runtime.LambdaContextUnmarshalError")
            self.assertEqual(function.result(1), 1)

    def test_wrong_number_of_parameters_shows_the_call(self):
        with guest("def handler(event):\n    pass\n") as function:
            self.assertRegex(function.error()["stackTrace"][0], r"in handle_event_request\n    response = request_handler\(")

    def test_exit_ends_the_process(self):
        with guest("import sys\ndef handler(e, c):\n    print('last')\n    sys.exit(e)\n") as function:
            function.send(0)
            self.assertEqual((function.exit_status(), function.output()), (0, "last\n"))
            self.assertTrue(function.api.posts.empty())

    def test_recursion_without_end_is_an_error(self):
        with guest("def handler(e, c):\n    return handler(e, c)\n") as function:
            self.assertEqual(function.error()["errorType"], "RecursionError")


class Responses(unittest.TestCase):
    def check(self, expression, expected, prelude="", **env):
        source = "{}\ndef handler(event, context):\n    return {}\n".format(prelude, expression)
        with guest(source, env=env) as function:
            self.assertEqual(function.invoke().body.decode("utf-8"), expected)

    def test_nothing_is_null(self):
        self.check("None", "null")

    def test_separators(self):
        self.check("{'a': [1, 2.5, True, None], 2: 'x', None: (3,)}", '{"a": [1, 2.5, true, null], "2": "x", "null": [3]}')

    def test_text_is_escaped_until_python_3_11_only(self):
        self.check(r"'\u00e9'", '"\\u00e9"', AWS_EXECUTION_ENV="AWS_Lambda_python3.11")
        self.check(r"'\u00e9'", '"\u00e9"', AWS_EXECUTION_ENV="AWS_Lambda_python3.12")

    def test_decimals_are_numbers(self):
        expected = '{"a": 1.50, "b": [NaN, Infinity, -0], "c": "1.5"}'
        self.check("{'a': D('1.50'), 'b': [D('NaN'), D('Infinity'), D('-0')], 'c': '1.5'}", expected, "from decimal import Decimal as D")

    def test_named_tuples_are_objects(self):
        prelude = "from collections import namedtuple\nP = namedtuple('P', 'x y')"
        self.check("[{'a': (P(1, [P(2, 3)]),)}]", '[{"a": [{"x": 1, "y": [{"x": 2, "y": 3}]}]}]', prelude)

    def test_bytes_inside_are_text(self):
        self.check("{'a': b'x', b'k': [b'y']}", '{"a": "x", "k": ["y"]}')

    def test_bytes_alone_are_sent_as_they_are(self):
        with guest("def handler(e, c):\n    return b'\\x00\\xff'\n") as function:
            post = function.invoke()
            self.assertEqual((post.body, post.headers["content-type"]), (b"\x00\xff", "application/unknown"))

    def test_six_megabytes_both_ways(self):
        event = {"text": "\u00e9x" * 1500000}
        with guest(ECHO) as function:
            for _ in range(2):
                self.assertEqual(function.result(event), event)
            self.assertTrue(function.invoke(1).asks_for_next)

    def test_events_of_another_type_are_bytes(self):
        with guest("def handler(e, c):\n    return [type(e).__name__, len(e)]\n") as function:
            self.assertEqual(function.result(b"abc", Content_Type="text/plain"), ["bytes", 3])


class Contexts(unittest.TestCase):
    def test_attributes(self):
        source = (
            "import os\ndef handler(e, c):\n    return [c.aws_request_id, c.function_name, c.function_version, c.memory_limit_in_mb,"
            " c.log_group_name, c.log_stream_name, c.invoked_function_arn, c.tenant_id, c.client_context,"
            " c.identity.cognito_identity_id, 2000 < c.get_remaining_time_in_millis() <= 3000, os.environ.get('_X_AMZN_TRACE_ID')]\n"
        )
        expected = [
            REQUEST_ID, "hello", "$LATEST", "128", "/aws/lambda/hello",
            "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef", ARN, None, None, None, True,
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        ]
        with guest(source) as function:
            self.assertEqual(function.result(), expected)
            self.assertEqual(function.result(Trace_Id=None)[-1], None)
            self.assertEqual(function.result(Trace_Id="Root=2", Aws_Tenant_Id="blue")[-5:], ["blue", None, None, True, "Root=2"])

    def test_trace_id_without_os(self):
        source = "import posix\ndef handler(e, c):\n    if e:\n        import os\n        return os.environ.get('_X_AMZN_TRACE_ID')\n"
        with guest(source) as function:
            function.result(0)
            self.assertEqual(function.result(1, Trace_Id="Root=2"), "Root=2")
            self.assertEqual(function.result(1, Trace_Id=None), None)

    def test_past_deadline_leaves_no_time(self):
        with guest("def handler(e, c):\n    return c.get_remaining_time_in_millis()\n") as function:
            self.assertEqual(function.result(Deadline_Ms="1"), 0)

    def test_client_context_and_identity(self):
        source = (
            "def handler(e, c):\n    x = c.client_context\n    return [x.custom, x.env, x.client.app_title, x.client.installation_id,"
            " c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id, c.tenant_id, c.w3c()]\n"
        )
        client = {"custom": {"k": "\u00e9"}, "env": {"e": 1}, "client": {"app_title": "t"}, "w3c": {"traceparent": "p", "other": "o"}}
        identity = '{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}'
        with guest(source) as function:
            result = function.result(
                Client_Context=json.dumps(client, ensure_ascii=False), Cognito_Identity=identity, Aws_Tenant_Id="blue"
            )
            self.assertEqual(result, [{"k": "\u00e9"}, {"e": 1}, "t", None, "i", "p", "blue", {"traceparent": "p"}])


class Logs(unittest.TestCase):
    def output(self, source, event=None, **env):
        with guest(source, env=env) as function:
            function.invoke(event)
            return function.finish()

    def test_logging_at_load_and_in_the_handler(self):
        source = (
            "import logging\nlogging.warning('load')\nlogging.info('hidden')\n"
            "def handler(e, c):\n    logging.getLogger().setLevel('INFO')\n    logging.getLogger('x').info('in\\n%s', 1)\n"
        )
        lines = self.output(source).split("\n")
        self.assertRegex(lines[0], r"^\[WARNING\]\t" + TIME + r"\.\d{3}Z\t\tload$")
        self.assertRegex(lines[1], r"^\[INFO\]\t" + TIME + r"\.\d{3}Z\t" + REQUEST_ID + r"\tin$")
        self.assertEqual(lines[2:], ["1", ""])

    def test_logging_imported_by_the_handler_only(self):
        source = "def handler(e, c):\n    import logging\n    logging.error('late')\n    return logging.__spec__.loader.__class__.__name__\n"
        self.assertRegex(self.output(source), r"^\[ERROR\]\t" + TIME + r"\.\d{3}Z\t" + REQUEST_ID + r"\tlate\n$")

    def test_a_logging_module_of_the_function_is_not_found(self):
        with Guest(PYTHON, "app.handler", {"app.py": "import logging\ndef handler(e, c):\n    return logging.__name__ + str(hasattr(logging, 'Filter'))\n", "logging.py": ""}) as function:
            self.assertEqual(function.result(), "loggingTrue")

    def test_logging_is_not_imported_for_a_function_that_does_not(self):
        source = "import sys\ndef handler(e, c):\n    return [n for n in ('logging', 're', 'json', 'traceback', 'socket') if n in sys.modules]\n"
        with guest(source) as function:
            self.assertEqual(function.result(), [])

    def test_json_format(self):
        source = (
            "import logging\ndef handler(e, c):\n    logging.debug('hidden')\n    logging.info('x', extra={'k': 1})\n"
            "    try:\n        1 / 0\n    except Exception:\n        logging.exception('bad')\n    raise KeyError('k')\n"
        )
        output = self.output(source, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
        first, second, third = [json.loads(line) for line in output.splitlines()]
        self.assertRegex(first.pop("timestamp"), "^" + TIME + "Z$")
        self.assertEqual(first, {"level": "INFO", "message": "x", "logger": "root", "requestId": REQUEST_ID, "k": 1})
        self.assertEqual((second["errorType"], second["errorMessage"]), ("ZeroDivisionError", "division by zero"))
        self.assertRegex(second["location"], "app.py:handler:8$")
        self.assertEqual((third["level"], third["errorType"], third["requestId"]), ("ERROR", "KeyError", REQUEST_ID))

    def test_print_leaves_before_the_response(self):
        with guest("def handler(e, c):\n    print('x' * e, end='')\n") as function:
            function.invoke(200000)
            self.assertEqual(function.finish(), "x" * 200000)

    def test_lines_survive_a_hard_exit(self):
        with guest("import os\ndef handler(e, c):\n    print('last')\n    os._exit(7)\n") as function:
            function.send()
            self.assertEqual((function.exit_status(), function.output()), (7, "last\n"))

    def test_context_log(self):
        self.assertEqual(self.output("def handler(e, c):\n    c.log('a')\n    c.log('b\\n')\n"), "ab\n")

    def test_frames(self):
        source = "import logging\ndef handler(e, c):\n    logging.error('two\\nlines')\n    print('plain')\n"
        with guest(source, env={"_LAMBDA_TELEMETRY_LOG_FD": "2"}) as function:
            function.invoke()
            self.assertEqual(function.finish(), "plain\n")
            frame = function.raw_output("stderr")
            self.assertEqual((frame[:4], frame[4:8]), (b"\xa5\x5a\x00\x03", (len(frame) - 16).to_bytes(4, "big")))
            self.assertRegex(frame[16:].decode(), r"^\[ERROR\]\t" + TIME + r"\.\d{3}Z\t" + REQUEST_ID + "\ttwo\nlines\n$")


class Wire(unittest.TestCase):
    def check(self, style):
        with guest(ECHO, style=style) as function:
            for event in ({"a": "\u00e9"}, [], {"big": "x" * 300000}, 1):
                self.assertEqual(function.result(event), event)

    def test_header_case_blanks_and_split_packets(self):
        self.check("odd")

    def test_chunked_answers(self):
        self.check("chunked")

    def test_a_response_asks_for_the_next_event(self):
        with guest(ECHO) as function:
            self.assertTrue(all(function.invoke(number).asks_for_next for number in range(5)))

    def test_a_refused_response_is_said_and_survived(self):
        with guest(ECHO, post_status=413) as function:
            self.assertEqual([function.result(1), function.result(2)], [1, 2])
            self.assertIn("Http response code: 413.", function.finish())

    def test_end_of_the_api_ends_the_process(self):
        with guest(ECHO) as function:
            function.result()
            function.finish()
            self.assertEqual(function.exit_status(), 0)
            self.assertEqual(function.output("stderr"), "")


if __name__ == "__main__":
    unittest.main()
