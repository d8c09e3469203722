"""What the tests of the running daemon share: the protocol in bytes, written from PROTOCOL.md and not
from the library; the scripted name server; a network of the test's own; and the daemon's state before
and after."""
import array
import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading

import fdialtest
import leaks

HELLO, CONNECT, CANCEL, EXPLAIN, STATUS, GRANT, OPEN = range(1, 8)
WELCOME, RESULT, ENDED, EXPLAINED, STATUS_REPLY, GRANTED, OPENED = range(129, 136)
ERROR = 255
VERSION, SOFTWARE = 1, 2
TARGET, TIMEOUT, FAMILY, ALPN, TLS_NAME, HANDOVER, HEADER, SUBPROTOCOL, COUNT, AS_USER, \
    PATTERN = range(16, 27)
CODE, STAGE, HOP, ERRNO, DETAIL, WARM, PEER, LOCAL, TLS_VERSION, TLS_CIPHER, CERTIFICATE, RESPONSE, \
    RESPONSE_IS_CLEAR = range(32, 45)
TIME, END, INDEX, BYTES_SENT, BYTES_RECEIVED, RULE, PLAN, STAT, WHO = 45, 48, 49, 50, 51, 56, 57, 58, 59
FORMAT, TEXT, MORE = 27, 60, 61
HANDOVER_REASON, TLS_RESUMED = 46, 47
TCP, KTLS, RELAY = 1, 2, 4
CLEAN, TRUNCATED, RESET, IDLE, DRAINED, LIFETIME = range(1, 7)
STAGES = {1: "request", 2: "policy", 3: "resolve", 4: "connect", 5: "proxy", 6: "tls", 7: "upgrade",
          8: "starttls", 9: "handoff"}

WAIT_S = fdialtest.WAIT_S
UID = os.getuid()


# ---- messages ----

def attr(kind, value=b""):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<HH", kind, len(value)) + value


def u8(kind, value):
    return attr(kind, struct.pack("<B", value))


def u16(kind, value):
    return attr(kind, struct.pack("<H", value))


def u32(kind, value):
    return attr(kind, struct.pack("<I", value))


def message(kind, ident, *attributes):
    body = b"".join(attributes)
    return struct.pack("<HHIQ", kind, 0, 16 + len(body), ident) + body


def hello(*attributes):
    return message(HELLO, 0, u16(VERSION, 1), *attributes)


class Message:
    """One from the daemon: kind, id, attributes (lists of bytes), fds (owned by who takes them)."""

    def __init__(self, data, fds):
        self.kind, flags, length, self.id = struct.unpack_from("<HHIQ", data)
        assert flags == 0 and length == len(data), data
        self.attributes, self.fds, at = {}, fds, 16
        while at < length:
            kind, size = struct.unpack_from("<HH", data, at)
            self.attributes.setdefault(kind, []).append(data[at + 4 : at + 4 + size])
            at += 4 + size

    def number(self, kind):
        """None when it is not there."""
        value = self.attributes.get(kind)
        return int.from_bytes(value[0], "little") if value else None

    def text(self, kind):
        return self.attributes.get(kind, [b""])[0].decode("ascii")

    @property
    def code(self):
        return self.number(CODE)

    @property
    def stage(self):
        return STAGES.get(self.number(STAGE))

    @property
    def detail(self):
        return self.text(DETAIL)

    def times_us(self):
        """By stage."""
        return {stage: us for stage, _hop, us in self.times()}

    def times(self):
        """(stage, hop, µs) of each step, in order."""
        times = [struct.unpack("<BBI", t) for t in self.attributes.get(TIME, [])]
        return [(STAGES[stage], hop, us) for stage, hop, us in times]

    def __repr__(self):
        return f"<{self.kind} id {self.id} {self.attributes} fds {self.fds}>"


class Session:
    """A session in bytes. Closes with the case when made by Case.session()."""

    def __init__(self, path, says_hello=True, fd=None):
        """fd: of a socket that is a session already, or a grant; taken."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd)
        if fd is None:
            self.socket.connect(path)  # before the timeout, with which a full backlog is an error at once
        self.socket.settimeout(WAIT_S)
        self.next_id = 1
        self.early = None
        if says_hello:
            self.send(hello())
            welcome = self.recv()
            assert welcome and welcome.kind == WELCOME, welcome

    def close(self):
        self.socket.close()

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], control, socket.MSG_NOSIGNAL)

    def recv(self):
        """The next message, or None at the end."""
        try:
            data, control, flags, _ = self.socket.recvmsg(
                65536, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        assert not flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC)
        leaks.search(data, "a message")
        fds = array.array("i")
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[: len(value) - len(value) % 4])
        return Message(data, list(fds)) if data else None

    def recv_kind(self, kind):
        """The next message of this kind; others that come first are dropped."""
        while (m := self.recv()) and m.kind != kind:
            assert not m.fds
        return m

    def submit(self, target, *attributes, timeout_ms=None, handover=None):
        ident, self.next_id = self.next_id, self.next_id + 1
        more = [u32(TIMEOUT, timeout_ms)] if timeout_ms else []
        more += [u8(HANDOVER, handover)] if handover else []
        self.send(message(CONNECT, ident, attr(TARGET, target), *more, *attributes))
        return ident

    def connect(self, target, *attributes, **kwargs):
        """The result of one request, while no other is in flight."""
        ident = self.submit(target, *attributes, **kwargs)
        m = self.recv_kind(RESULT)
        assert m and m.id == ident, m
        return m

    def connect_code(self, target):
        """The code of one request, also while another is in flight, whose result is put to `early`."""
        ident = self.submit(target)
        while (m := self.recv_kind(RESULT)) and m.id != ident:
            self.early = m
        for fd in m.fds:
            os.close(fd)
        return m.code

    def dial(self, target, *attributes, **kwargs):
        """A connection as a Python socket."""
        m = self.connect(target, *attributes, **kwargs)
        assert m.code == 0 and len(m.fds) == 1, m
        s = socket.socket(fileno=m.fds[0])
        s.settimeout(WAIT_S)
        return s

    def ended(self):
        """How the next relay ended."""
        m = self.recv_kind(ENDED)
        return m.number(END) if m else None

    def status_messages(self, *attributes):
        self.send(message(STATUS, 0, *attributes))
        messages = [self.recv_kind(STATUS_REPLY)]
        while messages[-1].number(MORE):
            messages.append(self.recv_kind(STATUS_REPLY))
        return messages

    def status(self):
        return dict(line.decode().split("=", 1) for m in self.status_messages()
                    for line in m.attributes[STAT])

    def ask_grant(self, *patterns):
        """The answer, with the fd if there is one."""
        self.send(message(GRANT, 9, *[attr(PATTERN, p) for p in patterns]))
        m = self.recv_kind(GRANTED)
        assert m and m.id == 9, m
        return m

    def grant(self, *patterns):
        m = self.ask_grant(*patterns)
        assert m.code == 0 and len(m.fds) == 1, m
        return Grant(m.fds[0])

    def explain(self, target, *attributes):
        self.send(message(EXPLAIN, 7, attr(TARGET, target), *attributes))
        return self.recv_kind(EXPLAINED)


class Grant(Session):
    """The socket of a grant."""

    def __init__(self, fd):
        super().__init__(None, False, fd)

    def ask_open(self):
        """The answer, with the fd if there is one."""
        self.send(message(OPEN, 0))
        return self.recv()

    def open(self, says_hello=True):
        m = self.ask_open()
        assert m.kind == OPENED and m.code == 0 and len(m.fds) == 1, m
        return Session(None, says_hello, m.fds[0])


# ---- the daemon, before and after ----

def status(daemon):
    with contextlib.closing(Session(daemon.socket)) as s:
        return s.status()


class State:
    """What must be as it was when all is over."""

    def __init__(self, daemon):
        self.daemon = daemon
        now = status(daemon)
        self.n_sessions, self.n_accounts = int(now["sessions_now"]), int(now["quota_accounts_now"])
        self.wait_for_sessions()
        self.n_fds = daemon.fd_count()

    def wait_for_sessions(self):
        fdialtest.wait_until(lambda: int(status(self.daemon)["sessions_now"]) <= self.n_sessions, WAIT_S,
                             "the sessions of before")

    def why_not(self):
        """Empty when it is as it was."""
        now = status(self.daemon)
        wrong = {k: now[k] for k in ("requests_now", "relays_now", "grants_now") if now[k] != "0"}
        if int(now["sessions_now"]) > self.n_sessions:
            wrong["sessions_now"] = now["sessions_now"]
        # Where one is left by its last holder and not empty, the daemon aborts.
        if int(now["quota_accounts_now"]) > self.n_accounts:
            wrong["quota_accounts_now"] = now["quota_accounts_now"]
        return wrong

    def check(self, spare_fds=0):
        """spare_fds: what may have come to stay, like a socket to a name server."""
        assert self.daemon.process.poll() is None, f"the daemon died\n{self.daemon.log()[-4000:]}"
        try:
            fdialtest.wait_until(lambda: not self.why_not(), WAIT_S)
            fdialtest.wait_until(lambda: self.daemon.fd_count() <= self.n_fds + spare_fds, WAIT_S)
        except AssertionError:
            fds = [os.readlink(f"/proc/{self.daemon.pid}/fd/{n}")
                   for n in os.listdir(f"/proc/{self.daemon.pid}/fd")]
            raise AssertionError(f"not as before: {self.why_not()}, {len(fds)} fds instead of"
                                 f" {self.n_fds}: {sorted(fds)}") from None


# ---- names ----

class NameServer:
    """tests/lib/dns-server with this script; see dns_server.h."""

    def __init__(self, script):
        self.path = os.path.join(tempfile.mkdtemp(prefix="dns-"), "script")
        self.set_script(script)
        self.process = subprocess.Popen([f"{fdialtest.BUILDDIR}/tests/lib/dns-server", self.path],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self._was_read = threading.Semaphore(0)
        self.questions = []  # like "udp AAAA www.example.org"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def set_script(self, script):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(script)

    def change_script(self, script):
        """From now on it answers so. No question may be under way."""
        self.set_script(script)
        self.process.send_signal(signal.SIGHUP)
        assert self._was_read.acquire(timeout=WAIT_S)

    def _read(self):
        for line in self.process.stdout:
            if line == "script\n":
                self._was_read.release()
            else:
                self.questions.append(line.strip())

    def asked_for(self, name):
        return [q for q in self.questions if q.split()[-1] == name]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.thread.join(5)
        self.process.stdout.close()


# ---- networks ----

_libc = ctypes.CDLL(None, use_errno=True)
NEAR_SIDE, FAR_SIDE = "10.77.0.1", "10.77.0.2"
FAR_PUBLIC = ("93.184.216.34", "2606:4700::1111")
FAR_PRIVATE = ("10.77.0.2", "fd77::2")
FAR_LINK_LOCAL = "169.254.77.2"
NO_ANSWER = "93.184.216.99"  # routed to the far side, which drops what comes


def _unshare_network():
    if _libc.unshare(fdialtest.CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _ip(*commands):
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


class FarSide:
    """Two networks, nothing else in them: this process moves into the near one; sockets made with
    do() are in the far one, which has addresses of every class. Call it once, in the main thread,
    before the daemon is started."""

    def __init__(self):
        fdialtest.need_root()
        fdialtest.need_command("ip")
        _unshare_network()
        self._jobs, self._wake, self._done = [], threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()
        self._tid = self.do(threading.get_native_id)
        _ip("link set lo up", f"link add near type veth peer name far netns"
            f" /proc/{os.getpid()}/task/{self._tid}/ns/net",
            f"addr add {NEAR_SIDE}/24 dev near", "addr add fd77::1/64 dev near nodad",
            "link set near up")
        self.do(_ip, "link set lo up", *[f"addr add {a}/32 dev lo" for a in
                                         (FAR_PUBLIC[0], FAR_LINK_LOCAL)],
                f"addr add {FAR_PUBLIC[1]}/128 dev lo nodad",
                f"addr add {FAR_SIDE}/24 dev far", "addr add fd77::2/64 dev far nodad",
                "link set far up")
        _ip(f"route add default via {FAR_SIDE}", "-6 route add default via fd77::2",
            f"route add {FAR_LINK_LOCAL}/32 via {FAR_SIDE}")

    def _run(self):
        _unshare_network()
        while True:
            self._wake.acquire()
            call, args, kwargs, answer = self._jobs.pop()
            try:
                answer.append((call(*args, **kwargs), None))
            except Exception as e:  # pylint: disable=broad-except
                answer.append((None, e))
            self._done.release()

    def do(self, call, *args, **kwargs):
        answer = []
        self._jobs.append((call, args, kwargs, answer))
        self._wake.release()
        self._done.acquire()
        value, error = answer[0]
        if error:
            raise error
        return value


def dialled(origins):
    """The addresses of these origins that were connected to so far, in no order. Exact: a connection of our
    own comes to each behind all that were there before, and is left out."""
    found = []
    for origin in origins:
        n_before = len(origin.clients)
        with socket.create_connection(origin.listener.getsockname()[:2], WAIT_S) as s:
            mine = s.getsockname()[:2]
            fdialtest.wait_until(lambda o=origin, n=n_before, mine=mine:
                                 any(c[:2] == mine for c in o.clients[n:]), WAIT_S, "our own connection")
        at = next(i for i in range(n_before, len(origin.clients)) if origin.clients[i][:2] == mine)
        origin.probes = {*getattr(origin, "probes", ()), at}
        found += [a[0] for i, a in enumerate(origin.dialled) if i not in origin.probes]
    return found


def tcp_states(port, family=socket.AF_INET):
    """Of connections to this port in this network: {(address in hex, local port): state number}."""
    found = {}
    path = "/proc/thread-self/net/" + ("tcp6" if family == socket.AF_INET6 else "tcp")
    with open(path, encoding="ascii") as f:
        for line in f.readlines()[1:]:
            _, local, remote, state = line.split()[:4]
            address, remote_port = remote.split(":")
            if int(remote_port, 16) == port:
                found[address, local.split(":")[1]] = int(state, 16)
    return found


SYN_SENT = 2


# ---- cases ----

class Case(fdialtest.Case):
    def setUp(self):
        self.opened = []

    def session(self, daemon, says_hello=True, path=None):
        s = Session(path or daemon.socket, says_hello)
        self.opened.append(s)
        self.addCleanup(s.close)
        return s

    def close_all(self):
        """Sessions, and connections made by dial()."""
        while self.opened:
            self.opened.pop().close()

    def name_server(self, script):
        server = NameServer(script)
        self.addCleanup(server.stop)
        return server

    def dial(self, session, target, *attributes, **kwargs):
        s = session.dial(target, *attributes, **kwargs)
        self.opened.append(s)
        self.addCleanup(s.close)
        return s

    def assert_echo(self, s, data=b"hello"):
        s.sendall(data)
        received = b""
        while len(received) < len(data):
            part = s.recv(len(data) - len(received))
            self.assertTrue(part, received)
            received += part
        self.assertEqual(received, data)

    def assert_report(self, done, status_wanted, pattern):
        """One line, as INTERFACE says, and nothing else."""
        text = done.stderr.decode()
        self.assertEqual(done.returncode, status_wanted, text)
        self.assertRegex(text, r"\Afdial: [^\n]*\n\Z")
        self.assertRegex(text, pattern)


def rule(name="test", **keys):
    """A rule for this user: everything on loopback, sockets as they are; `keys` replace or add
    (`max_pending` is max-pending), None removes."""
    values = {"client": f'"uid:{UID}"', "allow": '"*://*:*"', "addresses": '"loopback"',
              "seal": '"off"', "max-pending": "4096", "max-relays": "4096"}
    values |= {k.replace("_", "-"): v for k, v in keys.items()}
    lines = "".join(f"  {k} = {v}\n" for k, v in values.items() if v is not None)
    return f'rule "{name}" {{\n{lines}}}\n'


def strings(*items):
    return "{ " + ", ".join(f'"{i}"' for i in items) + " }"


def find(pattern, text):
    match = re.search(pattern, text, re.M)
    assert match, f"no {pattern} in {text}"
    return match[1]
