"""WebSocket as tests need it, written from RFC 6455: the answer to a request, and frames."""
import base64
import hashlib
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


def read_head(conn):
    """To the empty line: a client says no more until it is answered."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = conn.recv(65536)
        if not data:
            raise ConnectionError(f"no whole request: {head!r}")
        head += data
    return head


def fields(head):
    """Of a head: [(name, value)], as they stand there."""
    return [tuple(part.strip() for part in line.split(":", 1))
            for line in head.decode("latin-1").split("\r\n")[1:] if line]


def accept_of(head):
    key = dict(fields(head))["Sec-WebSocket-Key"].encode()
    return base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()


def answer(head, *more):
    """The head that agrees to this request; more: lines without their ends."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {accept_of(head)}", *more, "", ""]
    return "\r\n".join(lines).encode()


def frame(payload, opcode=TEXT, mask=None):
    """A whole message in one frame; a client's has a mask."""
    n, bit = len(payload), 0x80 if mask else 0
    head = bytes([0x80 | opcode])
    if n < 126:
        head += bytes([bit | n])
    elif n < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return head + (mask or b"") + payload


def read_frame(read):
    """(opcode, payload) of the next one; read(n) gives n bytes, as of a file."""
    first, second = read(2)
    n = second & 0x7f
    if n >= 126:
        n = struct.unpack(">H" if n == 126 else ">Q", read(2 if n == 126 else 8))[0]
    mask = read(4) if second & 0x80 else bytes(4)
    return first & 0x0f, bytes(b ^ mask[i % 4] for i, b in enumerate(read(n)))
