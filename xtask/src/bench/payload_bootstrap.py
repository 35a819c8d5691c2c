#!/usr/bin/python3
"""A runtime of its own that answers each event with the event, on a bare socket: the function of large payloads."""

import os
import re
import socket

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
