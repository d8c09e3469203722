#!/usr/bin/python3
"""A client written from proto/PROTOCOL.md and nothing else, with the standard library only: if this
works, the text is complete. It is strict: an answer that the text does not allow is a ProtocolError.

As a program: protocol_client.py SOCKET TARGET makes a connection and fetches `/` over it."""
import array
import http.client
import ipaddress
import os
import pwd
import socket
import struct
import sys
from collections import namedtuple

HELLO, CONNECT, CANCEL, EXPLAIN, STATUS, GRANT, OPEN = range(1, 8)
WELCOME, RESULT, ENDED, EXPLAINED, STATUS_REPLY, GRANTED, OPENED = range(129, 136)
ERROR = 255
TCP, KTLS, RELAY = 1, 2, 4
MESSAGE_MAX = 65536  # from the daemon
FDS_MAX = 64
OPTIONAL = 0x8000

STAGES = dict(enumerate(["request", "policy", "resolve", "connect", "proxy", "tls", "upgrade",
                         "starttls", "handoff"], 1))
ENDS = dict(enumerate(["clean", "truncated", "reset", "idle", "drained", "lifetime"], 1))

Address = namedtuple("Address", "host port")  # port None: host is the path of a Unix socket
Time = namedtuple("Time", "stage hop us")
Message = namedtuple("Message", "type id values fds")


class ProtocolError(Exception):
    """The daemon broke the protocol."""


class SessionError(Exception):
    """The daemon ended the session, and said why."""

    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class Failed(Exception):
    """A request failed."""

    def __init__(self, values):
        self.code, self.stage = values["code"], STAGES[values["stage"]]
        self.detail = values.get("detail", "")
        self.errno = values.get("errno", 0)
        super().__init__(f"{self.stage}: {self.code}: {self.detail}")


def must(condition, what):
    if not condition:
        raise ProtocolError(what)


# ---- values ----

class Number:
    def __init__(self, form):
        self.form = struct.Struct("<" + form)

    def encode(self, value):
        return self.form.pack(value)

    def decode(self, data):
        must(len(data) == self.form.size, f"a number of {len(data)} bytes")
        return self.form.unpack(data)[0]


class String:
    def __init__(self, least=1, most=0xffff):
        self.least, self.most = least, most

    def encode(self, value):
        return value.encode("ascii")

    def decode(self, data):
        must(self.least <= len(data) <= self.most, f"a string of {len(data)} bytes")
        must(b"\0" not in data, "NUL in a string")
        return data.decode("ascii")


class Printable(String):
    def decode(self, data):
        text = super().decode(data)
        must(text.isprintable(), f"not printable: {text!r}")
        return text


class Bytes:
    def __init__(self, most=0xffff):
        self.most = most

    def decode(self, data):
        must(len(data) <= self.most, f"{len(data)} bytes")
        return data


class AddressValue:
    def decode(self, data):
        must(len(data) >= 4, "a short address")
        kind, zero, port = struct.unpack(">BBH", data[:4])
        must(zero == 0, "an address with a wrong second byte")
        if kind == 1:
            return Address(os.fsdecode(data[4:]), None)
        must((kind, len(data)) in ((4, 8), (6, 20)), "an address of a wrong kind or length")
        return Address(str(ipaddress.ip_address(data[4:])), port)


class TimeValue:
    def decode(self, data):
        must(len(data) == 6, f"a time of {len(data)} bytes")
        stage, hop, us = struct.unpack("<BBI", data)
        must(stage in STAGES, "a time of an unknown stage")
        return Time(STAGES[stage], hop, us)


U8, U16, U32, U64 = (Number(form) for form in "BHIQ")

# name: (number, value, how often it may be there)
ATTRIBUTES = {
    "version": (1, U16, 1), "software": (2, String(1, 64), 1), "message max": (3, U32, 1),
    "pending max": (4, U32, 1), "count max": (5, U32, 1),
    "target": (16, String(1, 2048), 1), "timeout": (17, U32, 1), "family": (18, U8, 1),
    "alpn": (19, String(1, 255), 8), "tls name": (20, String(), 1), "hand-over": (21, U8, 1),
    "header": (22, String(), 32), "subprotocol": (23, String(1, 255), 8), "count": (24, U32, 1),
    "as user": (25, String(1, 64), 1), "pattern": (26, String(1, 512), 256),
    "format": (27, U8, 1),
    "code": (32, U32, 1), "stage": (33, U8, 1), "hop": (34, U8, 1), "errno": (35, U32, 1),
    "detail": (36, Printable(0, 255), 1), "warm": (37, U8, 1), "peer": (38, AddressValue(), 1),
    "local": (39, AddressValue(), 1), "tls version": (40, U16, 1),
    "tls cipher": (41, String(1, 64), 1), "certificate": (42, Bytes(), 10),
    "response": (43, Bytes(16384), 1), "response is clear": (44, U8, 1),
    "time": (45, TimeValue(), 32), "hand-over reason": (46, Printable(1, 255), 1),
    "tls resumed": (47, U8, 1),
    "end": (48, U8, 1), "index": (49, U8, 1), "bytes sent": (50, U64, 1),
    "bytes received": (51, U64, 1),
    "rule": (56, String(), 1), "plan": (57, String(), 1), "stat": (58, String(), 0xffff),
    "who": (59, Printable(1, 255), 1), "text": (60, Bytes(), 0xffff), "more": (61, U8, 1),
}
NAMES = {number: name for name, (number, _, _) in ATTRIBUTES.items()}


# ---- messages ----

def encode(kind, ident=0, **values):
    """Attributes by name, `_` for a space; a list for a repeated one."""
    body = b""
    for name, value in values.items():
        number, form, _ = ATTRIBUTES[{"handoff": "hand-over"}.get(name, name.replace("_", " "))]
        for one in value if isinstance(value, list) else [value]:
            data = form.encode(one)
            body += struct.pack("<HH", number, len(data)) + data
    return struct.pack("<HHIQ", kind, 0, 16 + len(body), ident) + body


def decode(data, fds=()):
    must(len(data) >= 16, "a message shorter than a head")
    kind, flags, length, ident = struct.unpack_from("<HHIQ", data)
    must(flags == 0 and length == len(data), "flags, or a wrong length")
    values, at = {}, 16
    while at < len(data):
        must(len(data) - at >= 4, "a cut attribute")
        number, n = struct.unpack_from("<HH", data, at)
        value = data[at + 4:at + 4 + n]
        must(len(value) == n, "a cut value")
        at += 4 + n
        if number not in NAMES:
            must(number & OPTIONAL, f"unknown attribute {number}")
            continue
        name = NAMES[number]
        _, form, most = ATTRIBUTES[name]
        if most > 1:
            values.setdefault(name, []).append(form.decode(value))
            must(len(values[name]) <= most, f"too many of {name}")
        else:
            must(name not in values, f"{name} twice")
            values[name] = form.decode(value)
    return Message(kind, ident, values, list(fds))


# ---- the session ----

def is_mapped(uid):
    with open("/proc/self/uid_map", encoding="ascii") as f:
        maps = [[int(n) for n in line.split()] for line in f]
    return any(first <= uid < first + count for first, _, count in maps)


class Session:
    """Requests may overlap: connect() only sends; result() waits for the one with its id and keeps what
    else arrives meanwhile."""

    def __init__(self, path, timeout_s=30, version=1, fd=None):
        """fd: a session or a grant that was inherited; stays the caller's."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET,
                                    fileno=None if fd is None else os.dup(fd))
        self._kept = []
        try:
            if fd is None:
                self.socket.connect(path)
            self.socket.settimeout(timeout_s)
            self._check_daemon()
            if fd is not None:
                self._enter(timeout_s)
            self.send(encode(HELLO, version=version, software="protocol-client/1"))
            self.welcome = self._wait(WELCOME, 0).values
        except BaseException:
            self.socket.close()
            raise
        must(self.welcome["version"] == 1, "not the version that was asked for")

    def _check_daemon(self):
        _, uid, _ = struct.unpack("3i", self.socket.getsockopt(socket.SOL_SOCKET,
                                                               socket.SO_PEERCRED, 12))
        try:
            trusted = pwd.getpwnam("fdiald").pw_uid
        except KeyError:
            trusted = 0
        if uid not in (0, os.geteuid(), trusted) and not (uid == 65534 and not is_mapped(uid)):
            raise PermissionError(f"the daemon runs as uid {uid}")

    def _enter(self, timeout_s):
        self.send(encode(OPEN))
        opened = self._wait(OPENED, 0)
        if opened.values["code"]:
            raise SessionError(opened.values["code"], opened.values.get("detail", ""))
        if opened.fds:
            self.socket.close()
            self.socket = socket.socket(fileno=opened.fds[0])
            self.socket.settimeout(timeout_s)
            self._check_daemon()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for message in self._kept:
            for fd in message.fds:
                os.close(fd)
        self._kept = []

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        """The next message, or None where the daemon closed."""
        room = socket.CMSG_SPACE(FDS_MAX * 4)
        data, ancillary, flags, _ = self.socket.recvmsg(MESSAGE_MAX, room, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
        try:
            must(not flags & socket.MSG_CTRUNC, "fds were lost")
            must(not flags & socket.MSG_TRUNC, "a message longer than 65536 bytes")
            if not data:
                return None
            message = decode(data, fds)
            must(not fds or message.type == RESULT or
                 (message.type in (GRANTED, OPENED) and len(fds) == 1 and not message.values["code"]),
                 "fds that nobody announced")
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        if message.type == ERROR:
            raise SessionError(message.values["code"], message.values.get("detail", ""))
        return message

    def _wait(self, kind, ident):
        for i, message in enumerate(self._kept):
            if (message.type, message.id) == (kind, ident):
                return self._kept.pop(i)
        while message := self.receive():
            must(message.type in (WELCOME, RESULT, ENDED, EXPLAINED, STATUS_REPLY, GRANTED, OPENED),
                 f"message {message.type} to a client")
            if (message.type, message.id) == (kind, ident):
                return message
            self._kept.append(message)
        raise ConnectionError("the daemon closed the session")

    def connect(self, target, ident=1, **options):
        self.send(encode(CONNECT, ident, target=target, **options))

    def cancel(self, ident):
        self.send(encode(CANCEL, ident))

    def result(self, ident=1):
        """The fds are the caller's, in message.fds."""
        message = self._wait(RESULT, ident)
        values = message.values
        if values["code"] != 0:
            must(not message.fds, "a failure with fds")
            raise Failed(values)
        must(1 <= len(message.fds) <= self.welcome["count max"], "a success without fds")
        must(values["hand-over"] in (TCP, RELAY), "an unknown kind of hand-over")
        must("peer" in values and values["time"], "no peer or no times")
        must(("local" in values) == (values["hand-over"] == RELAY), "local is for relays")
        must(("tls version" in values) == ("tls cipher" in values) == ("certificate" in values),
             "TLS told by halves")
        return message

    def ended(self, ident=1):
        values = self._wait(ENDED, ident).values
        must({"end", "index", "bytes sent", "bytes received"} <= set(values), "ended without what")
        return values | {"end": ENDS[values["end"]]}

    def explain(self, target, ident=1, **options):
        self.send(encode(EXPLAIN, ident, target=target, **options))
        values = self._wait(EXPLAINED, ident).values
        must(("rule" in values and "plan" in values) == (values["code"] == 0), "half an explanation")
        return values

    def grant(self, *patterns, ident=1):
        """The fd, which is the caller's."""
        self.send(encode(GRANT, ident, pattern=list(patterns)))
        message = self._wait(GRANTED, ident)
        if message.values["code"]:
            raise SessionError(message.values["code"], message.values.get("detail", ""))
        must(len(message.fds) == 1, "a grant without its fd")
        return message.fds[0]

    def status(self, ident=1):
        self.send(encode(STATUS, ident))
        return dict(line.split("=", 1) for line in self._wait(STATUS_REPLY, ident).values["stat"])


def main(path, target):
    with Session(path) as session:
        session.connect(target)
        fd = session.result().fds[0]
    client = http.client.HTTPConnection("localhost")
    client.sock = socket.socket(fileno=fd)
    client.request("GET", "/", headers={"Connection": "close"})
    sys.stdout.buffer.write(client.getresponse().read())


if __name__ == "__main__":
    main(*sys.argv[1:])
