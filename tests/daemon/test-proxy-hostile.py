"""Proxies that break off, dribble, lie, never end, or speak something else, as first hop and behind an honest
one: each is an error of its own that names the hop, in time and without the password; the connection is
closed, and all is as it was before."""
# time-limit: 180
import ssl
import time

import fdialtest
import hostile_proxies as evil
import proxies
import rig
from hostile_proxies import ASKS, GOOD, forever, hear_greeting, hear_http, hear_login, hear_request, \
    hear_socks4, reset_after, say, silent_after

AUTH, REFUSED, PROTOCOL, DEADLINE, NOT_TLS = 50, 51, 52, 11, 60
SILENCE_MS = 5000 if fdialtest.IS_SLOW else 2000
SLACK_S = 40 if fdialtest.IS_SLOW else 15
TARGET = "tcp://127.0.0.1:9"  # the proxy is asked for it, and nobody goes there
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"
TLS_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(64)


def http(*replies):
    return say([(hear_http, reply) for reply in replies])


def socks5(*replies):
    return say(list(zip((hear_greeting, hear_login, hear_request), replies)))


def socks4(reply):
    return say([(hear_socks4, reply)])


def hear_a_byte(conn):
    evil.take(conn, 1)


def ask_again(reply):
    """Each request gets it."""

    def play(conn):
        while True:
            hear_http(conn)
            conn.sendall(reply)

    return play


def ask_with_new_nonces(conn):
    n = 0
    while True:
        hear_http(conn)
        n += 1
        conn.sendall(b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Digest realm="x", nonce="%d", stale=true,'
                     b' qop="auth", algorithm=SHA-256\r\nContent-Length: 0\r\n\r\n' % n)


def repeat_credentials(conn):
    """In the reason, in a header and in the page of a refusal."""
    hear_http(conn)
    conn.sendall(evil.ASKS_FOR_BASIC + b"Content-Length: 0\r\n\r\n")
    hear_http(conn)
    word = evil.spoken_secret()
    conn.sendall(b"HTTP/1.1 403 No %s\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s"
                 % (word, word, len(word), word))


# (name, script, code, words of the error)
HTTP = [
    ("head without end", forever(b"X: " + b"y" * 997 + b"\r\n", b"HTTP/1.1 200 Yes\r\n"), PROTOCOL,
     "more than 65531 bytes"),
    ("line without end", forever(b"y" * 1000, b"HTTP/1.1 200 "), PROTOCOL,
     "more than 65531 bytes"),
    ("NUL in the head", http(b"HTTP/1.1 200 Yes\r\nVia: a\0b\r\n\r\n"), PROTOCOL, "its answer"),
    ("NUL alone", http(bytes(100)), PROTOCOL, "not HTTP"),
    ("no colon", http(b"HTTP/1.1 200 Yes\r\nVia\r\n\r\n"), PROTOCOL, "its answer"),
    ("HTTP/2", http(b"HTTP/2 200 \r\n\r\n"), PROTOCOL, "its answer"),
    ("HTTP/0.9", http(b"HTTP/0.9 200 Yes\r\n\r\n"), PROTOCOL, "its answer"),
    ("ICY", http(b"ICY 200 OK\r\n\r\n"), PROTOCOL, "not HTTP"),
    ("no status", http(b"HTTP/1.1 2x0 Yes\r\n\r\n"), PROTOCOL, "its answer"),
    ("another protocol first", http(b"220 mail.example ESMTP\r\n"), PROTOCOL, "not HTTP.*220 m"),
    ("TLS alert", http(TLS_ALERT), PROTOCOL, "is TLS: its url should begin with https://"),
    ("TLS handshake", http(TLS_HELLO), PROTOCOL, "is TLS"),
    ("SOCKS", http(b"\x05\xff\0\0\0\0"), PROTOCOL, "not HTTP"),
    ("1xx without end", forever(b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\n"), PROTOCOL, "1xx"),
    ("101", http(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), PROTOCOL, "another protocol"),
    ("407 again and again", ask_again(evil.ASKS_FOR_BASIC + b"Content-Length: 0\r\n\r\n"), AUTH,
     "refused the credentials"),
    ("407 and close, again and again", http(ASKS + b"Connection: close\r\n\r\n"), AUTH, "refused the cred"),
    ("407 with new nonces", ask_with_new_nonces, AUTH, "refused the credentials"),
    ("407 without a scheme", ask_again(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n"), AUTH, "evil"),
    ("407 with another scheme", ask_again(b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Magic x=1\r\n"
                                          b"Content-Length: 0\r\n\r\n"), AUTH, "evil"),
    ("407 with chunks without end", forever(b"400\r\n" + b"y" * 0x400 + b"\r\n",
                                            ASKS + b"Transfer-Encoding: chunked\r\n\r\n"), AUTH, "evil"),
    ("407 with a body without end", forever(b"y" * 1000, ASKS + b"Content-Length: 999999999999\r\n\r\n"),
     AUTH, "evil"),
    ("407 with a body to the end", forever(b"y" * 1000, ASKS + b"\r\n"), AUTH, "evil"),
    ("407 with both lengths", http(ASKS + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"),
     PROTOCOL, "its answer"),
    ("407 with two lengths", http(ASKS + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), PROTOCOL,
     "its answer"),
    ("407 with a negative length", http(ASKS + b"Content-Length: -3\r\n\r\nabc"), PROTOCOL, "its answer"),
    ("407 with a huge length", http(ASKS + b"Content-Length: 99999999999999999999999\r\n\r\nabc"), PROTOCOL,
     "its answer"),
    ("407 with a broken chunk", http(ASKS + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), PROTOCOL,
     "its answer"),
    ("403 without a page", http(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), REFUSED, "answers 403 No"),
    ("403 that says more than there is", http(b"HTTP/1.1 403 No\r\nContent-Length: 999\r\n\r\nbecause"),
     REFUSED, "answers 403 No$"),
    ("403 with a page without end", forever(b"because " * 100, b"HTTP/1.1 403 No\r\nContent-Length: "
                                            b"999999999\r\n\r\n"), REFUSED, "403 No: because"),
    ("403 with unclean words", http(b"HTTP/1.1 403 No\r\nContent-Length: 7\r\n\r\n\x1b[2J\0\xff\n"), REFUSED,
     r"403 No: \\x1b\[2J \\xff"),
    ("403 with the credentials", repeat_credentials, REFUSED, "repeat the credentials"),
    ("reset at once", reset_after(hear_a_byte), PROTOCOL, "evil"),
    ("reset after the request", reset_after(say([(hear_http, b"")])), PROTOCOL, "evil"),
    ("reset in the head", reset_after(http(b"HTTP/1.1 200 Y")), PROTOCOL, "evil"),
]
SOCKS5 = [
    ("wrong version", socks5(b"\x04\x00"), PROTOCOL, "starts with byte"),
    ("HTTP", socks5(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PROTOCOL, "an HTTP proxy"),
    ("TLS", socks5(TLS_ALERT), PROTOCOL, "evil"),
    ("NULs", socks5(bytes(64)), PROTOCOL, "starts with byte"),
    ("method that was not offered", socks5(b"\x05\x00"), PROTOCOL, "not offered"),
    ("unknown method", socks5(b"\x05\x80"), PROTOCOL, "not offered"),
    ("no method", socks5(b"\x05\xff"), AUTH, "does not take user and password"),
    ("login with the wrong version", socks5(b"\x05\x02", b"\x05\x00"), PROTOCOL, "starts with byte"),
    ("login refused", socks5(b"\x05\x02", b"\x01\x01"), AUTH, "refused user and password"),
    ("reply with the wrong version", socks5(b"\x05\x02", b"\x01\0", b"\x04\0\0\x01\x7f\0\0\1\0\0"), PROTOCOL,
     "starts with byte"),
    ("address of no type", socks5(b"\x05\x02", b"\x01\0", b"\x05\0\0\x02\x7f\0\0\1\0\0"), PROTOCOL,
     "unknown type 2"),
    ("name shorter than it says", socks5(b"\x05\x02", b"\x01\0", b"\x05\0\0\x03\xffproxy\0\0"), PROTOCOL,
     "clos"),
    ("reset at once", reset_after(hear_a_byte), PROTOCOL, "evil"),
    ("reset before the reply", reset_after(socks5(b"\x05\x02", b"\x01\0", b"")), PROTOCOL, "evil"),
    *[(f"reply {n}", socks5(b"\x05\x02", b"\x01\0", bytes([5, n, 0, 1, 0, 0, 0, 0, 0, 0])), REFUSED,
       rf"\(reply {n}\)") for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80, 0xff)],
]
SOCKS4 = [
    ("wrong version", socks4(b"\x04\x5a" + bytes(6)), PROTOCOL, "starts with byte"),
    ("HTTP", socks4(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PROTOCOL, "an HTTP proxy"),
    ("TLS", socks4(TLS_ALERT), PROTOCOL, "evil"),
    ("NULs", socks4(bytes(64)), PROTOCOL, "unknown reply 0"),
    ("reset at once", reset_after(hear_a_byte), PROTOCOL, "evil"),
    ("reset in the reply", reset_after(socks4(b"\0\x5a\0")), PROTOCOL, "evil"),
    ("rejected", socks4(b"\0\x5b" + bytes(6)), REFUSED, "reply 91"),
    ("no identd", socks4(b"\0\x5c" + bytes(6)), AUTH, "reply 92"),
    ("another user", socks4(b"\0\x5d" + bytes(6)), AUTH, "reply 93"),
    ("unknown reply", socks4(b"\0\xff" + bytes(6)), PROTOCOL, "unknown reply 255"),
]
TABLES = {"http": HTTP, "socks4": SOCKS4, "socks4a": SOCKS4, "socks5": SOCKS5}


class HostileProxy(rig.Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = fdialtest.Authority()
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(*cls.authority.issue())

    def start(self, kind, is_tls=False, context=None, is_cut=False):
        self.proxy = self.serve(evil.Scripted(context))
        self.wire = self.serve(fdialtest.Between(self.proxy.port))
        self.honest = self.serve(proxies.HttpProxy(hosts={"localhost": "127.0.0.1"}))
        text = f'workers = 1\ntls "test" {{ ca-file = "{self.authority.certificate}" }}\n' \
            + evil.config(kind, (self.wire if is_cut else self.proxy).port, self.honest.port, is_tls)
        self.daemon = self.start_daemon(text, listeners=["fdial", "first", "second"],
                                        credentials=evil.CREDENTIALS)
        self.state = rig.State(self.daemon)
        self.sessions = {name: self.session(self.daemon, path=self.daemon.sockets[name])
                         for name in ("first", "second")}

    def end(self):
        self.proxy.wait_until_left()
        for session in self.sessions.values():
            session.close()
        self.state.check()
        self.daemon.stop()

    def ask(self, script, listener="first", **kwargs):
        self.proxy.script = script
        started = time.monotonic()
        m = self.sessions[listener].connect(TARGET, **kwargs)
        self.assertLess(time.monotonic() - started, SLACK_S)
        return m

    def assert_fails(self, script, code, pattern, stage="proxy", hops=(1, 2), **kwargs):
        """On both ways."""
        for hop in hops:
            listener = ("first", "second")[hop - 1]
            m = self.ask(script, listener, **kwargs)
            told = (m.code, m.stage, m.number(rig.HOP), m.detail)
            self.assertEqual((m.code, m.number(rig.HOP), m.fds), (code, hop, []), told)
            self.assertEqual(m.stage, stage, told)
            self.assertRegex(m.detail, "^evil(: |$)", told)
            self.assertRegex(m.detail, pattern, told)
            self.proxy.wait_until_left()

    def assert_echoes(self, script):
        for listener in ("first", "second"):
            m = self.ask(script, listener)
            self.assertEqual((m.code, len(m.fds)), (0, 1), m)
            with rig.socket.socket(fileno=m.fds[0]) as s:
                s.settimeout(rig.WAIT_S)
                self.assert_echo(s)
            self.proxy.wait_until_left()

    def on_each_kind(self, test):
        """Calls test(kind, the replies to an open tunnel) with a daemon for each."""
        for kind, replies in GOOD.items():
            with self.subTest(kind):
                self.start(kind)
                test(kind, replies)
                self.end()

    def test_tables(self):
        def test(kind, _replies):
            for name, script, code, pattern in TABLES[kind]:
                with self.subTest(kind, name=name):
                    self.assert_fails(script, code, pattern)

        self.on_each_kind(test)

    def test_rounds_are_bounded(self):
        self.start("http")
        for script in (ask_again(evil.ASKS_KEPT), http(ASKS + b"Connection: close\r\n\r\n"),
                       ask_with_new_nonces):
            before = self.proxy.accepted
            self.assert_fails(script, AUTH, "refused the credentials")
            self.assertLessEqual(self.proxy.accepted - before, 2 * 4)
        self.end()

    def test_cut_at_every_byte(self):
        """A connection that ends between a question and the next answer had no more use, and the question
        is answered on a new one: till that is one too many."""

        def test(kind, replies):
            n = sum(len(reply) for _, reply in replies)
            again = range(replies[0][1].find(b"\r\n\r\n") + 4, len(replies[0][1]) + 5) if kind == "http" else ()
            for cut in range(n):
                hops = (1, 2) if kind != "http" or cut % 8 == 0 else (1,)
                with self.subTest(kind, cut=cut):
                    if cut in again:
                        self.assert_fails(say(replies, cut=cut), AUTH, "refused the credentials", hops=hops)
                    else:
                        self.assert_fails(say(replies, cut=cut), PROTOCOL, "clos", hops=hops)
            self.assert_echoes(evil.echo_after(say(replies)))

        self.on_each_kind(test)

    def test_byte_by_byte(self):
        self.on_each_kind(lambda _kind, replies: self.assert_echoes(evil.echo_after(say(replies, piece=1))))

    def test_glued(self):
        """What comes behind the last answer, in one piece with it, is the client's."""
        words = b"220 I speak first\r\n"

        def test(_kind, replies):
            hear, last = replies[-1]
            script = evil.echo_after(say([*replies[:-1], (hear, last + words)]))
            for listener in ("first", "second"):
                for handover in (rig.TCP, rig.RELAY):
                    m = self.ask(script, listener, handover=handover)
                    self.assertEqual((m.code, len(m.fds)), (0, 1), m)
                    with rig.socket.socket(fileno=m.fds[0]) as s:
                        s.settimeout(rig.WAIT_S)
                        self.assertEqual(evil.take(s, len(words)), words)
                        self.assert_echo(s)

        self.on_each_kind(test)

    def test_silence(self):
        """At each stage: the deadline's error says who has not answered. All at once, as it takes time."""

        def test(kind, replies):
            cuts, at, waiting = [], 0, []
            for _, reply in replies:
                cuts += [at, at + len(reply) // 2]
                at += len(reply)
            for cut in cuts:
                for hop, session in enumerate(self.sessions.values(), 1):
                    n_begun, self.proxy.script = self.proxy.n_begun, silent_after(say(replies, cut=cut))
                    waiting.append((session, session.submit(TARGET, timeout_ms=SILENCE_MS), hop, cut))
                    fdialtest.wait_until(lambda n=n_begun: self.proxy.n_begun > n)
            results = {(session, m.id): m for session, *_ in waiting for m in [session.recv_kind(rig.RESULT)]}
            for session, ident, hop, cut in waiting:
                with self.subTest(kind, cut=cut, hop=hop):
                    m = results[session, ident]
                    self.assertEqual((m.code, m.stage, m.number(rig.HOP)), (DEADLINE, "proxy", hop), m)
                    self.assertRegex(m.detail, "^evil: .*proxy has not said")

        self.on_each_kind(test)

    def test_inside_tls(self):
        """The same, from a proxy that is reached by TLS."""
        self.start("http", True, self.context)
        for name, script, code, pattern in HTTP:
            if not name.startswith("reset"):
                with self.subTest(name):
                    self.assert_fails(script, code, pattern)
        self.assert_echoes(evil.echo_after(say(GOOD["http"], piece=1)))
        self.end()

    def test_no_tls_on_a_tls_port(self):
        self.start("http", True)

        def refuse(conn):
            evil.take(conn, 5)
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        self.assert_fails(refuse, NOT_TLS, "evil", stage="tls")
        self.assert_fails(silent_after(lambda conn: None), DEADLINE, "TLS handshake", stage="tls",
                          timeout_ms=SILENCE_MS)
        self.end()

    def test_tls_cut(self):
        """In the middle of its handshake, or of its answer."""
        self.start("http", True, self.context, is_cut=True)
        script, cut, m, stages = evil.echo_after(say(GOOD["http"])), 0, None, set()
        while m is None or m.code != 0:
            self.wire.cut(cut)
            m = self.ask(script)
            if m.code != 0:
                self.assertEqual(m.number(rig.HOP), 1, m)
                self.assertRegex(m.detail, "^evil: .*(clos|reset|refused the credentials)", m)
                stages.add(m.stage)
            cut += 37
        rig.os.close(m.fds[0])
        self.assertEqual(stages, {"tls", "proxy"})
        self.end()

    def test_memory(self):
        """Endless answers leave nothing behind."""
        self.start("http")

        def ask_all():
            for name, script, _code, _pattern in HTTP:
                if "without end" in name:
                    for listener in ("first", "second"):
                        self.assertNotEqual(self.ask(script, listener).code, 0)

        for _ in range(3):
            ask_all()
        before_kib = self.daemon.rss_kib()
        for _ in range(12):
            ask_all()
        if not fdialtest.IS_SLOW:  # sanitizers keep freed memory
            self.assertLess(self.daemon.rss_kib() - before_kib, 2048)
        self.end()


if __name__ == "__main__":
    fdialtest.main()
