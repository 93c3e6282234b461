"""Messages between a program and its decoders: JSON and bytes, through pipes; nothing is pickled.

A message is an object of JSON in a line, and the bytes that its `size` announces.
"""

from __future__ import annotations

import json
from io import BufferedReader
from typing import IO, Any

Message = dict[str, Any]


def write_message(stream: IO[bytes], message: Message, data: bytes | memoryview = b"") -> None:
    """Write a message with its bytes; raises `OSError` where nobody reads it any more."""
    size = memoryview(data).nbytes
    stream.write(json.dumps(message | {"size": size}).encode("ascii") + b"\n")
    if size:
        stream.write(data)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Return the next message, whose bytes are still to be read, None at the end of the stream."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message: Message = json.loads(line)
    return message


def read_into(stream: BufferedReader, buffer: memoryview) -> None:
    """Fill a buffer; raises `EOFError` where the stream ends before."""
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done:])
        if not count:
            raise EOFError("the message is cut short")
        done += count
