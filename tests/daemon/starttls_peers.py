"""Servers of the eight protocols with STARTTLS, by hand: a script of what is said and heard in the clear,
then TLS. Texts are from the protocols' standards; tests/real has the servers that people use."""
import socket
import sys

import fdialtest

OID = b"1.3.6.1.4.1.1466.20037"
XMPP_TLS = b"<%s xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
XMPP_STREAM = (b"<?xml version='1.0'?><stream:stream id='1' version='1.0' from='localhost'"
               b" xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>")


def mysql_packet(n, payload):
    return len(payload).to_bytes(3, "little") + bytes([n]) + payload


def mysql_greeting(capabilities=0xdfffffff):
    c = capabilities.to_bytes(4, "little")
    return mysql_packet(0, b"\x0a8.0.36\0\7\0\0\0saltsalt\0" + c[:2] + b"\xff\2\0" + c[2:] + b"\x15" + bytes(10)
                        + b"saltsaltsalt\0caching_sha2_password\0")


class Hear(bytes):
    """What is waited for."""


class Protocol:
    """steps: in turn what is said (bytes) and what is heard; n_response: of what is said, all together,
    the client is told so many bytes; refused: what is said in place of the last word, and what of it the
    error says."""

    def __init__(self, name, *steps, n_response, refused=None):
        self.scheme, self.steps, self.n_response, self.refused = f"{name}+starttls", steps, n_response, refused

    @property
    def said(self):
        return b"".join(s for s in self.steps if not isinstance(s, Hear))

    @property
    def response(self):
        return self.said[:self.n_response]

    @property
    def is_last_word_theirs(self):
        return not isinstance(self.steps[-1], Hear)

    def instead_of_last(self, words):
        steps = [s for s in self.steps if not isinstance(s, Hear)]
        return [words if s is steps[-1] else s for s in self.steps]


_SMTP = b"220 mx.test ESMTP\r\n", b"250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
_IMAP = b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nfdial1 OK done\r\n"
_POP3 = b"+OK ready\r\n", b"+OK list\r\nSTLS\r\nUIDL\r\n.\r\n"
_FTP = b"220-welcome\r\n220 ready\r\n"
_XMPP = XMPP_STREAM + b"<stream:features>" + XMPP_TLS % b"starttls" + b"</stream:features>"

PROTOCOLS = (
    Protocol("smtp", _SMTP[0], Hear(b"EHLO [127.0.0.1]\r\n"), _SMTP[1], Hear(b"STARTTLS\r\n"), b"220 go\r\n",
             n_response=len(b"".join(_SMTP)), refused=(b"454 not now\r\n", "'454 not now'")),
    Protocol("imap", _IMAP[0], Hear(b"fdial1 CAPABILITY\r\n"), _IMAP[1], Hear(b"fdial2 STARTTLS\r\n"),
             b"fdial2 OK go\r\n", n_response=len(b"".join(_IMAP)),
             refused=(b"fdial2 NO not now\r\n", "'fdial2 NO not now'")),
    Protocol("pop3", _POP3[0], Hear(b"CAPA\r\n"), _POP3[1], Hear(b"STLS\r\n"), b"+OK go\r\n",
             n_response=len(b"".join(_POP3)), refused=(b"-ERR not now\r\n", "'-ERR not now'")),
    Protocol("ftp", _FTP, Hear(b"AUTH TLS\r\n"), b"234 go\r\n", n_response=len(_FTP),
             refused=(b"534 not now\r\n", "'534 not now'")),
    Protocol("ldap", Hear(b"\x30\x1d\2\1\1\x77\x18\x80\x16" + OID), b"\x30\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0",
             n_response=0, refused=(b"\x30\x13\2\1\1\x78\x0e\x0a\1\x34\4\0\4\7not now", "52, 'not now'")),
    Protocol("xmpp", Hear(b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
                          b" xmlns:stream='http://etherx.jabber.org/streams'>"), _XMPP,
             Hear(XMPP_TLS % b"starttls"), XMPP_TLS % b"proceed", n_response=len(_XMPP),
             refused=(XMPP_TLS % b"failure" + b"</stream:stream>", "failure")),
    Protocol("postgres", Hear(b"\0\0\0\x08\x04\xd2\x16\x2f"), b"S", n_response=0, refused=(b"N", "no TLS")),
    Protocol("mysql", mysql_greeting(),
             Hear(mysql_packet(1, b"\x05\xaa\x0a\0\xff\xff\xff\0\x2d" + bytes(23))),
             n_response=len(mysql_greeting()),
             refused=(mysql_packet(0, b"\xff\x10\x04Too many"), "'Too many'")),
)
SMTP, IMAP, POP3, FTP, LDAP, XMPP, POSTGRES, MYSQL = PROTOCOLS


def hear(conn, wanted):
    """Takes not a byte more: TLS may follow."""
    got = b""
    while len(got) < len(wanted):
        data = conn.recv(len(wanted) - len(got))
        if not data:
            raise ConnectionError(f"heard only {got!r}")
        got += data
    if got != wanted:
        raise ValueError(f"heard {got!r} instead of {wanted!r}")


def follow(conn, steps, say=None):
    for step in steps:
        if isinstance(step, Hear):
            hear(conn, step)
        else:
            (say or conn.sendall)(step)


class Starttls(fdialtest.Tls):
    """Follows the script, then speaks TLS, then handle(conn). cuts: for each connection in turn, the number of
    bytes said after which it is closed."""

    def __init__(self, protocol, certificate, key, handle=fdialtest.echo, *, steps=None, is_dribbling=False,
                 cuts=None, **kwargs):
        self.steps = steps or protocol.steps
        self.wrong = []  # what was not as the script says
        self._is_dribbling, self._cuts = is_dribbling, cuts
        super().__init__(certificate, key, handle, **kwargs)

    def serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = next(self._cuts) if self._cuts else sys.maxsize

        def say(words):
            nonlocal left
            for i in range(0, len(words), 1) if self._is_dribbling else (0,):
                conn.sendall(words[i:i + 1] if self._is_dribbling else words[:left])
            left -= len(words)
            if left <= 0:
                raise ConnectionError("cut")

        try:
            follow(conn, self.steps, say)
        except ValueError as e:
            self.wrong.append(e)
        else:
            super().serve(conn)
