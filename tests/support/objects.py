"""A store of objects that speaks as much S3 as a download takes."""

import contextlib
import http.server
import threading
import urllib.parse

MISSING = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"""


@contextlib.contextmanager
def object_store(objects):
    """Serves `objects`, "bucket/key" to bytes; gives the endpoint."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            content = objects.get(urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/"))
            status, kind = (200, "application/zip") if content is not None else (404, "application/xml")
            content = content if content is not None else MISSING.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"00000000000000000000000000000000"')
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
