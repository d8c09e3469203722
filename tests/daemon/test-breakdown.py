#!/usr/bin/env python3
"""io_uring fails for good while requests and relays are under way: the daemon says so and ends, without
waiting for or tidying up what only the ring could end."""
import contextlib
import os

import fdialtest
import rig


class Breakdown(rig.Case):
    def break_down(self, workers):
        if fdialtest.IS_SLOW:
            fdialtest.skip("sanitizers want to be loaded first")
        broken = os.path.join(self.directory(), "broken")
        shim = os.path.join(fdialtest.BUILDDIR, "tests/daemon/.libs/break-ring.so")
        echo, mute = self.serve(fdialtest.Echo()), self.serve(fdialtest.Mute())
        daemon = self.start_daemon(f'workers = {workers}\ndrain-timeout = "1"\n' + rig.rule(),
                                   env={"LD_PRELOAD": shim, "BREAK_RING": broken})
        s = rig.Session(daemon.socket)
        self.addCleanup(s.close)
        fd, = s.connect(f"tcp://127.0.0.1:{echo.port}", handover=rig.RELAY).fds
        self.addCleanup(os.close, fd)
        s.submit(f"tls://127.0.0.1:{mute.port}")
        self.assertIn("version", s.status())
        with open(broken, "w", encoding="utf-8"):
            os.write(fd, b"x")
        self.assertEqual(daemon.process.wait(rig.WAIT_S), 1, daemon.log())
        daemon.stop(expected_status=1)
        said = daemon.log().count("io_uring broke down: Bad file descriptor; the daemon ends")
        self.assertIn(said, range(1, workers + 1), daemon.log())
        self.assertNotIn("ssertion", daemon.log())
        self.assertFalse(os.path.exists(daemon.socket))
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(os.read(fd, 10), b"")

    def test_the_only_worker(self):
        self.break_down(1)

    def test_one_of_two(self):
        self.break_down(2)


if __name__ == "__main__":
    fdialtest.main()
