#!/usr/bin/env python3
"""STARTTLS of servers that people use: what they said in the clear is told, and behind TLS the protocol goes
on where PROTOCOL.md says that it does."""
import hashlib
import os
import socket
import struct

import fdialtest
import protocol_client
import starttls_servers as servers

CONFIG = """
rule "mail" {{ client = "uid:{uid}" allow = "*://localhost:*" addresses = "loopback" tls = "ca" }}
tls "ca" {{ ca-file = "{ca}" }}
"""
MYSQL_PASSWORD = b"any will do"


def receive(c, enough):
    """All that has come when enough(it) is true."""
    data = b""
    while not enough(data):
        part = c.recv(65536)
        if not part:
            raise AssertionError(f"the server ended with {data!r}")
        data += part
    return data


def receive_line(c):
    return receive(c, lambda data: data.endswith(b"\n"))


class StartTls(fdialtest.Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("openssl")
        cls.authority = fdialtest.Authority()
        cls.certificate = cls.authority.issue()
        cls.daemon = fdialtest.start_daemon(CONFIG.format(uid=os.getuid(), ca=cls.authority.certificate))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def start(self, server):
        return self.serve(server(*self.certificate))

    def dial(self, scheme, port, said):
        """The connection, and what the server said in the clear; said: how it looks."""
        target = f"{scheme}+starttls://localhost:{port}"
        status, report = self.daemon.check(target)
        self.assertEqual((status, report["tls"]["version"]), (0, "1.3"), report)
        self.assertEqual([s["stage"] for s in report["stages"]], ["resolve", "connect", "starttls", "tls"])
        with protocol_client.Session(self.daemon.socket) as session:
            session.connect(target)
            result = session.result()
        c = socket.socket(fileno=result.fds[0])
        self.addCleanup(c.close)
        c.settimeout(fdialtest.WAIT_S)
        response = result.values.get("response", b"")
        self.assertRegex(response, said)
        self.assertEqual(result.values.get("response is clear"), 1 if response else None)
        return c, response

    def test_smtp(self):
        c, _ = self.dial("smtp", self.start(servers.Postfix).port,
                         rb"(?s)\A220 localhost ESMTP[^\n]*\n250-localhost\r\n.*250-STARTTLS\r\n.*250 [^\n]*\n\Z")
        c.sendall(b"EHLO client.example\r\n")
        answer = receive(c, lambda data: b"\r\n250 " in data and data.endswith(b"\n"))
        self.assertTrue(answer.startswith(b"250-localhost\r\n"), answer)
        self.assertNotIn(b"STARTTLS", answer)
        c.sendall(b"QUIT\r\n")
        self.assertEqual(receive_line(c), b"221 2.0.0 Bye\r\n")

    def test_imap_and_pop3(self):
        dovecot = self.start(servers.Dovecot)
        c, _ = self.dial("imap", dovecot.port, rb"\A\* OK \[CAPABILITY [^\]]* STARTTLS [^\n]*\n\Z")
        c.sendall(b"a CAPABILITY\r\n")
        answer = receive(c, lambda data: b"\r\na OK " in data and data.endswith(b"\n"))
        self.assertIn(b" AUTH=PLAIN", answer)
        self.assertNotIn(b"LOGINDISABLED", answer)
        c, _ = self.dial("pop3", dovecot.pop3_port, rb"(?s)\A\+OK [^\n]*\n\+OK[^\n]*\n.*STLS\r\n.*\r\n\.\r\n\Z")
        c.sendall(b"CAPA\r\n")
        answer = receive(c, lambda data: data.endswith(b"\r\n.\r\n"))
        self.assertIn(b"\r\nUSER\r\n", answer)

    def test_ftp(self):
        c, _ = self.dial("ftp", self.start(servers.Vsftpd).port, rb"\A220 welcome\r\n\Z")
        for command, answer in ((b"PBSZ 0", b"200 "), (b"PROT P", b"200 "), (b"USER anonymous", b"331 ")):
            c.sendall(command + b"\r\n")
            self.assertTrue(receive_line(c).startswith(answer), command)

    def test_ldap(self):
        c, response = self.dial("ldap", self.start(servers.Slapd).port, rb"\A\Z")
        c.sendall(b"\x30\x0c\2\1\2\x60\7\2\1\3\4\0\x80\0")  # message 2: an anonymous bind, version 3
        answer = receive(c, lambda data: len(data) >= 14)
        self.assertEqual((response, answer), (b"", b"\x30\x0c\2\1\2\x61\7\x0a\1\0\4\0\4\0"))

    def test_xmpp(self):
        c, _ = self.dial("xmpp", self.start(servers.Prosody).port,
                         rb"(?s)\A<\?xml[^>]*><stream:stream .*<starttls .*</stream:features>\Z")
        c.sendall(b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
                  b" xmlns:stream='http://etherx.jabber.org/streams'>")
        answer = receive(c, lambda data: data.endswith(b"</stream:features>"))
        self.assertIn(b"<mechanism>", answer)
        self.assertNotIn(b"<starttls", answer)

    def test_postgres(self):
        c, _ = self.dial("postgres", self.start(servers.Postgres).port, rb"\A\Z")
        start = struct.pack(">I", 3 << 16) + b"user\0tester\0database\0postgres\0\0"
        c.sendall(struct.pack(">I", 4 + len(start)) + start)
        answer = receive(c, lambda data: data.endswith(b"Z\0\0\0\5I"))  # ready for a query
        self.assertTrue(answer.startswith(b"R\0\0\0\x08\0\0\0\0"), answer)  # authenticated
        query = b"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\0"
        c.sendall(b"Q" + struct.pack(">I", 4 + len(query)) + query)
        self.assertIn(b"D\0\0\0\x0b\0\1\0\0\0\1t", receive(c, lambda data: data.endswith(b"Z\0\0\0\5I")))

    def test_mysql(self):
        c, response = self.dial("mysql", self.start(servers.Mariadb).port, rb"(?s)\A...\0\x0a[^\0]*MariaDB[^\0]*\0")
        fixed = response[response.index(b"\0", 5) + 1:]
        theirs = int.from_bytes(fixed[13:15] + fixed[18:20], "little")
        salt, password = fixed[4:12] + fixed[31:43], hashlib.sha1(MYSQL_PASSWORD).digest()
        scramble = hashlib.sha1(salt + hashlib.sha1(password).digest()).digest()
        login = struct.pack("<IIB23x", theirs & 0x000aaa04 | 1, 0xffffff, 45) + b"tester\0" + bytes([20]) \
            + bytes(a ^ b for a, b in zip(password, scramble)) + b"mysql_native_password\0"
        c.sendall(len(login).to_bytes(3, "little") + b"\2" + login)
        answer = receive(c, lambda data: len(data) >= 11)
        self.assertEqual(answer[3:5], b"\3\0", answer)  # packet 3: OK
        query = b"\3SHOW STATUS LIKE 'Ssl_version'"
        c.sendall(len(query).to_bytes(3, "little") + b"\0" + query)
        self.assertIn(b"\x07TLSv1.3", receive(c, lambda data: data.count(b"\xfe\0\0") >= 2))


if __name__ == "__main__":
    fdialtest.main()
