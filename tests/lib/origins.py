"""Servers to connect to, good and bad. Each listens at once on loopback, has `port`, counts what it
`accepted`, has their addresses in `clients` and its own that they came to in `dialled`, serves in threads,
and ends with stop()."""
import select
import socket
import ssl
import struct
import threading

__all__ = ["Origin", "Echo", "Tls", "Page", "Mute", "BlackHole", "Resetting", "Garbage", "Between",
           "Closed", "answer_page", "echo", "reset"]

IO_TIMEOUT_S = 60


def reset(conn):
    """Closes with RST."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def echo(conn):
    while data := conn.recv(65536):
        conn.sendall(data)


def answer_page(body=b"hello\n"):
    """A handler: reads one request head, answers with the body, closes."""

    def handle(conn):
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv(65536)
            if not data:
                return
            head += data
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    return handle


class Origin:
    """Calls handle(conn) for each connection in a thread of its own, then closes it."""

    def __init__(self, handle=None, *, family=socket.AF_INET, host=None, port=0, path=None,
                 backlog=4096):
        self.accepted = 0
        self.clients = []
        self.dialled = []
        self.errors = []
        self._handle = handle
        self._open = set()
        self._lock = threading.Lock()
        self._is_stopping = False
        self.listener = socket.socket(socket.AF_UNIX if path else family)
        if path:
            self.listener.bind(path)
        else:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host or ("::1" if family == socket.AF_INET6 else "127.0.0.1"), port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(backlog)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                conn, address = self.listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_stopping:
                    conn.close()
                    return
                self.accepted += 1
                self.clients.append(address)
                self.dialled.append(conn.getsockname())
                self._open.add(conn)
            conn.settimeout(IO_TIMEOUT_S)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            self.serve(conn)
        except OSError as e:  # ssl errors too
            self.errors.append(e)
        finally:
            with self._lock:
                self._open.discard(conn)
            conn.close()

    def serve(self, conn):
        self._handle(conn)

    def stop(self):
        with self._lock:
            self._is_stopping = True
            still_open = list(self._open)
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self._thread.join(5)
        for conn in still_open:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Echo(Origin):
    """Gives everything back, then EOF for EOF."""

    def __init__(self, **kwargs):
        super().__init__(echo, **kwargs)


class Page(Origin):
    def __init__(self, body=b"hello\n", **kwargs):
        super().__init__(answer_page(body), **kwargs)


class Tls(Origin):
    """TLS with this certificate, then handle(conn) on top, then close_notify (is_clean False: only
    FIN). `seen` has (server name asked for, version, ALPN) of each finished handshake, `resumed`
    whether it was with a session from before. context: another's, whose sessions it can resume."""

    def __init__(self, certificate, key, handle=echo, *, alpn=(), minimum=None, maximum=None,
                 client_ca=None, ciphers=None, is_clean=True, context=None, **kwargs):
        self.seen, self.resumed = [], []
        self._is_clean = is_clean
        self._names = {}
        self.context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if ciphers:
            self.context.set_ciphers(ciphers)
        self.context.load_cert_chain(certificate, key)
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        if minimum:
            self.context.minimum_version = minimum
        if maximum:
            self.context.maximum_version = maximum
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.context.sni_callback = lambda conn, name, _context: self._names.update({id(conn): name})
        super().__init__(handle, **kwargs)

    def serve(self, conn):
        tls = self.context.wrap_socket(conn.dup(), server_side=True, suppress_ragged_eofs=True)
        try:
            name = self._names.pop(id(tls), None)
            self.seen.append((name, tls.version(), tls.selected_alpn_protocol()))
            self.resumed.append(tls.session_reused)
            self._handle(tls)
            if self._is_clean:
                tls.unwrap().close()
        finally:
            tls.close()


class Mute(Origin):
    """Accepts and never says a word."""

    def serve(self, conn):
        while conn.recv(65536):
            pass


class Garbage(Origin):
    """Says something that is nobody's protocol, then waits for the other side to leave."""

    def __init__(self, data=b"\x00\xffnothing anybody asked for\r\n" * 8, **kwargs):
        self._data = data
        super().__init__(**kwargs)

    def serve(self, conn):
        conn.sendall(self._data)
        while conn.recv(65536):
            pass


class Resetting(Origin):
    """Resets the connection, at once or after n bytes were received."""

    def __init__(self, after=0, **kwargs):
        self._after = after
        super().__init__(**kwargs)

    def serve(self, conn):
        left = self._after
        while left > 0:
            data = conn.recv(left)
            if not data:
                return
            left -= len(data)
        reset(conn)


class Between(Origin):
    """Carries bytes between a client and another origin, and spoils what comes from the origin.

    chunk: pass it on in pieces of so many bytes, delay_s apart. cut_after: end after so many bytes,
    with FIN, or with RST (is_reset), or by silence (is_silent)."""

    def __init__(self, port, *, chunk=None, delay_s=0, cut_after=None, is_reset=False,
                 is_silent=False, host="127.0.0.1", **kwargs):
        self._target = (host, port)
        self._chunk, self._delay_s, self._cut_after = chunk, delay_s, cut_after
        self._is_reset, self._is_silent = is_reset, is_silent
        self._pause = threading.Event()
        super().__init__(**kwargs)

    def cut(self, after):
        """From now on."""
        self._cut_after = after

    def _upward(self, conn, up):
        try:
            while data := conn.recv(65536):
                up.sendall(data)
            up.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection(self._target, IO_TIMEOUT_S) as up:
            upward = threading.Thread(target=self._upward, args=(conn, up), daemon=True)
            upward.start()
            if not self._downward(conn, up):
                if self._is_silent:
                    upward.join(IO_TIMEOUT_S)
                    return
                conn.shutdown(socket.SHUT_RD)  # a close while upward reads would wait for it
                upward.join(IO_TIMEOUT_S)
                if self._is_reset:
                    reset(conn)
                return
            conn.shutdown(socket.SHUT_WR)
            upward.join(IO_TIMEOUT_S)

    def _downward(self, conn, up):
        """Whether it came to the origin's own end."""
        left = self._cut_after
        while left is None or left > 0:
            n = min(self._chunk or 65536, left or 65536)
            data = up.recv(n)
            if not data:
                return True
            conn.sendall(data)
            left = None if left is None else left - len(data)
            if self._delay_s:
                self._pause.wait(self._delay_s)
        return False


class BlackHole:
    """A port where the connection is never made: its backlog is full and nobody accepts, so that the
    kernel drops each SYN."""

    def __init__(self, family=socket.AF_INET):
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self._fill = []
        while not self._is_black():
            pass

    def _is_black(self):
        """Connects once more. A connection counts as made before the backlog has it, so that several
        at once get through: it is one after the other until one hangs."""
        s = socket.socket(self.listener.family)
        self._fill.append(s)
        s.setblocking(False)
        s.connect_ex(self.listener.getsockname()[:2])
        return not select.select([], [s], [], 0.2)[1]

    def stop(self):
        for s in [*self._fill, self.listener]:
            s.close()


class Closed:
    """A port that refuses: bound by us, nobody listens."""

    def __init__(self, family=socket.AF_INET):
        self._socket = socket.socket(family)
        self._socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def stop(self):
        self._socket.close()
