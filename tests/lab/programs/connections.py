"""Many TCP connections that live long and say little: `connections.py serve PORT` or `connections.py open ADDRESS PORT
UPLOADS DOWNLOADS`.

Each sends a kilobyte and a number every half second, the uploads to the server, which says how much has arrived, the
downloads to here. The client says "ready" when all are open, and answers each line of its input with a line of JSON:
how many are open, how many were reset or ended, and how many bytes each has moved so far.
"""

import asyncio
import json
import socket
import struct
import sys

INTERVAL = 0.5
PIECE = struct.Struct("!Q1016x")


class Connection:
    def __init__(self, upload: bool) -> None:
        self.upload = upload
        self.moved = 0
        self.end = ""


async def send_pieces(writer: asyncio.StreamWriter) -> None:
    number = 0
    while True:
        writer.write(PIECE.pack(number))
        await writer.drain()
        number += 1
        await asyncio.sleep(INTERVAL)


async def read_piece(reader: asyncio.StreamReader, expected: int) -> None:
    number = PIECE.unpack(await reader.readexactly(PIECE.size))[0]
    if number != expected:
        raise ValueError(f"piece {number} came instead of {expected}")


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if await reader.readexactly(1) == b"d":
            await send_pieces(writer)
        number = 0
        while True:
            await read_piece(reader, number)
            number += 1
            writer.write(struct.pack("!Q", number))
            await writer.drain()
    except (OSError, EOFError):
        writer.close()


async def serve(port: int) -> None:
    both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    server = await asyncio.start_server(served, sock=both)
    print("ready", flush=True)
    await server.serve_forever()


async def work(connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sending = asyncio.create_task(send_pieces(writer)) if connection.upload else None
    try:
        while True:
            if connection.upload:
                (arrived,) = struct.unpack("!Q", await reader.readexactly(8))
                if arrived != connection.moved + 1:
                    raise ValueError(f"{arrived} pieces arrived instead of {connection.moved + 1}")
            else:
                await read_piece(reader, connection.moved)
            connection.moved += 1
    except (OSError, EOFError, ValueError) as error:
        connection.end = f"{type(error).__name__}: {error}"
    finally:
        if sending:
            sending.cancel()


async def start(connection: Connection, address: str, port: int, slots: asyncio.Semaphore) -> asyncio.Task[None]:
    async with slots:
        reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"u" if connection.upload else b"d")
    return asyncio.create_task(work(connection, reader, writer))


async def run(address: str, port: int, uploads: int, downloads: int) -> None:
    connections = [Connection(number < uploads) for number in range(uploads + downloads)]
    slots = asyncio.Semaphore(50)
    tasks = await asyncio.gather(*(start(each, address, port, slots) for each in connections))
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while await lines.readline():
        ended = [each.end for each in connections if each.end]
        report = {"open": len(connections) - len(ended), "ended": ended, "moved": [each.moved for each in connections]}
        print(json.dumps(report), flush=True)
    for task in tasks:
        task.cancel()


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
