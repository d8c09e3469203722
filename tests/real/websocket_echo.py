"""A WebSocket server that people use, as a process: websocket_echo.py PORT [SUBPROTOCOL…]. Greets each client
first, with the path, headers X-… and subprotocol that it came with; then gives back every message.
/ws/refuse/STATUS is refused with that status."""
import asyncio
import http
import sys

import websockets

SUBPROTOCOLS = sys.argv[2:] or None


async def refuse(path, _headers):
    if path.startswith("/ws/refuse/"):
        return http.HTTPStatus(int(path.split("/")[3])), {"X-Why": "asked for"}, b"refused\n"
    return None


async def serve(socket):
    seen = [f"{k}={v}" for k, v in sorted(socket.request_headers.raw_items()) if k.startswith("X-")]
    await socket.send(" ".join([socket.path, *seen, str(socket.subprotocol)]))
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(serve, "127.0.0.1", int(sys.argv[1]), subprotocols=SUBPROTOCOLS,
                                process_request=refuse, compression=None, max_size=None):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
