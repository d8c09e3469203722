"""The PROXY header, read byte by byte by a server made by hand: both versions, what of version 2 is optional, and
what is said when the target's address is known to a proxy alone."""
import contextlib
import ipaddress
import socket
import ssl
import struct

import fdialtest
import proxies
import rig
from hostile_proxies import take

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, UNIQUE_ID = 1, 2, 3, 5
OPTIONS = '{ "alpn", "authority", "unique-id", "crc32c" }'
BANNER = b"220 I speak first\r\n"


def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


class Header:
    """command, source, destination ("address:port", None: not said), tlvs."""

    def __init__(self, head, body):
        version, family, _ = struct.unpack(">BBH", head[12:])
        assert head[:12] == SIGNATURE and version >> 4 == 2, head
        self.command, self.tlvs, self.source, self.destination = version & 15, {}, None, None
        size = {0x00: 0, 0x11: 4, 0x21: 16}[family]
        at = 2 * size + 4 if size else 0
        if size:
            ports = struct.unpack(">HH", body[2 * size:at])
            self.source, self.destination = (
                f"{ipaddress.ip_address(body[i * size:(i + 1) * size])}:{ports[i]}" for i in (0, 1))
        while at < len(body):
            kind, n = struct.unpack_from(">BH", body, at)
            self.tlvs[kind] = body[at + 3:at + 3 + n]
            if kind == CRC32C:
                self.sum_at = 16 + at + 3
            at += 3 + n
        assert at == len(body), body
        if CRC32C in self.tlvs:
            whole = head + body
            zeroed = whole[:self.sum_at] + bytes(4) + whole[self.sum_at + 4:]
            assert struct.pack(">I", crc32c(zeroed)) == self.tlvs[CRC32C], whole


class Receiver(fdialtest.Origin):
    """Takes a header (`headers`: bytes of version 1, Header), speaks, and is an echo."""

    def __init__(self, context=None, **kwargs):
        self.headers, self.context = [], context
        super().__init__(**kwargs)

    def serve(self, conn):
        first = take(conn, 5)
        if first == b"PROXY":
            while not first.endswith(b"\r\n"):
                first += take(conn, 1)
            self.headers.append((first, conn.getpeername()[1]))
        else:
            head = first + take(conn, 11)
            body = take(conn, struct.unpack(">H", head[14:])[0])
            self.headers.append((Header(head, body), conn.getpeername()[1]))
        if self.context:
            conn = self.context.wrap_socket(conn.dup(), server_side=True)
        with conn:
            conn.sendall(BANNER)
            fdialtest.echo(conn)


class HeaderCase(rig.Case):
    def start(self, more="", **keys):
        daemon = self.start_daemon(more + rig.rule(**keys), credentials={})
        self.addCleanup(rig.State(daemon).check)
        self.addCleanup(self.close_all)
        return self.session(daemon)

    def said(self, session, receiver, target, *attributes):
        """The header, and the port that the connection came from."""
        with contextlib.closing(session.dial(target, *attributes)) as s:
            self.assertEqual(take(s, len(BANNER)), BANNER)
            self.assert_echo(s)
        return receiver.headers.pop()

    def test_version_1(self):
        for family, word, host in ((socket.AF_INET, "TCP4", "127.0.0.1"), (socket.AF_INET6, "TCP6", "::1")):
            receiver = self.serve(Receiver(family=family))
            session = self.start(send_proxy='"v1"')
            address = f"[{host}]" if ":" in host else host
            line, port = self.said(session, receiver, f"tcp://{address}:{receiver.port}")
            self.assertEqual(line.decode(), f"PROXY {word} {host} {host} {port} {receiver.port}\r\n")

    def test_version_2(self):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            receiver = self.serve(Receiver(family=family))
            session = self.start(send_proxy='"v2"')
            address = f"[{host}]" if ":" in host else host
            header, port = self.said(session, receiver, f"tcp://{address}:{receiver.port}")
            self.assertEqual((header.command, header.source, header.destination, header.tlvs),
                             (1, f"{host}:{port}", f"{host}:{receiver.port}", {}))

    def test_options(self):
        authority = fdialtest.Authority()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue())
        receiver = self.serve(Receiver(context))
        session = self.start(f'tls "t" {{ ca-file = "{authority.certificate}" }}\n', tls='"t"',
                             send_proxy='"v2"', send_proxy_options=OPTIONS)
        target = f"tls://localhost:{receiver.port}"
        header, _ = self.said(session, receiver, target, rig.attr(rig.ALPN, "http/1.1"))
        self.assertEqual((header.tlvs[ALPN], header.tlvs[AUTHORITY]), (b"http/1.1", b"localhost"))
        self.assertLessEqual(len(header.tlvs[UNIQUE_ID]), 128)
        self.assertIn(CRC32C, header.tlvs)
        other, _ = self.said(session, receiver, target)
        self.assertNotEqual(other.tlvs[UNIQUE_ID], header.tlvs[UNIQUE_ID])
        self.assertNotIn(ALPN, other.tlvs)
        literal, _ = self.said(session, receiver, f"tls://127.0.0.1:{receiver.port}")
        self.assertNotIn(AUTHORITY, literal.tlvs)

    def test_through_a_proxy(self):
        """The source is our end; the destination is what the proxy was asked for, where that is an address."""
        receiver = self.serve(Receiver())
        proxy = self.serve(proxies.HttpProxy(hosts={"origin.example": "127.0.0.1"}))
        section = f'proxy "p" {{ url = "http://127.0.0.1:{proxy.port}" }}\n'
        keys = {"send_proxy": '"v2"', "send_proxy_options": OPTIONS, "via": '"p"'}
        session = self.start(section, **keys)
        header, _ = self.said(session, receiver, f"tcp://localhost:{receiver.port}")
        self.assertEqual(header.destination, f"127.0.0.1:{receiver.port}")
        self.assertEqual(header.source, "%s:%d" % proxy.clients[-1])
        session = self.start(section, resolve='"proxy"', **keys)
        header, _ = self.said(session, receiver, f"tcp://origin.example:{receiver.port}")
        self.assertEqual((header.source, header.destination), (None, None))
        session = self.start(section, via='"p"', resolve='"proxy"', send_proxy='"v1"')
        line, _ = self.said(session, receiver, f"tcp://origin.example:{receiver.port}")
        self.assertEqual(line[:13], b"PROXY UNKNOWN")

    def test_none_to_unix_sockets(self):
        path = f"{self.directory()}/echo"
        self.serve(fdialtest.Echo(path=path))
        session = self.start(allow=rig.strings("tcp://*:*", f"unix:{path}"), send_proxy='"v1"')
        with contextlib.closing(session.dial(f"unix:{path}")) as s:
            self.assert_echo(s)


if __name__ == "__main__":
    fdialtest.main()
