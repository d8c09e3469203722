"""Another user who asks one thing over and over, in several sessions, with several questions under way
in each; in a process of its own, which lives until told to stop."""
import array
import os
import select
import socket
import sys
import traceback

import fdialtest
import rig

SESSIONS = 64
WINDOW = 8  # answers under way in each


def _patterns(n):
    return [rig.attr(rig.PATTERN, f"https://host-{i:03}.a-name-of-some-length-{i:03}.example.org")
            for i in range(n)]


_DENIED = rig.attr(rig.TARGET, "tcp://192.0.2.1:9")
_QUESTIONS = {  # as long as may be, where that costs more
    "cancel": lambda i: [rig.message(rig.CANCEL, i)] * 8 + [rig.message(rig.CONNECT, i, _DENIED)],
    "connect": lambda i: [rig.message(rig.CONNECT, i, _DENIED)],
    "explain": lambda i: [rig.message(rig.EXPLAIN, i, _DENIED)],
    "grant": lambda i: [rig.message(rig.GRANT, i, *_GRANTED)],
    "open": lambda i: [rig.message(rig.OPEN, i)],
    "status": lambda i: [rig.message(rig.STATUS, i, rig.u8(rig.FORMAT, 1))],
}
_GRANTED = _patterns(250)
KINDS = tuple(_QUESTIONS)  # cancel has no answers: after some there is something that has


class _Asker:
    def __init__(self, path, kind):
        session = rig.Session(path)
        if kind == "open":
            session = session.grant("tcp://127.0.0.1:*")
        self.socket = session.socket
        self.socket.setblocking(False)
        self.questions, self.unsent = _QUESTIONS[kind], []
        self.n_asked = self.n_answered = 0

    def ask(self, left):
        """Up to `left` more, as many as there is room for; returns how many."""
        before = self.n_asked
        try:
            while self.unsent or (self.n_asked - self.n_answered < WINDOW and self.n_asked - before < left):
                if not self.unsent:
                    self.n_asked += 1
                    self.unsent = self.questions(self.n_asked)
                self.socket.send(self.unsent[0])
                self.unsent = self.unsent[1:]
        except BlockingIOError:
            pass
        return self.n_asked - before

    def take(self):
        """What is there, a whole window at most: its number."""
        before = self.n_answered
        try:
            while self.n_answered - before < WINDOW:
                data, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16))
                if not data:
                    raise EOFError("the flood's session was closed")
                for _, _, value in control:
                    for fd in array.array("i", value[:4]):
                        os.close(fd)
                self.n_answered += 1
        except BlockingIOError:
            pass
        return self.n_answered - before


def _run(path, kind, number, control):
    askers = {a.socket.fileno(): a for a in (_Asker(path, kind) for _ in range(SESSIONS))}
    poll = select.poll()
    for fd in (control.fileno(), *askers):
        poll.register(fd, select.POLLIN)
    left, n_answered = number, 0
    for asker in askers.values():
        left -= asker.ask(left)
    while True:
        for fd, _ in poll.poll():
            if fd in askers:
                n_answered += askers[fd].take()
                left -= askers[fd].ask(left)
            elif not control.recv(1):
                return
            else:
                control.send(str(n_answered).encode())


class Flood:
    def __init__(self, path, kind, number, *, uid=fdialtest.CLIENT_UID, prepare=lambda: None):
        """`number` questions in all; `prepare` is called in the process before it becomes that user."""
        self.control, control = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                self.control.close()
                prepare()
                fdialtest.become(uid)
                _run(path, kind, number, control)
                status = 0
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(status)
        control.close()
        self.control.settimeout(rig.WAIT_S)

    def answered(self):
        """How many of its questions are."""
        self.control.send(b"?")
        return int(self.control.recv(20))

    def stop(self):
        self.control.close()
        _, status = os.waitpid(self.pid, 0)
        assert status == 0, f"the flood ended with {status}"
