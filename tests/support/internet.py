"""A network namespace that plays the internet: it has public addresses, and gives back what it gets."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading

import pytest

PORT = 7


class Echo:
    """Gives back what it gets, over TCP and UDP at one port; datagrams in capitals."""

    def __init__(self, address, port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.stream = socket.create_server((address, port), family=family, backlog=64)
        self.port = self.stream.getsockname()[1]
        self.datagrams = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self.datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.datagrams.bind((address, self.port))
        for serve in (self.serve_streams, self.serve_datagrams):
            threading.Thread(target=serve, daemon=True).start()

    def serve_streams(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.echo, args=self.stream.accept()[:1], daemon=True).start()

    def echo(self, connection):
        with connection, contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                connection.sendall(chunk)

    def serve_datagrams(self):
        with contextlib.suppress(OSError):
            while True:
                datagram, sender = self.datagrams.recvfrom(65535)
                self.datagrams.sendto(datagram.upper(), sender)

    def close(self):
        for one in (self.stream, self.datagrams):
            one.close()


class Names:
    """A name server on loopback, as many hosts have one, that knows one name."""

    def __init__(self, answer):
        self.answer = socket.inet_aton(answer)
        self.address = f"127.77.{os.getpid() // 256 % 256}.{os.getpid() % 256 or 1}"
        self.questions = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        self.stream = socket.create_server((self.address, 53))
        for serve in (self.serve_datagrams, self.serve_streams):
            threading.Thread(target=serve, daemon=True).start()

    def serve_datagrams(self):
        with contextlib.suppress(OSError):
            while True:
                question, sender = self.socket.recvfrom(4096)
                self.questions += 1
                self.socket.sendto(self.answer_to(question), sender)

    def serve_streams(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.stream.accept()
                with connection:
                    question = connection.recv(4096)
                    self.questions += 1
                    answer = self.answer_to(question[2:])
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def answer_to(self, question):
        end = question.index(0, 12) + 5
        wants_v4 = question[end - 4 : end - 2] == b"\0\1"
        head = question[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if wants_v4 else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + self.answer if wants_v4 else b""
        return head + question[12:end] + record

    def close(self):
        for one in (self.socket, self.stream):
            one.close()


class Internet:
    """Its end of a link with this machine, and what it answers at."""

    def __init__(self, further=()):
        """It has `further` addresses too, which this machine then finds there."""
        self.further = further
        number = os.getpid() % 60
        self.near, self.far = f"203.0.113.{4 * number + 1}", f"203.0.113.{4 * number + 2}"
        self.near_v6, self.far_v6 = f"2001:db8:{number:x}::1", f"2001:db8:{number:x}::2"
        self.broadcast = f"203.0.113.{4 * number + 3}"
        self.link = f"firelet{os.getpid() % 100_000}"
        self.process = subprocess.Popen(
            ["unshare", "--net", sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        try:
            assert self.process.stdout.readline() == b"born\n"
            self.connect()
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == b"ready\n"
        except BaseException:
            self.close()
            raise

    def connect(self):
        pid = str(self.process.pid)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        inside = ("nsenter", "--target", pid, "--net", "ip")
        for command, name, addresses in (
            (("ip",), self.link, (self.near, self.near_v6)),
            (inside, "eth0", (self.far, self.far_v6)),
        ):
            run(*command, "addr", "add", f"{addresses[0]}/30", "broadcast", self.broadcast, "dev", name)
            run(*command, "addr", "add", f"{addresses[1]}/64", "dev", name, "nodad")
            run(*command, "link", "set", name, "up")
        run(*inside, "link", "set", "lo", "up")
        for address in self.further:
            length = "128" if ":" in address else "32"
            run(*inside, "addr", "add", f"{address}/{length}", "dev", "eth0", *(["nodad"] if ":" in address else []))
            ip("route", "add", f"{address}/{length}", "dev", self.link)

    def close(self):
        self.process.kill()
        with self.process:
            # Leaving it closes its pipes and waits for it.
            pass


def ip(*arguments):
    run("ip", *arguments)


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def needed():
    """Skips where there can be none."""
    if os.getuid() != 0:
        pytest.skip("only root can make a link to a network that plays the internet")
    missing = [program for program in ("ip", "unshare", "nsenter", "setpriv") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a network that plays the internet needs {' and '.join(missing)}")


def with_name_servers(folder, *addresses):
    """What starts a program on this machine as if its resolver were configured so."""
    file = pathlib.Path(folder, "resolv.conf")
    file.write_text("".join(f"nameserver {address}\n" for address in addresses))
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {file} /etc/resolv.conf && exec "$@"', "sh")


def main():
    print("born", flush=True)
    sys.stdin.readline()
    servers = [Echo(address, PORT) for address in ("0.0.0.0", "::")]
    print("ready", flush=True)
    sys.stdin.read()
    del servers


if __name__ == "__main__":
    main()
