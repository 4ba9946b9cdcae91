"""The floor for Python: the same handler behind the same frames, with nothing else around it."""

import json
import socket
import struct

from handler import handler

channel = socket.socket(fileno=0)


def exactly(count):
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(count - len(parts))
        if not part:
            raise SystemExit
        parts += part
    return bytes(parts)


while True:
    length, kind = struct.unpack("<IB", exactly(5))
    answer = json.dumps(handler(json.loads(exactly(length)), None)).encode()
    channel.sendall(struct.pack("<IB", len(answer), 18) + answer)
