#!/usr/bin/env python3
"""What the log says of decisions, requests and relays; that clients can neither forge lines nor fill
it."""
import collections
import contextlib
import os
import pathlib
import re
import signal
import socket
import threading
import time

import fdialtest
import rig

LINES_PER_S = 100


def records(daemon):
    """The fields of each record, with its sentence under ''."""
    found = []
    for line in daemon.log().splitlines():
        sentence, tab, rest = line.partition("\t")
        if not tab:
            continue
        fields = {"": sentence.removeprefix("fdiald: ")}
        while rest:
            key, _, rest = rest.partition("=")
            if rest.startswith('"'):
                value, _, rest = rest[1:].partition('"')
                rest = rest.removeprefix(" ")
            else:
                value, _, rest = rest.partition(" ")
            fields[key] = value
        found.append(fields)
    return found


class Log(rig.Case):
    def setUp(self):
        super().setUp()
        self.echo = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.echo.port}"

    def start(self, *rules, level="info", workers=1):
        return self.start_daemon(f"workers = {workers}\n" + "".join(rules or [rig.rule()]),
                                 log_level=level)

    def events(self, daemon, *names):
        """The records of these events; they have come when this is called, or do soon."""
        wanted = collections.Counter(names)
        fdialtest.wait_until(
            lambda: collections.Counter(r["event"] for r in records(daemon)) >= wanted,
            rig.WAIT_S, f"{names} in the log:\n{daemon.log()}")
        return [r for r in records(daemon) if r["event"] in names]

    def test_connected(self):
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            self.dial(s, self.target)
            allowed, connected = self.events(daemon, "allowed", "connected")
        for r in allowed, connected:
            self.assertEqual((r["uid"], r["pid"], r["target"], r["rule"], r["request"]),
                             (str(rig.UID), str(os.getpid()), self.target, "test", "1"))
            self.assertEqual(r["plan"], f"address(127.0.0.1) connect({self.echo.port}) handoff(tcp)")
            self.assertIn(self.target, r[""])
        self.assertEqual((connected["address"], connected["handoff"], connected["count"]),
                         (f"127.0.0.1:{self.echo.port}", "tcp", "1"))
        self.assertLessEqual(int(connected["connect_us"]), int(connected["time_us"]))
        self.assertEqual(len(records(daemon)), 2)

    def test_denied(self):
        daemon = self.start(rig.rule(allow='"tcp://127.0.0.1:*"', deny='"tcp://127.0.0.1:9"'))
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.connect("tcp://127.0.0.1:9")
            s.connect("tcp://other.test:9")
            by_rule, by_none = self.events(daemon, "denied", "denied")
        self.assertEqual((by_rule["rule"], by_rule["stage"], by_rule["code"], by_rule["target"]),
                         ("test", "policy", "DENIED", "tcp://127.0.0.1:9"))
        self.assertIn("denied by policy: rule 'test' denies this target", by_rule[""])
        self.assertNotIn("rule", by_none)
        self.assertEqual(by_none["detail"], "no rule allows this target to this client")
        self.assertEqual(len(records(daemon)), 2, "a denial is one record")

    def test_address_denied(self):
        daemon = self.start(rig.rule(addresses='"public"'))
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.connect(self.target)
            allowed, denied = self.events(daemon, "allowed", "denied")
        self.assertEqual((denied["code"], denied["rule"], denied["plan"]),
                         ("DENIED_ADDRESS", "test", allowed["plan"]))

    def test_reported(self):
        daemon = self.start(rig.rule(allow='"tcp://other.test:9"', mode='"report"'), level="warning")
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            self.dial(s, self.target)
            reported, = self.events(daemon, "reported")
        self.assertEqual((reported["rule"], reported["target"]), ("test", self.target))

    def test_tls_name(self):
        """The plan has the name that was to be verified, when it is not the target's; where there is no
        plan, the record has it as it was asked for."""
        daemon = self.start(rig.rule(allow='{ "tls://127.0.0.1:*", "tls://127.example:*" }'))
        target = f"tls://127.0.0.1:{fdialtest.free_port()}"
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for name in "127.example", "other.test", "a\tb=\n":
                s.connect(target, rig.attr(rig.TLS_NAME, name))
            s.connect(target)
            failed, denied, no_name, plain = self.events(daemon, "failed", "denied", "failed", "failed")
        self.assertIn("tls(127.example)", failed["plan"])
        self.assertEqual((failed["tls_name"], denied["tls_name"], denied["target"]),
                         ("127.example", "other.test", target))
        self.assertEqual((no_name["code"], no_name["tls_name"]), ("BAD_OPTION", "a\\x09b=\\x0a"))
        self.assertNotIn("tls_name", plain)

    def test_failed(self):
        daemon = self.start()
        port = fdialtest.free_port()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.connect(f"tcp://127.0.0.1:{port}")
            failed, = self.events(daemon, "failed")
        self.assertEqual((failed["stage"], failed["code"], failed["errno"], failed["rule"]),
                         ("connect", "REFUSED", "111", "test"))
        self.assertIn("resolve_us", failed)
        self.assertIn("time_us", failed)

    def test_abandoned(self):
        """Nobody is told, but the log."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.submit(f"tls://127.0.0.1:{listener.getsockname()[1]}")
            fdialtest.wait_until(lambda: s.status()["requests_now"] == "1", rig.WAIT_S)
        failed, = self.events(daemon, "failed")
        self.assertEqual((failed["code"], failed["rule"]), ("CANCELLED", "test"))

    def test_relay(self):
        """Its end is told with all that is known of its beginning, after session and rule are gone."""
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            relay = self.dial(s, self.target, handover=rig.RELAY)
        self.assert_echo(relay, b"x" * 1000)
        daemon.write_config(rig.rule("other"))
        daemon.reload()
        daemon.wait_log("configuration reloaded")
        relay.close()
        ended, = self.events(daemon, "relay-ended")
        self.assertEqual(
            (ended["uid"], ended["pid"], ended["target"], ended["rule"], ended["end"], ended["request"],
             ended["bytes_sent"], ended["bytes_received"]),
            (str(rig.UID), str(os.getpid()), self.target, "test", "clean", "1", "1000", "1000"))

    def test_grant(self):
        """Whose rights count, who speaks, and how narrow it is."""
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as maker, \
                contextlib.closing(maker.grant(self.target, "tcp://a.test:1")) as grant:
            def use():
                with contextlib.closing(grant.open()) as s:
                    s.connect("tcp://other.test:9")
                    s.grant(self.target).close()
                    return os.getpid()

            other = fdialtest.CLIENT_UID if fdialtest.is_root() else rig.UID
            pid = fdialtest.call_as(use, uid=other)
            made, denied, inner = self.events(daemon, "granted", "denied", "granted")
        self.assertEqual((made["uid"], made["pid"], made["count"], made["level"]),
                         (str(rig.UID), str(os.getpid()), "2", "1"))
        self.assertEqual(made["patterns"], f"{self.target} tcp://a.test:1")
        self.assertNotIn("holder_uid", made)
        self.assertEqual((denied["uid"], denied["pid"], denied["holder_uid"], denied["target"]),
                         (str(rig.UID), pid, str(other), "tcp://other.test:9"))
        self.assertEqual((denied["level"], denied["patterns"]), ("1", made["patterns"]))
        self.assertEqual((inner["uid"], inner["pid"], inner["holder_uid"], inner["count"], inner["level"]),
                         (str(rig.UID), pid, str(other), "1", "2"))

    def test_level_that_denies(self):
        """Also the patterns of a grant are somebody's bytes, and many."""
        daemon = self.start()
        nasty = 'unix:/a"\\event=allowed'
        others = [f"tcp://{i}.test:1" for i in range(30)]
        with contextlib.closing(rig.Session(daemon.socket)) as maker, \
                contextlib.closing(maker.grant(self.target, nasty, *others)) as outer, \
                contextlib.closing(outer.open()) as s, \
                contextlib.closing(s.grant("tcp://*:*")) as inner:
            with contextlib.closing(inner.open()) as s:
                s.connect("https://127.0.0.1")
                s.connect("tcp://127.0.0.1:9")
            by_inner, by_outer = self.events(daemon, "denied", "denied")
        self.assertEqual((by_inner["level"], by_inner["patterns"]), ("2", "tcp://*:*"))
        text = " ".join([self.target, nasty, *others])[:255]
        self.assertEqual((by_outer["level"], by_outer["patterns"]),
                         ("1", text.replace("\\", "\\x5c").replace('"', "\\x22")))

    def test_relay_of_a_grant(self):
        daemon = self.start()
        other = fdialtest.CLIENT_UID if fdialtest.is_root() else rig.UID
        with contextlib.closing(rig.Session(daemon.socket)) as maker, \
                contextlib.closing(maker.grant(self.target)) as grant:
            def use():
                with contextlib.closing(grant.open()) as s:
                    for fd in s.connect(self.target, handover=rig.RELAY).fds:
                        os.close(fd)
                    return os.getpid()

            pid = fdialtest.call_as(use, uid=other)
            ended, = self.events(daemon, "relay-ended")
        self.assertEqual((ended["uid"], ended["pid"], ended["holder_uid"]), (str(rig.UID), pid, str(other)))

    def test_dropped(self):
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.send(rig.message(99, 0))
            while s.recv():
                pass
            dropped, = self.events(daemon, "dropped")
        self.assertEqual((dropped["code"], dropped["detail"]), ("BAD_MESSAGE", "unknown message type"))

    def test_dropped_of_a_grant(self):
        """Who sent the message that ended a session is told also when it was the first."""
        daemon = self.start()
        other = fdialtest.CLIENT_UID if fdialtest.is_root() else rig.UID
        with contextlib.closing(rig.Session(daemon.socket)) as maker, \
                contextlib.closing(maker.grant(self.target)) as grant:
            def use():
                with contextlib.closing(grant.open(says_hello=False)) as s:
                    s.send(bytes(20000))
                    while s.recv():
                        pass
                    return os.getpid()

            pid = fdialtest.call_as(use, uid=other)
            dropped, = self.events(daemon, "dropped")
        self.assertEqual((dropped["uid"], dropped["pid"], dropped["holder_uid"], dropped["detail"]),
                         (str(rig.UID), pid, str(other), "a message is longer than 16384 bytes"))

    def test_documented(self):
        """fdiald(8) has every field but the stages' times, of which it names some."""
        keys = set()
        for path in pathlib.Path(fdialtest.SRCDIR, "daemon").rglob("*.c"):
            keys.update(re.findall(r'log_record_add\w*\(\s*&?\w+,\s*"(\w+)"', path.read_text("utf-8")))
        manual = pathlib.Path(fdialtest.SRCDIR, "daemon/fdiald.8").read_text("utf-8").split()
        self.assertIn("handoff", keys)
        self.assertEqual({f"FDIAL_{key.upper()}" for key in keys} - set(manual), set())

    def test_hostile_text(self):
        """A client's bytes make neither lines nor fields."""
        daemon = self.start()
        texts = ["a\nfdiald: version 9\tevent=allowed uid=0", "\x1b[2J\x1b]0;x\x07", 'x" event="allowed',
                 "x\tevent=allowed uid=0 rule=test", "ä" * 900, "\\x0a" * 500]
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for text in texts:
                self.assertNotEqual(s.connect(text).code, 0)
        failed = self.events(daemon, *["failed"] * len(texts))
        self.assertEqual(len(failed), len(texts))
        log = daemon.log()
        self.assertRegex(log, r"\A[\t\n -~]*\Z")
        for line in log.splitlines():
            self.assertLessEqual(len(line), 4096)
            self.assertLessEqual(line.count("\t"), 1)
        for r in failed:
            self.assertEqual((r["uid"], r["code"]), (str(rig.UID), "BAD_TARGET"))
            self.assertNotIn("rule", r)
        self.assertIn(r"a\x0afdiald: version 9\x09event", failed[0]["target"])

    def test_hostile_origin(self):
        """What it answers instead of TLS."""
        def answer(listener):
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"\x15\x03\x03\x00\x02\x02\n\r\n\x1b[2Jevent=allowed\r\n")
                    connection.recv(4096)

        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=answer, args=[listener], daemon=True).start()
        daemon = self.start()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            s.connect(f"tls://127.0.0.1:{listener.getsockname()[1]}")
        failed, = self.events(daemon, "failed")
        self.assertEqual(failed["stage"], "tls")
        self.assertRegex(daemon.log(), r"\A[\t\n -~]*\Z")

    def test_flood(self):
        """One user's flood, in both workers and over many sessions, takes no line from another, and
        what was left out is told although nothing follows."""
        fdialtest.need_root()
        clients = rig.strings(f"uid:{rig.UID}", f"uid:{fdialtest.CLIENT_UID}")
        # uids that are the same modulo 256 share nothing
        other = rig.UID + 256 * 50
        daemon = self.start(rig.rule(client=clients), workers=2)
        n_sent = 2000

        def flood():
            for _ in range(n_sent // 20):
                with contextlib.closing(rig.Session(daemon.socket)) as s:
                    for _ in range(20):
                        s.submit("no target")
                    for _ in range(20):
                        s.recv_kind(rig.RESULT)

        def ask_once():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                s.connect("nothing")

        begin = time.monotonic()
        fdialtest.call_as(flood, uid=fdialtest.CLIENT_UID)
        fdialtest.call_as(ask_once, uid=other)
        seconds = int(time.monotonic() - begin) + 1

        def written(uid):
            return [r for r in records(daemon) if r["uid"] == str(uid)]

        def told():
            mine = written(fdialtest.CLIENT_UID)
            return sum(int(r["count"]) if r["event"] == "left-out" else 1 for r in mine)

        fdialtest.wait_until(lambda: told() == n_sent, rig.WAIT_S, "what was left out")
        lines = [r for r in written(fdialtest.CLIENT_UID) if r["event"] == "failed"]
        self.assertLessEqual(len(lines), LINES_PER_S * (seconds + 1))
        self.assertGreaterEqual(len(lines), LINES_PER_S)
        self.assertEqual(len(written(other)), 1)
        self.assertEqual(int(rig.status(daemon)["log_lines_left_out"]), n_sent - len(lines))

    def test_nobody_reads(self):
        """stderr is a pipe that is full: the daemon goes on, and tells later how much is missing."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process, path = self.start_with_stderr(writer)
        os.close(writer)
        try:
            s = fdialtest.wait_until(lambda: self.try_session(path), fdialtest.START_TIMEOUT_S)
            until = time.monotonic() + rig.WAIT_S
            while int(s.status()["log_lines_left_out"]) == 0 and time.monotonic() < until:
                for _ in range(100):
                    s.connect("x" * 400)
                time.sleep(0.2)
            missing = int(s.status()["log_lines_left_out"])
            self.assertGreater(missing, 0)
            said = b""
            while b"lines about uid" not in said:
                said += os.read(reader, 65536)
            s.close()
        finally:
            process.terminate()
            with contextlib.suppress(OSError):
                os.set_blocking(reader, False)
                os.read(reader, 1 << 20)
            process.wait(rig.WAIT_S)
        self.assertEqual(process.returncode, 0)

    def test_nobody_reads_from_the_start(self):
        """The daemon's own messages do not wait either: it starts, reloads and ends."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)

        def fill():
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, 4096 * b"x")
            os.set_blocking(writer, True)

        def read_what_is_said():
            process.send_signal(signal.SIGHUP)
            return os.read(reader, 1 << 20).lstrip(b"x")

        fill()
        process, path = self.start_with_stderr(writer)
        try:
            s = fdialtest.wait_until(lambda: self.try_session(path), fdialtest.START_TIMEOUT_S)
            self.assertNotEqual(s.connect_code("tcp://127.0.0.1:1"), 0)
            s.close()
            said = b""
            while b"messages left out, as nobody has read them" not in said:
                said += read_what_is_said()
            fill()
        finally:
            process.terminate()
            process.wait(rig.WAIT_S)
        self.assertEqual(process.returncode, 0)

    def start_with_stderr(self, stderr):
        path = os.path.join(self.directory(), "s.sock")
        config = os.path.join(self.directory(), "fdiald.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write("workers = 1\n" + rig.rule())
        os.chmod(config, 0o644)
        process = fdialtest.popen([fdialtest.program("fdiald"), "--config", config, "--socket", path],
                                  env=fdialtest.built_environment(), stderr=stderr)
        return process, path

    @staticmethod
    def try_session(path):
        try:
            return rig.Session(path)
        except OSError:
            return None


if __name__ == "__main__":
    fdialtest.main()
