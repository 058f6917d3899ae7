"""Opens ten thousand connections to 127.0.0.1:PORT, which the process PID serves."""

import socket
import struct
import sys
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
MANY = 10_000
# The broker's default.
LIMIT = 2_000
# ApiVersions, version 0, correlation id 7, no client.
QUESTION = struct.pack(">ihhih", 10, 18, 0, 7, -1)


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=10)


def ask(connection):
    """Seconds until the answer, or None when the broker closed."""
    began = time.monotonic()
    try:
        connection.sendall(QUESTION)
        (length,) = struct.unpack(">i", read(connection, 4))
        assert read(connection, length)[:4] == struct.pack(">i", 7)
    except (ConnectionError, EOFError):
        return None
    return time.monotonic() - began


def read(connection, length):
    got = b""
    while len(got) < length:
        more = connection.recv(length - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def memory_mib():
    with open(f"/proc/{PID}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / (1 << 20)


def must(what, holds):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print("ok:", what)


old, before, slowest = connect(), memory_mib(), 0.0
ask(old)
began = time.monotonic()
many = []
for number in range(MANY):
    many.append(connect())
    if number % 100 == 0:
        slowest = max(slowest, ask(old) or 99)
took = time.monotonic() - began
must(f"{MANY} connections in {took:.1f} s; who was there before waits {slowest * 1000:.0f} ms at most", slowest < 1)
served = sum(ask(connection) is not None for connection in many)
must(f"{served} of them are served, the others closed", served == LIMIT - 1)
grown = memory_mib() - before
must(f"they cost {grown:.0f} MiB", grown < 200)
must("who was there before is served", ask(old) is not None)
for connection in many:
    connection.close()
deadline = time.monotonic() + 10
while time.monotonic() < deadline and (again := ask(connect())) is None:
    time.sleep(0.05)
must("there is room again", again is not None)
