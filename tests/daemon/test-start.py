#!/usr/bin/env python3
"""How the daemon starts, and what it says when it cannot."""
import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess

import fdialtest

RULE = 'rule "r" { client = { "uid:12345", "uid:0" } allow = { "tcp://*:*" } addresses = "loopback" }\n'

SYS_IO_URING_SETUP = 425
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000


def forbid_io_uring(errno):
    """A filter as a container's seccomp profile has it: io_uring_setup fails with errno."""
    program = b"".join(struct.pack("HBBI", *i) for i in [
        (0x20, 0, 0, 0),                    # load the system call's number
        (0x15, 0, 1, SYS_IO_URING_SETUP),   # unless it is this one, skip one
        (0x06, 0, 0, RET_ERRNO | errno),
        (0x06, 0, 0, RET_ALLOW),
    ])
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


class Start(fdialtest.Case):
    def run_daemon(self, *args, preexec=None, env=None):
        """For starts that end by themselves."""
        return subprocess.run([fdialtest.program("fdiald"), *args], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, preexec_fn=preexec, timeout=60,
                              env=fdialtest.built_environment(env))

    def config(self, text=RULE):
        path = os.path.join(self.directory(), "fdiald.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def test_io_uring_forbidden(self):
        for errno, words in ((1, ["io_uring_disabled", "seccomp"]), (38, ["Linux 6.1", "seccomp"])):
            path = os.path.join(self.directory(), "s.sock")
            done = self.run_daemon("--config", self.config(), "--socket", path,
                                   preexec=lambda errno=errno: forbid_io_uring(errno))
            self.assertEqual(done.returncode, 1, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertFalse(os.path.exists(path), "the socket was left behind")

    def test_little_locked_memory(self):
        """RLIMIT_MEMLOCK is charged on some kernels only; either way it works or says what to do."""
        fdialtest.need_root()
        limit = (256 * 1024, 256 * 1024)
        old = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        directory = self.directory()
        os.chown(directory, fdialtest.CLIENT_UID, fdialtest.CLIENT_UID)
        path = os.path.join(directory, "s.sock")
        config = self.config()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit[0], old[1]))
        try:
            process = fdialtest.popen([fdialtest.program("fdiald"), "--config", config, "--socket", path],
                                      uid=fdialtest.CLIENT_UID, stderr=subprocess.PIPE, text=True,
                                      env=fdialtest.built_environment())
        finally:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, old)
        try:
            def status():
                return fdialtest.run_cli(["status"], env={"FDIAL_SOCKET": path}).stdout

            fdialtest.wait_until(lambda: process.poll() is not None or b"ring_entries=" in status(),
                                 fdialtest.START_TIMEOUT_S)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=fdialtest.STOP_TIMEOUT_S)
            if process.returncode != 0:
                self.assertIn("RLIMIT_MEMLOCK", said)
        finally:
            process.kill()
            process.wait()

    def test_usage(self):
        for args in (["--nonsense"], ["extra"], ["--log-level", "loud"], ["--config"]):
            done = self.run_daemon(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn("fdiald --help", done.stderr)
        done = self.run_daemon("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^fdiald \d+\.\d+\.\d+\n$")
        self.assertIn("--check-config", self.run_daemon("--help").stdout)

    def test_check_config(self):
        done = self.run_daemon("--check-config", "--config", self.config())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("no error, rules: 1", done.stdout)
        path = self.config(RULE + '\ntls "any" {\n  verify = "off"\n}\n')
        done = self.run_daemon("--check-config", "--config", path)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, path + r":\d+: certificates are not verified")
        path = self.config("workers = 1\n")
        done = self.run_daemon("--check-config", "--config", path)
        self.assertEqual((done.returncode, done.stdout), (0, f"{path}: no error, rules: 0\n"))
        self.assertRegex(done.stderr, f"^fdiald: no rules, so every request is denied: write some to {path},")
        path = self.config(RULE + "\nrule broken {\n")
        done = self.run_daemon("--check-config", "--config", path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^fdiald: " + path + r":\d+: ")
        done = self.run_daemon("--check-config", "--config", "/nonexistent/fdiald.conf")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/fdiald.conf", done.stderr)

    def test_socket_activation(self):
        """As systemd does it: the default socket and a named one, which a rule asks for."""
        echo = self.serve(fdialtest.Echo())
        target = f"tcp://127.0.0.1:{echo.port}"
        daemon = self.start_daemon(
            f'rule "a" {{ client = "uid:{os.getuid()}" socket = "agents" allow = "{target}"'
            ' addresses = "loopback" }\n', listeners=["fdial", "agents"])
        denied = daemon.run_cli(["connect", target], input=b"x")
        self.assertEqual(denied.returncode, 4)
        done = daemon.run_cli(["connect", "--socket", daemon.sockets["agents"], target], input=b"x")
        self.assertEqual((done.returncode, done.stdout), (0, b"x"))

    def test_several_at_once(self):
        """On a socket that is left over: one gets it, the others say so and end."""
        path, config = os.path.join(self.directory(), "s.sock"), self.config()
        for _ in range(5):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.bind(path)
            daemons = [fdialtest.popen([fdialtest.program("fdiald"), "--config", config, "--socket", path],
                                       env=fdialtest.built_environment(), stderr=subprocess.DEVNULL)
                       for _ in range(4)]
            try:
                fdialtest.wait_until(lambda: sum(d.poll() is None for d in daemons) == 1,
                                     fdialtest.START_TIMEOUT_S, "the end of all but one")
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                    s.connect(path)
            finally:
                for d in daemons:
                    d.terminate()
                    d.wait()
            self.assertFalse(os.path.exists(path))

    def test_passed_socket_of_another_kind(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(os.path.join(self.directory(), "stream.sock"))
        listener.listen()

        def pass_it():
            os.dup2(listener.fileno(), 3)
            os.environ["LISTEN_PID"] = str(os.getpid())

        done = subprocess.run(
            ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", fdialtest.program("fdiald"),
             "--config", self.config()], preexec_fn=pass_it, pass_fds=[3], capture_output=True,
            text=True, timeout=60, env=fdialtest.built_environment())
        listener.close()
        self.assertEqual(done.returncode, 1)
        self.assertIn("ListenSequentialPacket=", done.stderr)


if __name__ == "__main__":
    fdialtest.main()
