"""A daemon that has gone mad, against the command (tests/unit/test-client has the library alone): whatever it
says, the command ends in time with one line of its own, takes no connection that is none, and runs
nothing on it."""
# time-limit: 240
import contextlib
import os
import socket
import struct
import subprocess
import threading

import fdialtest
import rig
from rig import attr, message, u8, u16, u32

CIPHER, CERTIFICATE, MESSAGE_MAX, PENDING_MAX, COUNT_MAX = 41, 42, 3, 4, 5
TARGET = "tls://host.test:443"
PEER_ADDRESS = attr(rig.PEER, b"\4\0\x01\xbb\xc0\0\2\7")
GOOD = (u32(rig.CODE, 0), u8(rig.HANDOVER, rig.RELAY), PEER_ADDRESS)
WELCOME = message(rig.WELCOME, 0, u16(rig.VERSION, 1), attr(rig.SOFTWARE, "mad/1"),
                  u32(MESSAGE_MAX, 16384), u32(PENDING_MAX, 8), u32(COUNT_MAX, 4))


def head(kind, flags, length, ident):
    return struct.pack("<HHIQ", kind, flags, length, ident)


def result(ident, *attributes):
    return message(rig.RESULT, ident, *attributes)


def failure(ident, *attributes):
    return result(ident, u32(rig.CODE, 40), u8(rig.STAGE, 4), *attributes)


def explained(ident, *attributes):
    return message(rig.EXPLAINED, ident, *attributes)


# What is said to each question (and, of the first ones, to hello): [(bytes, number of descriptors)]. The
# id is that of the question.
NONSENSE = {
    "nothing but the end": lambda i: [],
    "an empty message": lambda i: [(b"", 0)],
    "an empty message with descriptors": lambda i: [(b"", 64)],
    "a byte": lambda i: [(b"\x82", 0)],
    "text": lambda i: [(b"HTTP/1.1 200 OK\r\n\r\n", 0)],
    "zeros": lambda i: [(bytes(64), 1)],
    "ones": lambda i: [(b"\xff" * 64, 1)],
    "a length too small": lambda i: [(head(rig.RESULT, 0, 15, i) + bytes(8), 1)],
    "a length too large": lambda i: [(head(rig.RESULT, 0, 0xFFFFFFFF, i) + bytes(8), 1)],
    "flags": lambda i: [(head(rig.RESULT, 0xFFFF, 16, i), 1)],
    "too long a message": lambda i: [(result(i, *GOOD, attr(0x8000, bytes(60000)),
                                             attr(0x8000, bytes(60000))), 1)],
    "a client's message": lambda i: [(message(rig.CONNECT, i, attr(rig.TARGET, "tcp://a:1")), 0)],
    "an unknown type": lambda i: [(message(0xFFFF, i), 0)],
    "an error": lambda i: [(message(rig.ERROR, 0, u32(rig.CODE, 0xFFFFFFFF)), 0)],
    "an error with descriptors": lambda i: [(message(rig.ERROR, 0, u32(rig.CODE, 7)), 3)],
}
ANSWERS = NONSENSE | {
    "a second welcome": lambda i: [(WELCOME, 0)],
    "another's result": lambda i: [(result(i ^ 1, *GOOD), 1)],
    "no descriptor": lambda i: [(result(i, *GOOD), 0)],
    "two descriptors": lambda i: [(result(i, *GOOD), 2)],
    "64 descriptors": lambda i: [(result(i, *GOOD), 64)],
    "250 descriptors": lambda i: [(result(i, *GOOD), 250)],
    "a descriptor for a failure": lambda i: [(failure(i), 1)],
    "no kind of hand-over": lambda i: [(result(i, u32(rig.CODE, 0)), 1)],
    "all kinds of hand-over": lambda i: [(result(i, u32(rig.CODE, 0), u8(rig.HANDOVER, 7)), 1)],
    "a kind that was not accepted": lambda i: [(result(i, u32(rig.CODE, 0), u8(rig.HANDOVER, 2)), 1)],
    "a result without a code": lambda i: [(result(i, u8(rig.HANDOVER, 4)), 1)],
    "a code of two bytes": lambda i: [(result(i, u16(rig.CODE, 0), u8(rig.HANDOVER, 4)), 1)],
    "two codes": lambda i: [(result(i, u32(rig.CODE, 0), *GOOD), 1)],
    "an attribute cut off": lambda i: [(head(rig.RESULT, 0, 22, i) + b"\x20\0\xff\xff\0\0", 1)],
    "an unknown attribute": lambda i: [(result(i, *GOOD, attr(0x7FFF, "x")), 1)],
    "an address of no family": lambda i: [(result(i, *GOOD[:2], attr(rig.PEER, b"\x09\0\0\1")), 1)],
    "NUL in a text": lambda i: [(result(i, *GOOD, attr(CIPHER, b"a\0b")), 1)],
    "unknown numbers": lambda i: [(result(i, u32(rig.CODE, 0xFFFFFFFF), u8(rig.STAGE, 255), u8(rig.HOP, 255),
                                          u32(rig.ERRNO, 0xFFFFFFFF)), 0)],
    "an unprintable detail": lambda i: [(failure(i, attr(rig.DETAIL, b"\x1b[2J\r\n\xff" * 30)), 0)],
    "a thousand relays' ends": lambda i: [(message(rig.ENDED, n, u8(rig.END, 1)), 0) for n in range(1000)],
    "an explanation with descriptors": lambda i: [(explained(i, u32(rig.CODE, 0)), 2)],
    "an explanation of a denial": lambda i: [(explained(i, u32(rig.CODE, 20),
                                                        attr(rig.DETAIL, b"\x1b]0;x\x07")), 0)],
    "a status with descriptors": lambda i: [(message(rig.STATUS_REPLY, i, attr(rig.STAT, "a=b")), 2)],
    "a status without an end": lambda i: [(message(rig.STATUS_REPLY, i, attr(rig.TEXT, bytes(60000)),
                                                   u8(rig.MORE, 1)), 0)] * 600,
    "a status that is cut off": lambda i: [(head(rig.STATUS_REPLY, 0, 19, i) + b"\x3a\0\x01", 0)],
}


# What is said to the question whether $FDIAL_FD is a grant. An error alone may be about what others asked.
OPENED = NONSENSE | {
    "no descriptor and nobody there": lambda i: [(message(rig.OPENED, 0, u32(rig.CODE, 0)), 0)],
    "what is no session": lambda i: [(message(rig.OPENED, 0, u32(rig.CODE, 0)), 1)],
    "two sessions": lambda i: [(message(rig.OPENED, 0, u32(rig.CODE, 0)), 2)],
    "250 sessions": lambda i: [(message(rig.OPENED, 0, u32(rig.CODE, 0)), 250)],
    "a refusal with a session": lambda i: [(message(rig.OPENED, 0, u32(rig.CODE, 20)), 1)],
    "an opening without a code": lambda i: [(message(rig.OPENED, 0), 1)],
    "a welcome": lambda i: [(WELCOME, 0)],
    "a grant": lambda i: [(message(rig.GRANTED, 0, u32(rig.CODE, 0)), 1)],
}


class MadDaemon:
    """Says `self.hello` to hello and `self.answer` to all else, then hangs up."""

    def __init__(self, path):
        self.hello, self.answer = lambda i: [(WELCOME, 0)], None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                session, _ = self._listener.accept()
                with session, contextlib.suppress(OSError):
                    self._serve(session)

    def inherited(self):
        """The other end of a pair: for $FDIAL_FD."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def serve():
            with ours, contextlib.suppress(OSError):
                self._serve(ours)

        threading.Thread(target=serve, daemon=True).start()
        return theirs

    def _serve(self, session):
        session.settimeout(rig.WAIT_S)
        # The client's hello need not have come when it gives up: who hangs up with it unread resets.
        for say in (self.hello, self.answer):
            data = session.recv(65536)
            if not data or say is None:
                return
            ident = int.from_bytes(data[8:16], "little")
            messages = say(ident)
            if not messages:
                return
            for said, n_fds in messages:
                with open("/dev/null", "rb") as null:
                    socket.send_fds(session, [said], [null.fileno()] * n_fds)

    def stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class HostileDaemon(rig.Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory(), "s")
        self.daemon = self.serve(MadDaemon(self.path))
        self.mark = os.path.join(self.directory(), "mark")
        self.commands = (["connect", TARGET], ["check", "--json", TARGET], ["explain", TARGET], ["status"],
                         ["status", "--openmetrics"],
                         ["exec", TARGET, "--", "touch", self.mark], ["fdpass", "host.test", "22"])

    def run_all(self, *, is_inherited=False):
        """Each command ends with an error of its own. fdpass says so on a socket, for it has to be one."""
        for command, *rest in self.commands:
            ours, theirs = socket.socketpair()
            inherited = self.daemon.inherited() if is_inherited else socket.socket()
            env = {"FDIAL_FD": str(inherited.fileno())} if is_inherited else {"FDIAL_SOCKET": self.path}
            with self.subTest(command), ours, theirs, inherited:
                process = fdialtest.popen(
                    [fdialtest.program("fdial"), command, *rest], env=fdialtest.built_environment(env),
                    pass_fds=[inherited.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    stdout=theirs if command == "fdpass" else subprocess.DEVNULL)
                theirs.close()
                err = process.communicate(timeout=fdialtest.CLI_TIMEOUT_S)[1].decode("ascii")
                self.assertIn(process.returncode, range(1, 8), err)
                self.assertRegex(err, r"\Afdial: [ -~]+\n\Z")
                if command == "fdpass":
                    self.assertEqual(ours.recv(10), b"")
        self.assertFalse(os.path.exists(self.mark), "the command was run")

    def test_after_hello(self):
        for what, self.daemon.hello in NONSENSE.items():
            with self.subTest(what):
                self.run_all()

    def test_answers(self):
        for what, self.daemon.answer in ANSWERS.items():
            with self.subTest(what):
                self.run_all()

    def test_inherited(self):
        for what, self.daemon.hello in OPENED.items():
            with self.subTest(what):
                self.run_all(is_inherited=True)

    def test_no_answer(self):
        """Within --timeout and a little, or what the library allows for a question."""
        is_over = threading.Event()
        self.addCleanup(is_over.set)
        self.daemon.answer = lambda i: is_over.wait(4 * rig.WAIT_S) and []
        for command, *rest in self.commands[:1] + self.commands[2:3]:
            done = fdialtest.run_cli([command, *rest, *(["--timeout", "1"] if command == "connect" else [])],
                                     env={"FDIAL_SOCKET": self.path})
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr.decode(), r"\Afdial: [ -~]+\n\Z")


if __name__ == "__main__":
    fdialtest.main()
