#!/usr/bin/env python3
"""What `seal = "off"` hands over is the TCP socket itself, which is nobody's but the client's: the daemon
may die. (Sealed sockets need a kernel with CONFIG_TLS: tests/vm.)"""
import array
import hashlib
import os
import socket
import struct

import fdialtest
import protocol_client

CONFIG = """
rule "bare" {{
  client = "uid:{uid}" allow = "tcp://127.0.0.1:*" addresses = "loopback" handoff = "tcp" seal = "off"
}}
"""
SIZE = 32 << 20


class BareTcp(fdialtest.Case):
    def setUp(self):
        self.daemon = self.start_daemon(CONFIG.format(uid=os.getuid()))
        self.daemon.wait_log("workers")  # all of them have their descriptors

    def connect(self, port):
        with protocol_client.Session(self.daemon.socket) as session:
            session.connect(f"tcp://127.0.0.1:{port}")
            message = session.result()
        self.assertEqual(message.values["hand-over"], protocol_client.TCP)
        self.assertTrue(os.get_blocking(message.fds[0]))
        s = socket.socket(fileno=message.fds[0])
        self.addCleanup(s.close)
        s.settimeout(60)
        return s

    def inodes_of_daemon(self):
        for name in os.listdir(f"/proc/{self.daemon.pid}/fd"):
            try:
                yield os.stat(f"/proc/{self.daemon.pid}/fd/{name}").st_ino
            except OSError:
                pass

    def test_it_is_the_socket(self):
        seen = []
        origin = self.serve(fdialtest.Origin(lambda conn: seen.append(conn.getpeername())))
        before = self.daemon.fd_count()
        s = self.connect(origin.port)
        self.assertEqual((s.family, s.type), (socket.AF_INET, socket.SOCK_STREAM))
        self.assertEqual(s.getpeername(), ("127.0.0.1", origin.port))
        fdialtest.wait_until(lambda: seen, what="the origin's side")
        self.assertEqual(s.getsockname(), seen[0])
        self.assertTrue(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        inode = os.fstat(s.fileno()).st_ino
        fdialtest.wait_until(lambda: self.daemon.fd_count() <= before, what="the fds' end")
        self.assertNotIn(inode, list(self.inodes_of_daemon()))

    def test_no_copy_is_left(self):
        """The origin sees the end as soon as the client closes, and a reset when it resets."""
        ends = []

        def until_the_end(conn):
            try:
                ends.append(conn.recv(10))
            except ConnectionResetError:
                ends.append("reset")

        origin = self.serve(fdialtest.Origin(until_the_end))
        self.connect(origin.port).close()
        fdialtest.wait_until(lambda: ends == [b""], what="the end at the origin")
        s = self.connect(origin.port)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        fdialtest.wait_until(lambda: ends == [b"", "reset"], what="the reset at the origin")

    def test_daemon_dies_in_a_transfer(self):
        data = os.urandom(1 << 20) * (SIZE >> 20)
        digests = []

        def both_ways(conn):
            digest, left = hashlib.sha256(), SIZE
            while left:
                part = conn.recv(65536)
                if not part:
                    return
                digest.update(part)
                left -= len(part)
            digests.append(digest.digest())
            conn.sendall(data)

        origin = self.serve(fdialtest.Origin(both_ways))
        s = self.connect(origin.port)
        s.sendall(data[:SIZE // 2])
        self.daemon.kill()
        s.sendall(data[SIZE // 2:])
        got = bytearray()
        while len(got) < SIZE // 2:
            got += s.recv(1 << 20)
        self.daemon = self.start_daemon(CONFIG.format(uid=os.getuid()))
        while part := s.recv(1 << 20):
            got += part
        self.assertTrue(got == data, len(got))
        self.assertEqual(digests, [hashlib.sha256(data).digest()])
        self.connect(origin.port).close()

    def test_session_dies_with_the_daemon(self):
        """What was in flight has failed, and the command says so."""
        hole = self.serve(fdialtest.BlackHole())
        session = protocol_client.Session(self.daemon.socket)
        self.addCleanup(session.close)
        session.connect(f"tcp://127.0.0.1:{hole.port}")
        env = fdialtest.built_environment({"FDIAL_SOCKET": self.daemon.socket})
        target = f"tcp://127.0.0.1:{hole.port}"
        cli = fdialtest.popen([fdialtest.program("fdial"), "connect", target], env=env, stdin=-1, stderr=-1)
        with protocol_client.Session(self.daemon.socket) as other:
            fdialtest.wait_until(lambda: other.status()["requests_now"] == "2", what="both requests")
        self.daemon.kill()
        with self.assertRaises(ConnectionError):
            session.result()
        self.assertRegex(cli.communicate(timeout=30)[1], f"^fdial: {target}: .*daemon".encode())
        self.assertEqual(cli.returncode, 3)

    def test_fds_that_a_client_sends_are_closed(self):
        before = self.daemon.fd_count()
        with protocol_client.Session(self.daemon.socket) as session:
            a, b = socket.socketpair()
            data = protocol_client.encode(protocol_client.STATUS, 1)
            session.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                             array.array("i", [a.fileno()]))])
            a.close()
            self.assertEqual(session.receive().type, protocol_client.STATUS_REPLY)
            b.settimeout(30)
            self.assertEqual(b.recv(1), b"")  # no other copy is left
            b.close()
        fdialtest.wait_until(lambda: self.daemon.fd_count() <= before, what="the fds' end")


if __name__ == "__main__":
    fdialtest.main()
