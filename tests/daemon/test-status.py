#!/usr/bin/env python3
"""What `status` counts, by rule, stage and code; as lines, as JSON and as metrics; and who may see it."""
import contextlib
import json
import os

import fdialtest
import metrics
import rig

N_RULES = 600  # their counters take several messages


def names_of(text):
    return [line.split()[0] for line in text.splitlines() if line[0] != "#"]


class Status(rig.Case):
    def setUp(self):
        super().setUp()
        self.echo = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.echo.port}"
        self.port = fdialtest.free_port()

    def use(self, daemon):
        """Two connections, one relay that has ended, a failure, and refusals of three kinds."""
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for fd in s.connect(self.target, rig.u32(rig.COUNT, 2)).fds:
                os.close(fd)
            relay = s.dial(self.target, handover=rig.RELAY)
            self.assert_echo(relay, b"x" * 100)
            relay.close()
            self.assertEqual(s.ended(), rig.CLEAN)
            s.connect(f"tcp://127.0.0.1:{self.port}")
            s.connect("tcp://127.0.0.1:9")
            s.connect("tcp://other.test:9")
            s.connect("no target")

    RULES = {"a.b-c": {"allow": '"tcp://127.0.0.1:*"', "deny": '"tcp://127.0.0.1:9"'}, "second": {}}

    def start(self, **kwargs):
        rules = [rig.rule(name, **(keys or {"allow": '"tcp://127.0.0.2:1"'}))
                 for name, keys in self.RULES.items()]
        return self.start_daemon("".join(rules), **kwargs)

    def test_counters(self):
        daemon = self.start()
        self.use(daemon)
        status = rig.status(daemon)
        wanted = {"requests": 6, "requests_allowed": 3, "requests_denied": 2, "requests_undecided": 1,
                  "connected_tcp": 2, "connected_relay": 1, "relays_clean": 1, "relay_bytes_sent": 100,
                  "relay_bytes_received": 100, "failed_request": 1, "failed_policy": 2,
                  "failed_connect": 1, "failed_connect_REFUSED": 1, "failed_policy_DENIED": 2,
                  "failed_request_BAD_TARGET": 1, "rule:a.b-c:requests_allowed": 3,
                  "rule:a.b-c:requests_denied": 1, "rule:a.b-c:failed_policy_DENIED": 1,
                  "rule:a.b-c:failed_connect_REFUSED": 1, "rule:a.b-c:connected_tcp": 2,
                  "rule:a.b-c:relays_clean": 1, "no_rule:requests_denied": 1,
                  "no_rule:requests_undecided": 1, "no_rule:failed_policy_DENIED": 1,
                  "no_rule:failed_request_BAD_TARGET": 1, "failed_tls": 0}
        self.assertEqual({k: status.get(k) for k in wanted}, {k: str(n) for k, n in wanted.items()})
        self.assertFalse([k for k in status if k.startswith("rule:second:")])
        printed = json.loads(daemon.run_cli(["status", "--json"]).stdout)
        self.assertEqual({k: printed.get(k) for k in wanted}, wanted)

    def test_allowed_but_impossible(self):
        """What fails after the decision is the rule's: a kind of hand-over, an option that does not fit."""
        daemon = self.start_daemon(rig.rule("r", allow='"*://127.0.0.1:*"', handoff='"relay"'))
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            codes = [s.connect(self.target, handover=rig.TCP).code,
                     s.connect(self.target, rig.attr(rig.ALPN, "h2")).code]
        self.assertEqual(codes, [90, 4])
        status = rig.status(daemon)
        self.assertEqual((status.get("rule:r:requests_allowed"), status["requests_undecided"]), ("2", "0"))
        self.assertEqual([k for k in status if k.startswith("no_rule:")], [])

    def test_reload(self):
        """Counters stay with their rule's name; sums stay whatever becomes of the rules."""
        daemon = self.start()
        self.use(daemon)
        daemon.write_config(rig.rule("a.b-c") + rig.rule("third"))
        daemon.reload()
        daemon.wait_log("configuration reloaded")
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            fdialtest.wait_until(lambda: s.status()["rules"] == "2", rig.WAIT_S)
            s.connect(f"tcp://127.0.0.1:{self.port}")
            self.assertEqual(s.status()["rule:a.b-c:requests_allowed"], "4")
        daemon.write_config(rig.rule("other"))
        daemon.reload()
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            # gone when both workers have let go of it
            status = fdialtest.wait_until(
                lambda: (now := s.status()) and "rule:a.b-c:requests_allowed" not in now and now,
                rig.WAIT_S)
        self.assertEqual((status["requests_allowed"], status["failed_connect_REFUSED"]), ("4", "2"))

    def test_metrics(self):
        daemon = self.start()
        self.use(daemon)
        done = daemon.run_cli(["status", "--openmetrics"])
        text = done.stdout.decode()
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(text.endswith("\n# EOF\n"))
        found = metrics.parse(text)
        wanted = {("requests_total", ("a.b-c", "allowed")): 3, ("requests_total", ("", "denied")): 1,
                  ("requests_total", ("second", "denied")): 0,
                  ("connections_total", ("a.b-c", "tcp")): 2,
                  ("connections_total", ("a.b-c", "relay")): 1,
                  ("relays_ended_total", ("a.b-c", "clean")): 1,
                  ("relay_sent_bytes_total", ("a.b-c",)): 100,
                  ("requests_failed_total", ("a.b-c", "connect", "REFUSED")): 1,
                  ("requests_failed_total", ("", "request", "BAD_TARGET")): 1,
                  ("sessions", ()): 1, ("relays", ()): 0, ("rules", ()): 2,
                  ("requests_in_flight", ()): 0}
        self.assertEqual({k: found.get(("fdial_" + k[0], k[1])) for k in wanted}, wanted)
        self.assertAlmostEqual(found["fdial_open_fds", ()], daemon.fd_count(), delta=3)
        self.assertGreaterEqual(found["fdial_uptime_seconds", ()], 0)
        self.assertEqual(sum(n for (name, _), n in found.items() if name == "fdial_build_info"), 1)
        metrics.check_with_promtool(text)

    def test_several_messages(self):
        """The text of many rules, whole and in order, with results between its pieces; to clients that
        read late, and to one that never does."""
        daemon = self.start_daemon("".join(
            rig.rule(f"r{i:04}{'-' * 40}", allow=f'"tcp://127.0.0.1:{i + 1}"') for i in range(N_RULES)))
        state = rig.State(daemon)
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for i in range(0, N_RULES, 7):
                s.connect("tcp://127.0.0.1:%d" % (i + 1))
            messages = s.status_messages(rig.u8(rig.FORMAT, 1))
            self.assertGreater(len(messages), 3)
            text = b"".join(b"".join(m.attributes[rig.TEXT]) for m in messages).decode()
            printed = daemon.run_cli(["status", "--openmetrics"]).stdout.decode()
            self.assertTrue(names_of(printed) == names_of(text), "order or number of lines differs")
            self.assertEqual(s.status()["rules"], str(N_RULES))
            for _ in range(20):
                s.send(rig.message(rig.STATUS, 5, rig.u8(rig.FORMAT, 1)))
                s.submit("no target")
            pieces, n_results = {}, 0
            while n_results < 20 or pieces.get("ends", 0) < 20:
                m = s.recv()
                if m.kind == rig.RESULT:
                    n_results += 1
                elif not m.number(rig.MORE):
                    pieces["ends"] = pieces.get("ends", 0) + 1
        found = metrics.parse(text)
        self.assertEqual(len([k for k in found if k[0] == "fdial_requests_total"]), 3 * (N_RULES + 1))
        metrics.check_with_promtool(text)
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            for _ in range(30):
                s.send(rig.message(rig.STATUS, 5, rig.u8(rig.FORMAT, 1)))
        state.check()

    def test_disclosure(self):
        """Counters are for root and the daemon's user."""
        fdialtest.need_root()
        daemon = self.start()

        def ask():
            with contextlib.closing(rig.Session(daemon.socket)) as s:
                text = b"".join(m.attributes[rig.TEXT][0] for m in s.status_messages(rig.u8(rig.FORMAT, 1)))
                return repr((sorted(s.status()), text.decode()))

        keys, text = eval(fdialtest.call_as(ask, uid=fdialtest.CLIENT_UID))  # pylint: disable=eval-used
        self.assertEqual([k for k in keys if not k.startswith("ktls_")],
                         ["ktls", "ring_entries", "ring_setsockopt", "seal", "uptime_seconds", "version",
                          "workers"])
        self.assertEqual({k[0] for k in metrics.parse(text)}, {"fdial_build_info", "fdial_uptime_seconds"})
        metrics.check_with_promtool(text)

    def test_usage(self):
        daemon = self.start()
        done = daemon.run_cli(["status", "--json", "--openmetrics"])
        self.assertEqual(done.returncode, 2, done.stderr)
        done = daemon.run_cli(["explain", "--openmetrics", self.target])
        self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    fdialtest.main()
