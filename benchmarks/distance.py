"""A server on this machine as if it were far away: each request arrives so many milliseconds late.

Run: python -m benchmarks.distance PORT MS; it prints the port where the server at PORT is far away.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READ_BYTES = 1 << 18


@contextmanager
def distant(port: int, ms: float) -> Iterator[int]:
    """Yield a port where the server at `port` is so far away."""
    command = [sys.executable, "-m", "benchmarks.distance", str(port), str(ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="ascii")
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait_s: float
) -> None:
    """Pass on what is read, each time after a wait, until the connection ends."""
    try:
        while data := await reader.read(READ_BYTES):
            await asyncio.sleep(wait_s)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return  # whoever asked has hung up
    finally:
        writer.close()


async def serve(port: int, ms: float) -> None:
    """Take connections, and pass each on to the server."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            pass_on(reader, to_server, ms / 1000), pass_on(from_server, writer, 0.0)
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("ms", type=float)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.ms))
