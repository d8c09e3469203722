#!/usr/bin/env python3
# time-limit: 120
"""The daemon under memcheck: its start, requests of each kind and each outcome, its end."""
import os
import shutil

import fdialtest

# The start alone takes seconds.
fdialtest.START_TIMEOUT_S = fdialtest.STOP_TIMEOUT_S = fdialtest.CLI_TIMEOUT_S = 100

ERRORS = 99
OPTIONS = ["--quiet", f"--error-exitcode={ERRORS}", "--leak-check=full", "--num-callers=30",
           "--errors-for-leak-kinds=definite,indirect,possible",
           f"--suppressions={fdialtest.SRCDIR}/tests/valgrind/valgrind.supp"]


class Memcheck(fdialtest.Case):
    def start(self, authority):
        config = f"""
            workers = 1
            tls "test" {{ ca-file = "{authority.certificate}" }}
            rule "test" {{
              client    = {{ "uid:{os.getuid()}" }}
              allow     = {{ "tcp://localhost:*", "https://localhost:*" }}
              addresses = {{ "loopback" }}
              tls       = "test"
            }}"""
        shutil.copy(f"{fdialtest.BUILDDIR}/tests/valgrind/fdiald", fdialtest.program("fdiald"))
        return self.start_daemon(config, wrapper=["valgrind", *OPTIONS])

    def expect(self, daemon, target, status, output=b"", given=b""):
        with self.subTest(target):
            done = daemon.run_cli(["connect", target], input=given)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertTrue(done.stdout == output, f"{len(done.stdout)} bytes, not the expected")

    def test_requests(self):
        fdialtest.need_command("valgrind")
        authority, stranger = fdialtest.Authority(), fdialtest.Authority()
        echo = self.serve(fdialtest.Echo())
        tls = self.serve(fdialtest.Tls(*authority.issue()))
        untrusted = self.serve(fdialtest.Tls(*stranger.issue()))
        garbage = self.serve(fdialtest.Garbage())
        closed = fdialtest.Closed()
        mute = self.serve(fdialtest.Mute())
        data = os.urandom(100_000)
        daemon = self.start(authority)
        for _ in range(2):
            self.expect(daemon, f"tcp://localhost:{echo.port}", 0, data, data)
            self.expect(daemon, f"https://localhost:{tls.port}", 0, data, data)
        self.expect(daemon, f"https://localhost:{untrusted.port}", 5)
        self.expect(daemon, f"https://localhost:{garbage.port}", 1)
        self.expect(daemon, f"tcp://localhost:{closed.port}", 1)
        self.expect(daemon, f"tcp://no-such-host.invalid:{echo.port}", 4)
        done = daemon.run_cli(["connect", "--timeout", "1", f"https://localhost:{mute.port}"])
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertEqual(daemon.run_cli(["status"]).returncode, 0)
        self.assertEqual(daemon.run_cli(["explain", "https://localhost"]).returncode, 0)
        daemon.reload()
        daemon.wait_log("configuration reloaded")
        self.expect(daemon, f"https://localhost:{tls.port}", 0, data, data)
        daemon.stop()
        self.assertNotIn(f"=={daemon.pid}==", daemon.log())


if __name__ == "__main__":
    fdialtest.main()
