"""SOCKS 4 has room for IPv4 addresses only: of a name's addresses that we have looked up, it gets one of
these, whichever comes first."""
import os

import fdialtest
import rig
from rig import rule

NO_ADDRESS = 31


class Socks4(fdialtest.Origin):
    """Grants everything and gives everything back. `said` has the requests."""

    def __init__(self):
        self.said = []
        super().__init__(self.tunnel)

    def tunnel(self, conn):
        self.said.append(conn.recv(64))
        conn.sendall(b"\0\x5a" + bytes(6))
        while data := conn.recv(65536):
            conn.sendall(data)


class Families(rig.Case):
    def start(self, scheme):
        self.proxy = self.serve(Socks4())
        return self.start_daemon(f'proxy "p" {{ url = "{scheme}://127.0.0.1:{self.proxy.port}" }}\n'
                                 + rule(via='"p"'))

    def test_both(self):
        for scheme in ("socks4", "socks4a"):
            s = self.session(self.start(scheme))
            m = s.connect("tcp://localhost:22")  # ::1 too
            self.assertEqual(m.code, 0, m)
            for fd in m.fds:
                os.close(fd)
            self.assertEqual(self.proxy.said, [b"\4\1\0\x16\x7f\0\0\1\0"])

    def test_ipv6_alone(self):
        s = self.session(self.start("socks4a"))
        m = s.connect("tcp://[::1]:22")
        self.assertEqual((m.code, m.text(rig.DETAIL)),
                         (NO_ADDRESS, "no IPv4 address, and the last proxy knows no other by socks4"), m)
        self.assertEqual(self.proxy.said, [])


if __name__ == "__main__":
    fdialtest.main()
