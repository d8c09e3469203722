"""seal = "required" on the kernel that is here: for every scheme and every set of kinds that a client takes, the
TCP socket itself is handed over only sealed; else it is a relay, or a refusal with nothing. (What a
sealed one holds against: tests/vm.)"""
import ctypes
import socket
import struct

import fdialtest
import rig
from rig import rule, strings

NO_KIND = 90
MASKS = [None, *range(1, 8)]
NAMES = {rig.TCP: "tcp", rig.KTLS: "ktls", rig.RELAY: "relay"}
DEFAULT_MASK = rig.TCP | rig.RELAY
_libc = ctypes.CDLL(None, use_errno=True)


def can_disconnect(s):
    """The first step of every escape."""
    return _libc.connect(s.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16) == 0


class Seal(rig.Case):
    def setUp(self):
        super().setUp()
        authority = fdialtest.Authority()
        self.plain = self.serve(fdialtest.Echo())
        self.tls = self.serve(fdialtest.Tls(*authority.issue(), alpn=["http/1.1"]))
        self.unix = f"{self.directory()}/s"
        self.serve(fdialtest.Origin(fdialtest.echo, path=self.unix))
        self.config = f'workers = 1\ntls "t" {{ ca-file = "{authority.certificate}" }}\n'
        self.allow = strings("*://*:*", f"unix:{self.unix}")
        self.targets = {f"{scheme}://localhost:{origin.port}": scheme
                        for schemes, origin in ((("tcp", "http"), self.plain), (("tls", "https"), self.tls))
                        for scheme in schemes}

    def start(self, **keys):
        return self.start_daemon(self.config + rule(tls='"t"', allow=self.allow, **keys))

    def assert_safe(self, session, target, mask, allowed):
        """Whatever it is, it cannot be made another connection. Returns the kind, or None."""
        m = session.connect(target, handover=mask)
        taken = (mask or DEFAULT_MASK) & allowed
        if m.code:
            self.assertEqual((m.code, m.stage, m.fds), (NO_KIND, "handoff", []), m)
            return None
        kind = m.number(rig.HANDOVER)
        self.assertTrue(kind & taken, m)
        self.assertEqual(len(m.fds), 1)
        with socket.socket(fileno=m.fds[0]) as s:
            s.settimeout(rig.WAIT_S)
            self.assertEqual(s.family, socket.AF_UNIX if kind == rig.RELAY else socket.AF_INET)
            self.assertFalse(can_disconnect(s), "a bare socket")
            if kind != rig.KTLS:
                self.assert_echo(s)
        return kind

    def test_every_scheme_and_kind(self):
        for key, allowed in ({}, 7), *(({"handoff": strings(*[NAMES[k] for k in NAMES if k & mask])}, mask)
                                       for mask in range(1, 8)):
            daemon = self.start(seal='"required"' if allowed % 2 else None, **key)  # which is the default
            session = self.session(daemon)
            can_seal = session.status()["seal"] == "yes"
            for target, scheme in self.targets.items():
                for mask in MASKS:
                    with self.subTest(scheme, allowed=allowed, mask=mask):
                        kind = self.assert_safe(session, target, mask, allowed)
                        if not can_seal:
                            self.assertEqual(kind, (mask or DEFAULT_MASK) & allowed & rig.RELAY or None)
            daemon.stop()

    def test_unix_sockets_need_none(self):
        """They have no way to another address."""
        session = self.session(self.start(seal=None))
        for mask in (None, rig.TCP, rig.TCP | rig.RELAY):
            m = session.connect(f"unix:{self.unix}", handover=mask)
            self.assertEqual((m.code, m.number(rig.HANDOVER)), (0, rig.TCP), m)
            with socket.socket(fileno=m.fds[0]) as s:
                s.settimeout(rig.WAIT_S)
                self.assertEqual(s.family, socket.AF_UNIX)
                self.assertFalse(can_disconnect(s))
                self.assertNotEqual(s.connect_ex(f"{self.unix}x"), 0)
                self.assert_echo(s)

    def test_how_a_bare_one_is_known(self):
        """By the same look: with `seal = "off"` the socket can be disconnected, and then goes elsewhere."""
        other = self.serve(fdialtest.Echo())
        session = self.session(self.start(seal='"off"'))
        m = session.connect(f"tcp://localhost:{self.plain.port}", handover=rig.TCP)
        self.assertEqual(m.code, 0, m)
        with socket.socket(fileno=m.fds[0]) as s:
            self.assertTrue(can_disconnect(s))
            s.settimeout(rig.WAIT_S)
            s.connect(("127.0.0.1", other.port))
            self.assert_echo(s)


if __name__ == "__main__":
    fdialtest.main()
