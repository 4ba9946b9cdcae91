"""The floor for Python: the same handler behind the same frames, with nothing else around it."""

import json
import socket
import struct

channel = socket.socket(fileno=0)


def exactly(count):
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(count - len(parts))
        if not part:
            raise SystemExit
        parts += part
    return bytes(parts)


def receive():
    """The next event's bytes; ends the process where the other side has hung up."""
    length, _ = struct.unpack("<IB", exactly(5))
    return exactly(length)


def answer(handler, event):
    """Calls the handler and writes its answer's frame."""
    document = json.dumps(handler(json.loads(event), None)).encode()
    channel.sendall(struct.pack("<IB", len(document), 18) + document)


if __name__ == "__main__":
    from handler import handler

    while True:
        answer(handler, receive())
