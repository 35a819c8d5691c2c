"""The Node.js bootstrap, driven as a real process."""

import base64
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from guest import ARN, NODE, REQUEST_ID, RUNTIMES, Guest

MAJOR = int(subprocess.run([NODE[0], "-p", "process.versions.node"], check=True, stdout=subprocess.PIPE).stdout.split(b".")[0])
HAS_CALLBACKS = MAJOR < 24
NO_REQUEST_ID = "undefined" if HAS_CALLBACKS else "-"
ECHO = "exports.handler = async (event) => event;\n"
ECHO_MODULE = "export const handler = async (event) => event;\n"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
needs_callbacks = unittest.skipUnless(HAS_CALLBACKS, "Node.js 24 has no callback handlers")


def guest(source, handler="app.handler", **options):
    return Guest(NODE, handler, {"app.js": source}, **options)


class Handlers(unittest.TestCase):
    def check(self, handler, files, expected, layers=None, **env):
        with Guest(NODE, handler, files, env=env, layers=layers) as function:
            self.assertEqual(function.result({"a": 1}), expected)

    def test_commonjs(self):
        self.check("app.handler", {"app.js": ECHO}, {"a": 1})

    def test_commonjs_by_extension(self):
        self.check("app.handler", {"app.cjs": ECHO}, {"a": 1})

    def test_folder_and_nested_name(self):
        self.check("src/app.a.b", {"src/app.js": "exports.a = {b: async (e) => e};"}, {"a": 1})

    def test_es_module_by_extension(self):
        self.check("app.handler", {"app.mjs": ECHO_MODULE}, {"a": 1})

    def test_es_module_by_package_type(self):
        self.check("src/app.handler", {"src/app.js": ECHO_MODULE, "package.json": '{"type": "module"}'}, {"a": 1})

    def test_top_level_await(self):
        source = "const x = await new Promise((r) => setTimeout(() => r(7), 20));\nexport const handler = async () => x;\n"
        self.check("app.handler", {"app.mjs": source}, 7)

    def test_package_folder(self):
        self.check("app.handler", {"node_modules/app/index.js": ECHO}, {"a": 1})

    def test_require_finds_layers(self):
        files = {"app.js": "const x = require('dep'); const y = require('own');\nexports.handler = async () => [x, y];\n"}
        layers = {
            "nodejs/node{}/node_modules/dep/index.js".format(MAJOR): "module.exports = 'versioned';",
            "nodejs/node_modules/dep/index.js": "module.exports = 'common';",
            "nodejs/node_modules/own/index.js": "module.exports = 'common';",
        }
        self.check("app.handler", files, ["versioned", "common"], layers)

    def test_import_finds_layers(self):
        files = {"app.mjs": "import x from 'dep';\nexport const handler = async () => [x, (await import('dep')).default];\n"}
        self.check("app.handler", files, ["layer", "layer"], {"nodejs/node_modules/dep/index.js": "module.exports = 'layer';"})

    def test_own_node_path_is_honoured(self):
        files = {"app.js": "const x = require('dep');\nexports.handler = async () => x;\n", "lib/dep.js": "module.exports = 5;"}
        self.check("app.handler", files, 5, NODE_PATH="{task}/lib")

    def check_runtime_packages(self, name, source, **env):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / "runtime"
            shutil.copytree(RUNTIMES / "node", root)
            package = root / "node_modules" / "sdk"
            package.mkdir(parents=True)
            (package / "index.js").write_text("module.exports = 'shipped';")
            with Guest([NODE[0], str(root / "bootstrap.cjs")], "app.handler", {name: source}, env=env) as function:
                self.assertEqual(function.result(), "shipped")

    def test_packages_of_the_runtime(self):
        source = "const sdk = require('sdk');\nexports.handler = async () => sdk;\n"
        self.check_runtime_packages("app.js", source)
        self.check_runtime_packages("app.js", source, NODE_PATH="/nowhere")
        self.check_runtime_packages("app.mjs", "import sdk from 'sdk';\nexport const handler = async () => sdk;\n")

    def test_state_is_kept_between_invocations(self):
        with guest("let count = 0;\nexports.handler = async () => (count += 1);\n") as function:
            self.assertEqual([function.result() for _ in range(3)], [1, 2, 3])
            self.assertEqual(function.api.connections, 1)


class Answers(unittest.TestCase):
    def check(self, body, expected, event=None):
        with guest("exports.handler = " + body) as function:
            self.assertEqual([function.result(event), function.result(event)], [expected, expected])

    def test_nothing_is_null(self):
        self.check("async () => undefined", None)

    @needs_callbacks
    def test_callback_waits_for_an_empty_event_loop(self):
        self.check("(e, c, cb) => { const s = []; setTimeout(() => s.push('late'), 30); cb(null, s); }", ["late"])

    @needs_callbacks
    def test_callback_without_waiting(self):
        self.check("(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 9); cb(null, 1); }", 1)

    @needs_callbacks
    def test_context_methods(self):
        self.check("(e, c) => { c.succeed('a'); c.succeed('b'); }", "a")
        self.check("(e, c) => { c.done(null, 'a'); }", "a")

    @needs_callbacks
    def test_handler_that_never_answers_is_null(self):
        self.check("() => 5", None)
        self.check("async () => new Promise(() => {})", None)

    @unittest.skipIf(HAS_CALLBACKS, "before Node.js 24 such a handler answers null")
    def test_handler_that_never_settles_ends_the_process(self):
        with guest("exports.handler = async () => new Promise(() => {});") as function:
            function.send()
            self.assertEqual(function.exit_status(), 0)

    @unittest.skipIf(HAS_CALLBACKS, "before Node.js 24 callbacks are allowed")
    def test_callback_handlers_are_refused(self):
        with guest("exports.handler = (e, c, cb) => cb(null, 1);") as function:
            self.assertEqual(json.loads(function.post().body)["errorType"], "Runtime.CallbackHandlerDeprecated")

    def test_six_megabytes_both_ways(self):
        event = {"text": "\u00e9x" * 1500000}
        with guest(ECHO) as function:
            for _ in range(2):
                self.assertEqual(function.result(event), event)
            self.assertTrue(function.invoke(1).asks_for_next)

    def test_context(self):
        source = (
            "exports.handler = async (e, c) => [c.awsRequestId, c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName,"
            " c.invokedFunctionArn, c.tenantId, c.clientContext, c.identity, process.env._X_AMZN_TRACE_ID,"
            " c.getRemainingTimeInMillis() > 2000];"
        )
        with guest(source) as function:
            result = function.result(
                Client_Context='{"custom": {"k": "\u00e9"}}', Cognito_Identity='{"cognitoIdentityId": "i"}', Aws_Tenant_Id="blue",
                Trace_Id="Root=2",
            )
            expected = [REQUEST_ID, "hello", "$LATEST", "128", "/aws/lambda/hello", ARN, "blue", {"custom": {"k": "\u00e9"}}]
            self.assertEqual(result, expected + [{"cognitoIdentityId": "i"}, "Root=2", True])
            self.assertEqual(function.result(Trace_Id=None)[6:10], [None] * 4)


class Streaming(unittest.TestCase):
    def invoke(self, body):
        with guest("exports.handler = awslambda.streamifyResponse(" + body + ");") as function:
            return function.invoke({"a": 1})

    def test_pieces_leave_as_they_are_written(self):
        source = "exports.handler = awslambda.streamifyResponse(async (e, s) => { s.write('a'); await new Promise((r) => process.once('SIGUSR2', r)); s.end('b'); setInterval(() => {}, 1000).unref(); });"
        keep = "const alive = setInterval(() => {}, 1000); process.once('SIGUSR2', () => clearInterval(alive));"
        with guest(keep + source) as function:
            function.send({})
            self.assertEqual(function.api.chunks.get(timeout=20), b"a")
            self.assertTrue(function.api.posts.empty())
            function.process.send_signal(signal.SIGUSR2)
            post = function.post()
            self.assertEqual((post.body, post.trailers), (b"ab", {}))

    def test_headers(self):
        post = self.invoke("async (e, s) => { s.setContentType('text/plain'); s.write('a'); s.write({b: 1}); s.end('c'); }")
        self.assertEqual(post.path, "/2018-06-01/runtime/invocation/{}/response".format(REQUEST_ID))
        self.assertEqual((post.body, post.headers["content-type"]), (b'a{"b":1}c', "text/plain"))
        self.assertEqual(post.headers["lambda-runtime-function-response-mode"], "streaming")
        self.assertEqual(
            post.headers["trailer"], "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        )
        self.assertFalse(post.asks_for_next)

    def test_http_prelude(self):
        post = self.invoke("async (e, s) => { s = awslambda.HttpResponseStream.from(s, {statusCode: 201}); s.write('x'); s.end(); }")
        self.assertEqual(post.body, b'{"statusCode":201}' + bytes(8) + b"x")
        self.assertEqual(post.headers["content-type"], "application/vnd.awslambda.http-integration-response")

    def test_pipeline(self):
        post = self.invoke(
            "async (e, s) => require('stream/promises').pipeline(require('stream').Readable.from(['a', '', 'b']), s)"
        )
        self.assertEqual(post.body, b"ab")

    def test_nothing_written(self):
        post = self.invoke("async (e, s) => { s.end(); }")
        self.assertEqual((post.body, post.trailers), (b"", {}))
        self.assertEqual(post.headers["content-type"], "application/octet-stream")

    def test_large_responses(self):
        source = """
        const { once } = require('events');
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
          for (let i = 0; i < 512; i += 1) if (!stream.write(Buffer.alloc(65536, i))) await once(stream, 'drain');
          stream.end();
        });"""
        with guest(source) as function:
            for _ in range(2):
                body = function.invoke({}).body
                self.assertEqual(body, b"".join(bytes([i % 256]) * 65536 for i in range(512)))

    def test_end_after_the_handler_has_returned(self):
        self.assertEqual(self.invoke("async (e, s) => { setTimeout(() => s.end('late'), 20); }").body, b"late")

    def test_invocations_follow_one_another_on_one_connection(self):
        source = "let n = 0; exports.handler = awslambda.streamifyResponse(async (e, s) => { n += 1; s.end(`${n}`); if (e.fail) throw new Error('no'); });"
        with guest(source) as function:
            self.assertEqual([function.invoke({"fail": n == 2}).body for n in range(4)], [b"1", b"2", b"3", b"4"])
            self.assertEqual(function.api.connections, 1)

    @needs_callbacks
    def test_the_next_invocation_waits_for_an_empty_event_loop(self):
        source = "let late = 0; exports.handler = awslambda.streamifyResponse(async (e, s, c) => { c.callbackWaitsForEmptyEventLoop = e.waits; setTimeout(() => { late += 1; }, 100); s.end(`${late}`); });"
        for waits, bodies in ((True, [b"0", b"1"]), (False, [b"0", b"0"])):
            with guest(source) as function:
                self.assertEqual([function.invoke({"waits": waits}).body for _ in range(2)], bodies)

    def check_error(self, body, error_type, message, sent):
        post = self.invoke(body)
        self.assertTrue(post.path.endswith("/response"))
        self.assertEqual(post.body, sent)
        self.assertEqual(post.trailers["lambda-runtime-function-error-type"], error_type)
        error = json.loads(base64.b64decode(post.trailers["lambda-runtime-function-error-body"]))
        self.assertEqual(list(error), ["errorType", "errorMessage", "trace"])
        self.assertEqual((error["errorType"], error["errorMessage"]), (error_type, message))
        return error

    def test_errors(self):
        pipeline = "require('stream/promises').pipeline"
        for body, error_type, message, sent in (
            ("async (e, s) => { s.write('a'); throw new TypeError('no'); }", "TypeError", "no", b"a"),
            ("async (e, s) => { throw new TypeError('no'); }", "TypeError", "no", b""),
            ("async (e, s) => { s.end('a'); throw new TypeError('no'); }", "TypeError", "no", b"a"),
            ("async (e, s) => { s.write('a'); }", "string", "Response stream is not finished.", b"a"),
            ("async (e, s) => { s.write('a'); s.destroy(); }", "string", "Response stream is not finished.", b"a"),
            ("(e, s) => { s.write('a'); }", "string", "Streaming does not support non-async handlers.", b"a"),
            (
                "async (e, s) => " + pipeline + "(async function* () { yield 'a'; throw new TypeError('no'); }, s)",
                "TypeError", "no", b"a",
            ),
        ):
            with self.subTest(body):
                self.check_error(body, error_type, message, sent)

    def test_long_errors_fit_into_trailers(self):
        error = self.check_error(
            "async (e, s) => { s.end('a'); throw new Error('x'.repeat(1 << 20)); }", "Error", "x" * 4096, b"a"
        )
        self.assertEqual(error["trace"], [])

    @needs_callbacks
    def test_an_uncaught_exception_breaks_off_and_ends_the_process(self):
        source = "exports.handler = awslambda.streamifyResponse(async (e, s) => { s.write('a'); setTimeout(() => { throw new RangeError('late'); }, 10); });"
        with guest(source) as function:
            post = function.invoke({})
            self.assertEqual(post.trailers["lambda-runtime-function-error-type"], "RangeError")
            self.assertEqual((post.body, function.exit_status()), (b"a", 129))

    def test_a_refused_response_is_logged_and_survived(self):
        with guest("exports.handler = awslambda.streamifyResponse(async (e, s) => { s.end('a'); });", post_status=413) as function:
            for _ in range(2):
                function.invoke({})
            self.assertRegex(function.finish(), "Failed to post handler response. Http response code: 413")


class InitErrors(unittest.TestCase):
    def check(self, source, error_type, message, handler="app.handler"):
        with guest(source, handler) as function:
            post = function.post()
            payload = json.loads(post.body)
            self.assertEqual(post.path, "/2018-06-01/runtime/init/error")
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], error_type)
            self.assertEqual(list(payload), ["errorType", "errorMessage", "trace"])
            self.assertEqual((payload["errorType"], payload["errorMessage"].split("\n")[0]), (error_type, message))
            self.assertEqual(payload["trace"][0], "{}: {}".format(error_type, message))
            title, status = ("Uncaught Exception", 129) if HAS_CALLBACKS else ("Init Error", 1)
            self.assertRegex(function.output(), TIME + "\t" + NO_REQUEST_ID + r"\tERROR\t" + title + r' \t{"errorType":"' + error_type)
            self.assertEqual(function.exit_status(), status)
            return payload

    def test_missing_module(self):
        payload = self.check("", "Runtime.ImportModuleError", "Error: Cannot find module 'nope'", "nope.handler")
        self.assertRegex(payload["errorMessage"], r"\nRequire stack:\n- .*/index\.mjs$")

    def test_missing_dependency(self):
        self.check("require('zzz')", "Runtime.ImportModuleError", "Error: Cannot find module 'zzz'")

    def test_missing_handler(self):
        self.check("exports.x = 1", "Runtime.HandlerNotFound", "app.handler is undefined or not exported")

    def test_handler_that_is_no_function(self):
        self.check("exports.handler = 1", "Runtime.HandlerNotFound", "app.handler is not a function")

    def test_handler_without_dot(self):
        self.check("", "Runtime.MalformedHandlerName", "Bad handler", "app")

    def test_handler_outside(self):
        message = "'../app.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."
        self.check("", "Runtime.MalformedHandlerName", message, "../app.handler")

    def test_syntax_error(self):
        self.check("x(", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input")

    def test_exception_at_load(self):
        self.check("throw new RangeError('no')", "RangeError", "no")

    def test_exit_at_load(self):
        with guest("process.stdout.write('bye'); process.exit(3)") as function:
            self.assertEqual((function.exit_status(), function.output()), (3, "bye"))
            self.assertTrue(function.api.posts.empty())

    def test_top_level_await_that_never_settles(self):
        with Guest(NODE, "app.handler", {"app.mjs": "await new Promise(() => {});" + ECHO_MODULE}) as function:
            self.assertEqual(function.exit_status(), 13)


class InvocationErrors(unittest.TestCase):
    def test_thrown_error(self):
        with guest("exports.handler = async () => { throw new TypeError('no'); };") as function:
            post = function.invoke()
            payload = json.loads(post.body)
            self.assertEqual(post.path, "/2018-06-01/runtime/invocation/{}/error".format(REQUEST_ID))
            self.assertEqual((payload["errorType"], payload["errorMessage"]), ("TypeError", "no"))
            self.assertEqual(payload["trace"][0], "TypeError: no")
            self.assertRegex(payload["trace"][1], r"handler \({}/app\.js:1:".format(function.task))
            self.assertTrue(post.asks_for_next)
            self.assertRegex(
                function.finish(), "^" + TIME + "\t" + REQUEST_ID + '\tERROR\tInvoke Error \t{"errorType":"TypeError","errorMessage":"no"'
            )

    def check(self, body, error_type, message, **options):
        with guest("exports.handler = " + body, **options) as function:
            error = function.error()
            self.assertEqual((error["errorType"], error["errorMessage"]), (error_type, message))
            self.assertEqual(function.error()["errorMessage"], message)

    def test_thrown_values(self):
        self.check("async () => { throw 'text'; }", "string", "text")
        self.check("async () => { throw {a: 1}; }", "object", "[object Object]")

    @needs_callbacks
    def test_rejection_with_nothing(self):
        self.check("async () => { throw undefined; }", "string", "handled")

    @needs_callbacks
    def test_callback_errors(self):
        self.check("(e, c, cb) => cb(new Error('no'))", "Error", "no")
        self.check("(e, c) => c.fail('no')", "string", "no")
        self.check("() => { throw new Error('sync'); }", "Error", "sync")

    def test_response_that_is_not_json(self):
        error_type = "Error" if HAS_CALLBACKS else "Runtime.JSONStringifyError"
        self.check("async () => 10n", error_type, "Unable to stringify response body")

    def test_event_that_is_not_json(self):
        with guest(ECHO) as function:
            self.assertEqual(function.error(b"{]")["errorType"], "SyntaxError")
            self.assertEqual(function.result(2), 2)

    def check_crash(self, body, status, error_type, message):
        with guest("exports.handler = async () => { " + body + "; await new Promise((r) => setTimeout(r, 5000)); };") as function:
            post = function.invoke()
            error = json.loads(post.body)
            self.assertEqual((error["errorType"], error["errorMessage"]), (error_type, message))
            self.assertFalse(post.asks_for_next)
            self.assertEqual(function.exit_status(), status)

    @needs_callbacks
    def test_uncaught_exception(self):
        self.check_crash("setTimeout(() => { throw new Error('late'); })", 129, "Error", "late")

    @needs_callbacks
    def test_unhandled_rejection(self):
        message = "Error: lost"
        self.check_crash("Promise.reject(new Error('lost'))", 128, "Runtime.UnhandledPromiseRejection", message)

    def test_exit(self):
        with guest("exports.handler = async (e) => { console.log('last'); process.exit(e); };") as function:
            function.send(7)
            self.assertEqual(function.exit_status(), 7)
            self.assertRegex(function.output(), "\tINFO\tlast\n$")


class Logs(unittest.TestCase):
    def output(self, source, **env):
        with guest(source, env=env) as function:
            function.invoke()
            return function.finish()

    def test_lines(self):
        source = (
            "console.log('load');\nexports.handler = async () => { for (const m of ['log', 'info', 'warn', 'error', 'debug', 'trace'])"
            " console[m]('%s\\nb', m, {a: 1}); };"
        )
        output = self.output(source)
        self.assertRegex(output, "^" + TIME + "\t" + NO_REQUEST_ID + "\tINFO\tload\n")
        levels = (("log", "INFO"), ("info", "INFO"), ("warn", "WARN"), ("error", "ERROR"), ("debug", "DEBUG"), ("trace", "TRACE"))
        for name, level in levels:
            self.assertRegex(output, TIME + "\t" + REQUEST_ID + "\t" + level + "\t" + name + "\nb { a: 1 }\n")

    def test_json_format_and_level(self):
        source = (
            "exports.handler = async () => { console.log('hidden'); console.warn({a: 1}); console.error('x', new TypeError('no')); };"
        )
        output = self.output(source, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")
        first, second = [json.loads(line) for line in output.splitlines()]
        self.assertRegex(first.pop("timestamp"), "^" + TIME + "$")
        self.assertEqual(first, {"level": "WARN", "requestId": REQUEST_ID, "message": {"a": 1}})
        self.assertEqual((second["level"], second["errorType"], second["errorMessage"]), ("ERROR", "TypeError", "no"))

    def test_large_output_leaves_before_the_response_in_order(self):
        source = "exports.handler = async () => { process.stdout.write('a'.repeat(300000)); console.log('b'.repeat(300000)); };"
        output = self.output(source)
        self.assertEqual(output[:300000], "a" * 300000)
        self.assertRegex(output[300000:], "\tINFO\tb{300000}\n$".replace("{300000}", "+"))
        self.assertEqual(output.count("b"), 300000 + REQUEST_ID.count("b"))

    def test_frames(self):
        with guest("exports.handler = async () => console.error('two\\nlines');", env={"_LAMBDA_TELEMETRY_LOG_FD": "2"}) as function:
            function.invoke()
            self.assertEqual(function.finish(), "")
            frame = function.raw_output("stderr")
            self.assertEqual((frame[:4], frame[4:8]), (b"\xa5\x5a\x00\x17", (len(frame) - 16).to_bytes(4, "big")))
            self.assertRegex(frame[16:].decode(), "^" + TIME + "\t" + REQUEST_ID + "\tERROR\ttwo\nlines\n$")


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
            self.assertEqual(function.finish(), "")
            self.assertEqual((function.exit_status(), function.output("stderr")), (0, ""))


if __name__ == "__main__":
    unittest.main()
