"""Prints what the bootstraps cost: the start to the first request beside a bare interpreter's start, and the time of a loop.

Run: python3 runtimes/tests/bench.py [ROUNDS]
"""

import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from guest import NODE, PYTHON

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
STARTS = 30
FUNCTIONS = {
    "app.py": "def handler(event, context):\n    return event\n",
    "app.js": "exports.handler = async (event) => event;\n",
}
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {}\r\n"
    "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
    "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:hello\r\n"
    "Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n"
    "Content-Length: {}\r\n\r\n"
)
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'


def start(command, address, task):
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "AWS_LAMBDA_RUNTIME_API": address, "_HANDLER": "app.handler"}
    env["LAMBDA_TASK_ROOT"] = task
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.Popen(command, env=env, cwd=task)


def milliseconds(samples):
    return "{:.2f} ms (best {:.2f})".format(statistics.median(samples) * 1e3, min(samples) * 1e3)


def bare_start(command):
    samples = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run(command, check=True)
        samples.append(time.perf_counter() - begin)
    return samples


def first_request(command, listener, task):
    address = "127.0.0.1:{}".format(listener.getsockname()[1])
    samples = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        process = start(command, address, task)
        connection, _ = listener.accept()
        connection.recv(65536)
        samples.append(time.perf_counter() - begin)
        process.kill()
        process.wait()
        connection.close()
    return samples


def loop(command, listener, task, body):
    process = start(command, "127.0.0.1:{}".format(listener.getsockname()[1]), task)
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.recv(65536)
    event = HEAD.format(REQUEST_ID, len(body)).encode() + body
    samples = []
    message = event
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        connection.sendall(message)
        received = connection.recv(1 << 20)
        while not received.endswith(b"\r\n\r\n"):
            received += connection.recv(1 << 20)
        samples.append(time.perf_counter() - begin)
        message = ACCEPTED + event
    process.kill()
    process.wait()
    connection.close()
    samples.sort()
    return samples


def compiled_copy(folder):
    """Answers the command of a Python bootstrap with compiled modules beside it, as in production."""
    root = pathlib.Path(folder) / "runtime"
    shutil.copytree(pathlib.Path(PYTHON[-1]).parent, root, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([PYTHON[0], *options, str(root)], check=True)
    return PYTHON[:-1] + [str(root / "bootstrap.py")]


def main():
    with tempfile.TemporaryDirectory() as task, socket.create_server(("127.0.0.1", 0)) as listener:
        for name, text in FUNCTIONS.items():
            (pathlib.Path(task) / name).write_text(text)
        bare = {"python": [[PYTHON[0], "-c", "pass"], [PYTHON[0], "-S", "-c", "pass"]], "node": [[NODE[0], "-e", "0"]]}
        print("python".rjust(12), "first request, not compiled", milliseconds(first_request(PYTHON, listener, task)))
        for name, command in (("python", compiled_copy(task)), ("node", NODE)):
            for bare_command in bare[name]:
                print(" ".join(bare_command[1:]).rjust(12), milliseconds(bare_start(bare_command)))
            print(name.rjust(12), "first request", milliseconds(first_request(command, listener, task)))
            samples = loop(command, listener, task, b'{"key":"value"}')
            median, slow = samples[len(samples) // 2], samples[len(samples) * 99 // 100]
            print(name.rjust(12), "loop {:.1f} us, p99 {:.1f} us".format(median * 1e6, slow * 1e6))


if __name__ == "__main__":
    main()
