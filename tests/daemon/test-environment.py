"""The environment lies: $FDIAL_FD, $FDIAL_SOCKET and $XDG_RUNTIME_DIR that name nothing, something else, or
somebody who only plays the daemon; and a setuid program, whose environment is its caller's."""
# time-limit: 180
import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading

import fdialtest
import rig
from rig import attr, message, u8, u16, u32

NO_DAEMON = 3
STRANGER = 12346  # of nobody whom a client believes
CIPHER, MESSAGE_MAX, PENDING_MAX, COUNT_MAX = 41, 3, 4, 5
SYSTEM_FOLDER = "/run/fdial"
UNUSABLE = r"\$FDIAL_FD does not name a grant or a socket of the daemon"
SECRET = b"from the impostor"


@contextlib.contextmanager
def acting_as(uid):
    """Sockets that listen or are paired now are this user's to those who ask the kernel."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


class Impostor:
    """Speaks the protocol to the letter, and says that everything is connected and verified."""

    def __init__(self, uid, *, path=None):
        self.n_spoken_to = 0
        self._connections = []
        self._listener = None
        if not path:
            with acting_as(uid):
                self.client, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._start(self._serve, ours)
            return
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        os.chmod(path, 0o666)
        with acting_as(uid):
            self._listener.listen(16)
        self._start(self._accept)

    @staticmethod
    def _start(call, *args):
        threading.Thread(target=call, args=args, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, session):
        with session, contextlib.suppress(OSError):
            while data := session.recv(65536):
                self.n_spoken_to += 1
                self._answer(session, int.from_bytes(data[:2], "little"),
                             int.from_bytes(data[8:16], "little"))

    def _answer(self, session, kind, ident):
        if kind == rig.HELLO:
            session.send(message(rig.WELCOME, 0, u16(rig.VERSION, 1), attr(rig.SOFTWARE, "fdiald/1"),
                                 u32(MESSAGE_MAX, 16384), u32(PENDING_MAX, 8), u32(COUNT_MAX, 4)))
        elif kind == rig.OPEN:
            session.send(message(rig.OPENED, 0, u32(rig.CODE, 0)))  # no grant: a session
        elif kind == rig.CONNECT:
            ours, theirs = socket.socketpair()
            ours.sendall(SECRET)
            self._connections.append(ours)
            socket.send_fds(session, [message(
                rig.RESULT, ident, u32(rig.CODE, 0), u8(rig.HANDOVER, rig.RELAY),
                attr(rig.PEER, b"\4\0\x01\xbb\xc0\0\2\7"), u16(rig.TLS_VERSION, 0x304),
                attr(CIPHER, "TLS_AES_128_GCM_SHA256"))], [theirs.fileno()])
            theirs.close()
        elif kind == rig.STATUS:
            session.send(message(rig.STATUS_REPLY, ident, attr(rig.STAT, SECRET)))

    def stop(self):
        for s in self._connections:
            s.close()
        if not self._listener:
            self.client.close()
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def built_client(folder):
    """In a place that everybody can read."""
    return shutil.copy(f"{fdialtest.BUILDDIR}/tests/daemon/setuid-client", folder)


class Environment(rig.Case):
    def setUp(self):
        super().setUp()
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"
        self.daemon = self.start_daemon("workers = 1\n" + rig.rule(
            client=rig.strings(f"uid:{rig.UID}", f"uid:{fdialtest.CLIENT_UID}")))

    @staticmethod
    def outcome(argv, env, fd, uid, cwd):
        process = fdialtest.popen(argv, env=fdialtest.built_environment(env), uid=uid, cwd=cwd,
                                  pass_fds=[] if fd is None else [fd], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(b"hello", fdialtest.CLI_TIMEOUT_S)
        return process.returncode, out.decode(), err.decode()

    def outcomes(self, env, fd=None, uid=None, cwd="/"):
        """Of the command, and of a program on the library."""
        return (self.outcome([fdialtest.program("fdial"), "connect", self.target], env, fd, uid, cwd),
                self.outcome([built_client(fdialtest.published()[0]), self.target], env, fd, uid, cwd))

    def assert_refused(self, env, pattern, error, **kwargs):
        """Nothing else is tried: neither the socket that the environment names besides, nor the user's."""
        n_before = self.n_sessions()
        command, library = self.outcomes(env, **kwargs)
        self.assertEqual(command[:2], (NO_DAEMON, ""), command)
        self.assertRegex(command[2], rf"\Afdial: {self.target}: daemon: [^\n]*{pattern}[^\n]*\n\Z")
        self.assertEqual(library, (1, f"ordinary\n{error}\n", ""))
        self.assertEqual(self.n_sessions(), n_before + 1)  # this one's own
        self.assertEqual(self.origin.accepted, 0)

    def n_sessions(self):
        return int(rig.status(self.daemon)["sessions"])

    def users_folder(self):
        """An $XDG_RUNTIME_DIR where the real daemon's socket is the user's."""
        folder = self.directory()
        os.mkdir(f"{folder}/fdial", 0o755)
        os.symlink(self.daemon.socket, f"{folder}/fdial/fdial.sock")
        return folder

    def test_what_is_right(self):
        """The ways that the others spoil."""
        folder = self.users_folder()
        for env in ({"FDIAL_SOCKET": self.daemon.socket}, {"XDG_RUNTIME_DIR": folder},
                    {"FDIAL_SOCKET": self.daemon.socket, "XDG_RUNTIME_DIR": "/nonexistent"}):
            self.assertEqual(self.outcomes(env), ((0, "hello", ""), (0, "ordinary\nhello\n", "")), env)

    def test_fd_that_is_no_number(self):
        others = {"FDIAL_SOCKET": self.daemon.socket, "XDG_RUNTIME_DIR": self.users_folder()}
        for text in ("", "x", "-1", "-2147483648", "+3", " 3", "3 ", "3x", "0x3", "3.0", "3\n", "1e1",
                     "2147483647", "2147483648", "4294967299", "18446744073709551619", "9" * 5000,
                     "99", "\u0663"):
            with self.subTest(text[:30]):
                self.assert_refused({"FDIAL_FD": text, **others}, UNUSABLE, "EBADF")

    def test_fd_of_something_else(self):
        with contextlib.ExitStack() as stack:
            def made(family, kind):
                return stack.enter_context(socket.socket(family, kind))

            def pair(kind):
                return [stack.enter_context(s) for s in socket.socketpair(socket.AF_UNIX, kind)][0]

            path = os.path.join(self.directory(), "s")
            listening, connected = made(socket.AF_UNIX, socket.SOCK_SEQPACKET), made(
                socket.AF_INET, socket.SOCK_STREAM)
            listening.bind(path)
            listening.listen()
            connected.connect(("127.0.0.1", self.serve(fdialtest.Mute()).port))
            r, w = os.pipe()
            stack.callback(os.close, r)
            stack.callback(os.close, w)
            things = {
                "file": stack.enter_context(tempfile.TemporaryFile()), "pipe": r, "its other end": w,
                "/dev/null": stack.enter_context(open("/dev/null", "r+b", buffering=0)),
                "folder": os.open("/", os.O_RDONLY | os.O_PATH), "listener": listening,
                "stream pair": pair(socket.SOCK_STREAM), "datagram pair": pair(socket.SOCK_DGRAM),
                "unconnected": made(socket.AF_UNIX, socket.SOCK_SEQPACKET), "tcp": connected,
                "udp": made(socket.AF_INET, socket.SOCK_DGRAM),
                "pidfd": os.pidfd_open(os.getpid()), "memfd": os.memfd_create("x"),
            }
            for what, thing in things.items():
                fd = thing if isinstance(thing, int) else thing.fileno()
                if what in ("folder", "pidfd", "memfd"):
                    stack.callback(os.close, fd)
                with self.subTest(what):
                    self.assert_refused({"FDIAL_FD": str(fd), "FDIAL_SOCKET": self.daemon.socket}, UNUSABLE,
                                        "EBADF", fd=fd)

    def test_fd_of_nobody(self):
        """Of the right kind: its other end is closed, or says something else."""
        for what, said, pattern, error in (
                ("closed", None, r"no daemon at \$FDIAL_FD; a grant ends with its daemon", "ENOTCONN"),
                ("empty", b"", r"no daemon at \$FDIAL_FD", "ENOTCONN"),
                ("text", b"220 mx ESMTP\r\n", "does not speak fdial's protocol", "EPROTO"),
                ("long", bytes(65536), "does not speak fdial's protocol", "EPROTO")):
            with self.subTest(what):
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                for _ in range(2):
                    if said is not None:
                        ours.send(said)
                if said is None:
                    ours.close()
                self.assert_refused({"FDIAL_FD": str(theirs.fileno()), "FDIAL_SOCKET": self.daemon.socket},
                                    pattern, error, fd=theirs.fileno())
                ours.close()
                theirs.close()

    def test_fd_of_an_impostor(self):
        fdialtest.need_root()
        impostor = self.serve(Impostor(STRANGER))
        fd = impostor.client.fileno()
        self.assert_refused({"FDIAL_FD": str(fd), "FDIAL_SOCKET": self.daemon.socket}, "not trusted", "EPERM",
                            fd=fd, uid=fdialtest.CLIENT_UID)
        self.assertEqual(impostor.n_spoken_to, 0)

    def test_sockets_that_are_none(self):
        folder = self.directory()
        os.mkfifo(f"{folder}/fifo", 0o666)
        with open(f"{folder}/file", "wb"):
            pass
        for name, kind in (("stream", socket.SOCK_STREAM), ("dgram", socket.SOCK_DGRAM),
                           ("stale", socket.SOCK_SEQPACKET)):
            s = socket.socket(socket.AF_UNIX, kind)
            s.bind(f"{folder}/{name}")
            if name == "stale":
                s.close()
            else:
                self.addCleanup(s.close)
            if name == "stream":
                s.listen()
        os.symlink("loop", f"{folder}/loop")
        others = {"XDG_RUNTIME_DIR": self.users_folder()}
        for error, pattern, *paths in (
                ("ENOTCONN", "no daemon at", f"{folder}/fifo", f"{folder}/file", "/dev/null", "/",
                 f"{folder}/stale", f"{folder}/none", f"{folder}/file/x", "relative.sock", "@abstract"),
                ("ENOTCONN", r"no daemon at \\x1b\[2J", "\x1b[2J"),
                ("EPROTO", "does not speak fdial's protocol", f"{folder}/stream", f"{folder}/dgram"),
                ("ELOOP", "symbolic links", f"{folder}/loop"), ("EINVAL", "is empty", ""),
                ("ENAMETOOLONG", "longer than 107 bytes", "/" + 107 * "x", "x" * 100000)):
            for path in paths:
                with self.subTest(path[:40]):
                    self.assert_refused({"FDIAL_SOCKET": path, **others}, pattern, error)

    def test_socket_of_an_impostor(self):
        fdialtest.need_root()
        folder = self.directory()
        os.chmod(folder, 0o777)
        os.mkdir(f"{folder}/fdial")
        impostor = self.serve(Impostor(STRANGER, path=f"{folder}/fdial/fdial.sock"))
        for env in ({"FDIAL_SOCKET": f"{folder}/fdial/fdial.sock"}, {"XDG_RUNTIME_DIR": folder}):
            for uid in (0, fdialtest.CLIENT_UID):
                with self.subTest(env, uid=uid):
                    self.assert_refused(env, "not trusted", "EPERM", uid=uid)
        self.assertEqual(impostor.n_spoken_to, 0)

    def test_runtime_folder(self):
        """One that cannot be a runtime folder is none; the system's socket is next."""
        if os.path.exists(SYSTEM_FOLDER):
            fdialtest.skip("there is a daemon on this machine")
        folder = self.users_folder()
        for value, cwd in (("", "/"), ("relative", "/"), (".", folder), ("/nonexistent", "/"),
                           ("/" + "x" * 5000, "/"), ("/dev/null", "/")):
            with self.subTest(value[:30]):
                self.assert_refused({"XDG_RUNTIME_DIR": value}, f"no daemon at {SYSTEM_FOLDER}/fdial.sock",
                                    "ENOTCONN", cwd=cwd)


class UserNamespace(rig.Case):
    """A client in a user namespace of its own, where the daemon's user is not mapped, with a system's folder
    that the test made."""

    def setUp(self):
        super().setUp()
        fdialtest.need_root()
        fdialtest.need_command("setpriv")
        fdialtest.need_mounts()
        self.folder = self.directory()
        os.mkdir(f"{self.folder}/system")
        self.origin = self.serve(fdialtest.Echo())
        self.setpriv = [fdialtest.find_command("setpriv"), f"--reuid={fdialtest.CLIENT_UID}",
                        f"--regid={fdialtest.CLIENT_UID}", "--clear-groups"]
        if self.run_there("unshare", "-U", "true").returncode != 0:
            fdialtest.skip("no user namespaces for users here")

    def run_there(self, *argv):
        script = f'mount -t tmpfs none /run && mkdir {SYSTEM_FOLDER} && ' \
            f'mount --bind {self.folder}/system {SYSTEM_FOLDER} && exec "$@"'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *self.setpriv, *argv], check=False,
                              capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, cwd="/",
                              timeout=rig.WAIT_S, stdin=subprocess.DEVNULL)

    def test_folder_of_the_system(self):
        """As systemd-tmpfiles makes it the daemon's group may add to it; nobody else may, nor replace."""
        daemon = self.start_daemon("workers = 1\n" + rig.rule(client=f'"uid:{fdialtest.CLIENT_UID}"'))
        os.link(daemon.socket, f"{self.folder}/system/fdial.sock")
        program = built_client(self.folder)
        for mode, answer in ((0o755, "hello"), (0o1775, "hello"), (0o775, "EPERM"), (0o1777, "EPERM")):
            with self.subTest(oct(mode)):
                os.chmod(f"{self.folder}/system", mode)
                done = self.run_there("unshare", "-U", program, f"tcp://127.0.0.1:{self.origin.port}")
                self.assertEqual(done.stdout.split("\n")[:-1], ["ordinary", answer], done.stderr)


class Setuid(rig.Case):
    """A program of user OWNER (or root) that STRANGER runs, with an environment of his making. The system's
    folder is one of the test's own, over /run, for the program alone."""

    OWNER = fdialtest.CLIENT_UID

    def setUp(self):
        super().setUp()
        fdialtest.need_root()
        fdialtest.need_command("setpriv")
        fdialtest.need_mounts()
        self.folder = self.directory()
        if os.statvfs(self.folder).f_flag & os.ST_NOSUID:
            fdialtest.skip("setuid programs do not work in this folder")
        self.system, self.own = f"{self.folder}/system", f"{self.folder}/own"
        for path in (self.system, self.own, f"{self.own}/fdial"):
            os.mkdir(path, 0o755)
        self.impostor = self.serve(Impostor(STRANGER, path=f"{self.own}/fdial/fdial.sock"))
        pair = self.serve(Impostor(STRANGER))
        self.fd = pair.client.fileno()
        self.impostors = (self.impostor, pair)
        self.hostile = [{"FDIAL_SOCKET": f"{self.own}/fdial/fdial.sock"}, {"XDG_RUNTIME_DIR": self.own},
                        {"FDIAL_FD": str(self.fd)}, {"FDIAL_FD": "x", "FDIAL_SOCKET": ""}]
        self.origin = self.serve(fdialtest.Echo())
        self.target = f"tcp://127.0.0.1:{self.origin.port}"

    def program(self, owner):
        path = built_client(self.folder)
        os.chown(path, owner, owner)
        os.chmod(path, 0o4755)
        self.assertTrue(os.stat(path).st_mode & stat.S_ISUID)
        return path

    def run_as(self, uid, program, env):
        script = f'mount -t tmpfs none /run && mkdir {SYSTEM_FOLDER} && ' \
            f'mount --bind {self.system} {SYSTEM_FOLDER} && exec "$@"'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", fdialtest.find_command("setpriv"), f"--reuid={uid}",
             f"--regid={uid}", "--clear-groups", program, self.target], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], **env}, pass_fds=[self.fd], timeout=rig.WAIT_S, check=False,
            stdin=subprocess.DEVNULL, cwd="/")
        return done.stdout.split("\n")[:-1] or done

    def assert_answers(self, uid, program, answer):
        for env in self.hostile:
            with self.subTest(env, program=program):
                self.assertEqual(self.run_as(uid, program, env), ["secure", answer])
        self.assertEqual([i.n_spoken_to for i in self.impostors], [0, 0])

    def test_environment_is_ignored(self):
        daemon = self.start_daemon("workers = 1\n" + rig.rule(client=rig.strings(
            f"uid:{self.OWNER}", "uid:0")))
        for owner in (self.OWNER, 0):
            self.assert_answers(STRANGER, self.program(owner), "ENOTCONN")  # there is none yet
        os.link(daemon.socket, f"{self.system}/fdial.sock")
        for owner in (self.OWNER, 0):
            self.assert_answers(STRANGER, self.program(owner), "hello")

    def test_only_the_right_daemon_is_believed(self):
        """Somebody got his socket to the system's place: the caller himself, or a third one."""
        for uid in (STRANGER, STRANGER + 1, 65534):
            impostor = self.serve(Impostor(uid, path=f"{self.system}/fdial.sock"))
            for owner in (self.OWNER, 0):
                self.assert_answers(STRANGER, self.program(owner), "EPERM")
            self.assertEqual(impostor.n_spoken_to, 0)
            os.unlink(f"{self.system}/fdial.sock")

    def test_without_the_bit_the_caller_is_believed(self):
        """What the others rely on: here the environment does lead to the impostor."""
        program = self.program(self.OWNER)
        os.chmod(program, 0o755)
        for env in self.hostile[:3]:
            self.assertEqual(self.run_as(STRANGER, program, env), ["ordinary", SECRET.decode()])
        self.assertEqual(self.run_as(STRANGER, program, self.hostile[3]), ["ordinary", "EBADF"])


if __name__ == "__main__":
    fdialtest.main()
