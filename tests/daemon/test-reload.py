"""SIGHUP: rules, trust and name servers are new for what begins after it; what has begun goes on; an
error anywhere leaves everything as it was, and is told with its place."""
# time-limit: 240
import contextlib
import os
import threading

import fdialtest
import rig
from rig import rule, strings

DENIED, REFUSED, UNKNOWN_ISSUER = 20, 40, 73


class Reload(rig.Case):
    def ask(self, daemon, target, *attributes, **kwargs):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            m = s.connect(target, *attributes, **kwargs)
        for fd in m.fds:
            os.close(fd)
        return m

    def reload(self, daemon, text=None):
        """Until the old configuration decides nothing any more, on no worker."""
        n = daemon.log().count("configuration reloaded")
        if text is not None:
            daemon.write_config(text)
        daemon.reload()
        fdialtest.wait_until(lambda: daemon.log().count("configuration reloaded") == n + 1, rig.WAIT_S,
                             "the reload")

    def refuse(self, daemon, pattern, text=None):
        """A reload that must fail, with this in the log; returns when it has."""
        n = daemon.log().count("the running configuration stays")
        if text is not None:
            daemon.write_config(text)
        daemon.reload()
        fdialtest.wait_until(lambda: daemon.log().count("the running configuration stays") == n + 1,
                             rig.WAIT_S, "the refusal")
        self.assertRegex(daemon.log(), pattern)

    def ask_all(self, daemon, target, code):
        """On every worker, most likely."""
        self.assertEqual([self.ask(daemon, target).code for _ in range(8)], [code] * 8)

    # ---- trust ----

    def write_authority(self, path, authority):
        with open(authority.certificate, encoding="ascii") as f:
            text = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def trusting(self, path, **keys):
        return f'workers = 2\ntls "t" {{\n  ca-file = "{path}"\n}}\n' + rule(tls='"t"', **keys)

    def test_ca_file_replaced(self):
        """The text of the configuration stays the same."""
        old, new = fdialtest.Authority(), fdialtest.Authority()
        path = os.path.join(self.directory(), "ca.pem")
        self.write_authority(path, old)
        origins = [self.serve(fdialtest.Tls(*a.issue())) for a in (old, new)]
        targets = [f"tls://localhost:{o.port}" for o in origins]
        slow = self.serve(fdialtest.Between(origins[0].port, chunk=100, delay_s=0.2))
        daemon = self.start_daemon(self.trusting(path))
        s = self.session(daemon)
        relay = self.dial(s, targets[0])
        self.assertEqual(self.ask(daemon, targets[1]).code, UNKNOWN_ISSUER)
        other = self.session(daemon)
        ident = other.submit(f"tls://localhost:{slow.port}", timeout_ms=60000)
        fdialtest.wait_until(lambda: slow.accepted, rig.WAIT_S, "the handshake")

        self.write_authority(path, new)
        self.assertEqual(self.ask(daemon, targets[0]).code, 0)  # nothing before the signal
        self.reload(daemon)
        self.ask_all(daemon, targets[0], UNKNOWN_ISSUER)
        self.ask_all(daemon, targets[1], 0)
        self.assertEqual(s.connect(targets[0]).code, UNKNOWN_ISSUER)
        self.assert_echo(relay)
        m = other.recv()
        self.assertEqual((m.id, m.code), (ident, 0), m)  # begun with the old trust
        for fd in m.fds:
            os.close(fd)

    def test_ca_file_broken(self):
        authority = fdialtest.Authority()
        path = os.path.join(self.directory(), "ca.pem")
        self.write_authority(path, authority)
        origin = self.serve(fdialtest.Tls(*authority.issue()))
        target = f"tls://localhost:{origin.port}"
        daemon = self.start_daemon(self.trusting(path))
        for text in ("", "no certificate\n",
                     "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            # The rules would be others as well: none of it counts.
            self.refuse(daemon, rf"{daemon.config_path}:3: cannot use CA file {path}: ",
                        self.trusting(path, allow='"tcp://127.0.0.9:*"'))
            self.assertEqual(self.ask(daemon, target).code, 0)
        os.unlink(path)
        self.refuse(daemon, rf"{daemon.config_path}:3: cannot use CA file {path}: No such file")
        self.assertEqual(self.ask(daemon, target).code, 0)
        self.write_authority(path, authority)
        self.reload(daemon)
        self.ask_all(daemon, target, DENIED)

    def test_tls_section_exchanged(self):
        """A rule gets another section, and a session that is open has it too."""
        one, two = fdialtest.Authority(), fdialtest.Authority()
        origin = self.serve(fdialtest.Tls(*one.issue()))
        target = f"tls://localhost:{origin.port}"
        sections = "".join(f'tls "{n}" {{ ca-file = "{a.certificate}" }}\n'
                           for n, a in (("one", one), ("two", two)))
        daemon = self.start_daemon("workers = 2\n" + sections + rule(tls='"one"'))
        s = self.session(daemon)
        self.assert_echo(self.dial(s, target))
        self.reload(daemon, "workers = 2\n" + sections + rule(tls='"two"'))
        self.assertEqual(s.connect(target).code, UNKNOWN_ISSUER)

    # ---- rules ----

    def test_report_then_enforce(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        narrow = {"allow": '"tcp://127.0.0.2:*"'}
        daemon = self.start_daemon("workers = 2\n" + rule(mode='"report"', **narrow))
        daemon.wait_log("only report, .*: 1$")
        s = self.session(daemon)
        relay = self.dial(s, target, handover=rig.RELAY)
        self.reload(daemon, "workers = 2\n" + rule(**narrow))
        self.ask_all(daemon, target, DENIED)
        self.assertEqual(s.connect(target).code, DENIED)
        self.assert_echo(relay)
        self.assertEqual(daemon.log().count("rules that only report"), 1)

    def test_drop_in(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.start_daemon("workers = 2\n")
        os.mkdir(daemon.config_path + ".d", 0o755)
        path = daemon.config_path + ".d/10-more.conf"
        for text, line in (("workers = 3\n", 1), ("# one\n\n" + rule() + "}\n", 11),
                           (rule() + rule(), 9), (rule(tls='"t"'), 8)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(path, 0o644)
            self.refuse(daemon, rf"{path}:{line}: ")
            self.ask_all(daemon, target, DENIED)
        with open(path, "w", encoding="utf-8") as f:
            f.write(rule())
        self.reload(daemon)
        self.ask_all(daemon, target, 0)
        os.unlink(path)
        self.reload(daemon)
        self.ask_all(daemon, target, DENIED)

    # ---- names ----

    def test_nameservers(self):
        """The new ones are asked, and the old ones' answers, kept or still to come, do not count."""
        port = self.serve(fdialtest.Echo(host="127.0.0.2")).port
        old = self.name_server("a.test 3600 A 127.0.0.3\nslow.test 3600 A 127.0.0.3\n"
                               "slow.test - DELAY 1500\n")
        new = self.name_server("a.test 3600 A 127.0.0.2\nslow.test 3600 A 127.0.0.2\n")
        text = 'workers = 1\nnameservers = "127.0.0.1:{}"\n' + rule().replace("{", "{{").replace("}", "}}")
        daemon = self.start_daemon(text.format(old.port))
        s = self.session(daemon)
        self.assertEqual(s.connect(f"tcp://a.test:{port}").code, REFUSED)
        self.assertEqual(s.connect(f"tcp://a.test:{port}").code, REFUSED)
        self.assertEqual(rig.status(daemon)["names_from_cache"], "1")
        ident = s.submit(f"tcp://slow.test:{port}", timeout_ms=60000)
        fdialtest.wait_until(lambda: old.asked_for("slow.test"), rig.WAIT_S, "the question")
        self.reload(daemon, text.format(new.port))
        self.ask_all(daemon, f"tcp://a.test:{port}", 0)
        self.assertEqual(self.ask(daemon, f"tcp://slow.test:{port}").code, 0)
        m = s.recv()  # begun with the old ones
        self.assertEqual((m.id, m.code), (ident, REFUSED), m)
        self.assertEqual(self.ask(daemon, f"tcp://slow.test:{port}").code, 0)
        self.assertEqual(len([q for q in old.questions if q == "udp A a.test"]), 1)
        self.refuse(daemon, r"fdiald\.conf:2: 'nameservers'", text.format("0"))
        self.assertEqual(self.ask(daemon, f"tcp://a.test:{port}").code, 0)

    def test_hosts(self):
        """Counts by itself, within a second. (resolv.conf too: tests/unit/test-resolve-life.)"""
        fdialtest.need_mounts()
        target = f"tcp://h.test:{self.serve(fdialtest.Echo(host='127.0.0.2')).port}"
        path = os.path.join(self.directory(), "hosts")

        def write(address):
            with open(path, "w", encoding="ascii") as f:
                f.write(f"{address} h.test\n")

        write("127.0.0.2")
        daemon = self.start_daemon("workers = 2\n" + rule(), wrapper=[
            "unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', path])
        self.ask_all(daemon, target, 0)
        write("127.0.0.3")
        for _ in range(8):
            fdialtest.wait_until(lambda: self.ask(daemon, target).code == REFUSED, rig.WAIT_S,
                                 "the new address")

    # ---- what does not change, and what must not grow ----

    def test_what_needs_a_restart(self):
        daemon = self.start_daemon("workers = 1\nsqpoll = false\n" + rule())
        self.reload(daemon, "workers = 1\ndrain-timeout = 9\n" + rule())
        self.assertNotIn("after a restart", daemon.log())
        self.reload(daemon, "workers = 2\nsqpoll = true\n" + rule())
        daemon.wait_log("'workers' takes effect after a restart")
        daemon.wait_log("'sqpoll' takes effect after a restart")
        self.assertEqual(rig.status(daemon)["workers"], "1")
        self.reload(daemon, "workers = 1\n" + rule())  # as it was started
        self.assertEqual(daemon.log().count("after a restart"), 2)

    def test_relays_keep_their_limits(self):
        origin = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{origin.port}"
        daemon = self.start_daemon("workers = 1\n" + rule())
        s = self.session(daemon)
        relay = self.dial(s, target, handover=rig.RELAY)
        self.reload(daemon, "workers = 1\n" + rule(max_lifetime="1"))
        self.assert_echo(self.dial(s, target, handover=rig.RELAY))
        self.assertEqual(s.ended(), rig.LIFETIME)  # the second
        self.assert_echo(relay)

    def test_hundred_reloads_under_load(self):
        """Nothing is lost, nothing stays: configurations, their trust stores and name servers."""
        authority = fdialtest.Authority()
        plain, tls = self.serve(fdialtest.Echo()), self.serve(fdialtest.Tls(*authority.issue()))
        servers = [self.name_server("echo.test 1 A 127.0.0.1\n") for _ in range(2)]
        texts = [f'workers = 2\nnameservers = "127.0.0.1:{n.port}"\n'
                 f'tls "t" {{ ca-file = "{authority.certificate}" }}\n'
                 + rule(f"r{i}", tls='"t"', deny=strings(*[f"tcp://d{k}.test:1" for k in range(1000)]))
                 for i, n in enumerate(servers)]
        daemon = self.start_daemon(texts[0], log_level="notice")
        targets = (f"tcp://echo.test:{plain.port}", f"tls://localhost:{tls.port}")
        stop, errors, counts = threading.Event(), [], [0, 0]

        def load(index):
            try:
                with contextlib.closing(rig.Session(daemon.socket)) as s:
                    while not stop.is_set():
                        with contextlib.closing(s.dial(targets[index], timeout_ms=60000)) as c:
                            self.assert_echo(c, b"x")
                        counts[index] += 1
            except Exception as e:  # pylint: disable=broad-except
                errors.append(e)

        def reload_times(n):
            for i in range(n):
                self.reload(daemon, texts[(i + 1) % 2])

        with contextlib.closing(rig.Session(daemon.socket)) as s:
            keep = self.dial(s, targets[0], handover=rig.RELAY)
            threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
            state = rig.State(daemon)
            for t in threads:
                t.start()
            try:
                reload_times(20)  # until the heap has its size
                before = daemon.rss_kib()
                reload_times(100)
                after = daemon.rss_kib()
            finally:
                stop.set()
                for t in threads:
                    t.join()
            self.assertEqual(errors, [])
            self.assertGreater(min(counts), 0, counts)
            self.assert_echo(keep)
            keep.close()
            self.assertEqual(s.ended(), rig.CLEAN)
        if not fdialtest.IS_SLOW:  # freed memory is kept for a while there
            self.assertLess(after, before + 4096, "KiB: the configurations are not given back")
        state.check(spare_fds=4)


if __name__ == "__main__":
    fdialtest.main()
