"""How long 6 MB take to a function and back, beside two loopback sockets that pass them on: bench_payload.py BINARY...

The floor is a process that passes on what it reads, in both directions at once, between this client and a peer that answers with
what it got. firelet cannot begin as early: it checks the whole payload before a function gets it, and takes the whole answer
before the caller gets it. Client, floor and function are the same few lines of Python on raw sockets.
"""

import base64
import contextlib
import http.client
import io
import json
import multiprocessing
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

SIZE = 6 * 1024 * 1024
PAYLOAD = b'"' + b"x" * (SIZE - 2) + b'"'
ROUNDS, WARM_UP = 110, 10
HEAD_END = b"\r\n\r\n"

BOOTSTRAP = r"""#!/usr/bin/python3
import os, re, socket

host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
api = socket.create_connection((host, int(port)))
received = memoryview(bytearray(7 << 20))
api.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: api\r\n\r\n")
while True:
    count = 0
    while (end := received.obj.find(b"\r\n\r\n", 0, count)) < 0:
        count += api.recv_into(received[count:])
    head, start = bytes(received[:end]).lower(), end + 4
    size = int(re.search(rb"content-length: (\d+)", head)[1])
    while count < start + size:
        count += api.recv_into(received[count:])
    request = re.search(rb"aws-request-id: (\S+)", head)[1]
    api.sendall(
        b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: api\r\nFirelet-Runtime-Next: 1\r\n"
        b"Content-Length: %d\r\n\r\n" % (request, size)
    )
    api.sendall(received[start : start + size])
"""


def peer(address):
    """Answers with what it got, once it has all of it."""
    connection = socket.create_connection(address)
    received = memoryview(bytearray(SIZE))
    while True:
        count = 0
        while count < SIZE:
            count += connection.recv_into(received[count:])
        connection.sendall(received)


def relay(for_peer, for_client):
    """Passes on what it reads, in both directions."""
    far, near = for_peer.accept()[0], for_client.accept()[0]

    def pass_on(source, target):
        piece = memoryview(bytearray(1 << 18))
        while count := source.recv_into(piece):
            target.sendall(piece[:count])

    threading.Thread(target=pass_on, args=(near, far), daemon=True).start()
    pass_on(far, near)


def floor():
    """Seconds of each round through two sockets."""
    for_peer, for_client = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    children = [
        multiprocessing.Process(target=relay, args=(for_peer, for_client), daemon=True),
        multiprocessing.Process(target=peer, args=(for_peer.getsockname(),), daemon=True),
    ]
    for child in children:
        child.start()
    client = socket.create_connection(for_client.getsockname())
    received = memoryview(bytearray(SIZE))
    for _ in range(ROUNDS):
        started = time.perf_counter()
        sending = threading.Thread(target=client.sendall, args=(PAYLOAD,))
        sending.start()
        count = 0
        while count < SIZE:
            count += client.recv_into(received[count:])
        yield time.perf_counter() - started
        sending.join()
    for child in children:
        child.kill()


@contextlib.contextmanager
def server(binary):
    """A firelet server on a free port; gives its process and its port."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
        arguments = [binary, "serve", "--data-dir", f"{folder}/data", "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            while not (serves := re.search(r"serves http://[0-9.]+:(\d+)", pathlib.Path(log.name).read_text())):
                assert process.poll() is None, pathlib.Path(log.name).read_text()
            yield process, int(serves[1])
        finally:
            process.terminate()
            process.wait()


def deploy(port):
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, BOOTSTRAP)
    function = {"FunctionName": "echo", "Runtime": "provided.al2023", "Handler": "any", "MemorySize": 1769}
    function |= {"Role": "arn:aws:iam::000000000000:role/any", "Timeout": 60}
    function |= {"Code": {"ZipFile": base64.b64encode(package.getvalue()).decode()}}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/2015-03-31/functions", json.dumps(function))
    assert connection.getresponse().status == 201
    connection.close()


def invoke(port):
    """Seconds of each invocation."""
    client = socket.create_connection(("127.0.0.1", port))
    head = f"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {SIZE}\r\n\r\n"
    received = memoryview(bytearray(7 << 20))
    for _ in range(ROUNDS):
        started = time.perf_counter()
        client.sendall(head.encode())
        client.sendall(PAYLOAD)
        count = 0
        while (end := received.obj.find(HEAD_END, 0, count)) < 0:
            count += client.recv_into(received[count:])
        size = int(re.search(rb"content-length: (\d+)", bytes(received[:end]).lower())[1])
        assert size == SIZE, bytes(received[:count])
        while count < end + len(HEAD_END) + size:
            count += client.recv_into(received[count:])
        yield time.perf_counter() - started
    client.close()


def middle(name, seconds):
    """Shows the middle of the rounds after the first ones, and gives it."""
    ordered = sorted(list(seconds)[WARM_UP:])
    median = ordered[len(ordered) // 2]
    print(f"{name}: p50 {median * 1e3:.1f} ms, least {ordered[0] * 1e3:.1f}, p90 {ordered[len(ordered) * 9 // 10] * 1e3:.1f}")
    return median


def main():
    least = middle("two sockets", floor())
    for binary in sys.argv[1:]:
        with server(binary) as (process, port):
            deploy(port)
            took = middle(binary, invoke(port))
            peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]
        print(f"  {took / least:.2f} times two sockets; at most {int(peak) // 1024} MB of memory")


if __name__ == "__main__":
    main()
