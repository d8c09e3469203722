#!/usr/bin/env python3
"""Through squid by Negotiate, through SOCKS 5 by GSSAPI, and through a proxy with NTLM; with a key distribution centre of MIT's."""
import base64
import ctypes
import glob
import os
import re
import socket
import struct
import subprocess

import fdialtest
from kdc import Kdc
from peers import read, write
from proxies import HttpProxy, pump_both, read_head
from proxy_case import Case, proxy, way
from proxy_peers import Squid

NEGOTIATE = """
auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k {keytab} -s GSS_C_NO_NAME
auth_param negotiate children 2
auth_param negotiate keep_alive on
acl known proxy_auth REQUIRED
http_access allow known
"""
NTLM_USER, NTLM_PASSWORD = "CORP\\joe", "Kahn-9-windows"
EXIT_TIMEOUT = 6
PRINCIPAL = f"fdiald@{Kdc.realm}"


class NegotiateSquid(Squid):
    def __init__(self, keytab):
        self._keytab = keytab
        super().__init__()

    def _make_argv(self, path):
        argv = super()._make_argv(path)
        config = read(argv[-1]).decode()
        assert "http_access allow all\n" in config
        write(argv[-1], config.replace("http_access allow all\n", NEGOTIATE.format(keytab=self._keytab)))
        return argv


class Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

    def __bytes__(self):
        return ctypes.string_at(self.value, self.length) if self.value else b""


def buffer(data):
    made = Buffer(len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p))
    made.data = data  # as long as it is used
    return made


class Acceptor:
    """The other side of a context: GSSAPI's C functions, in this process."""
    _library = ctypes.CDLL("libgssapi_krb5.so.2")

    def __init__(self):
        self.context = ctypes.c_void_p()
        self.is_complete = False

    def _call(self, name, *args):
        minor = ctypes.c_uint32()
        major = getattr(self._library, name)(ctypes.byref(minor), *args)
        if major & 0xffff0000:
            raise ConnectionError(f"{name} fails with {major:#x}, {minor.value}")
        return major

    def take(self, token):
        out = Buffer()
        self.is_complete = not self._call("gss_accept_sec_context", ctypes.byref(self.context), None,
                                          ctypes.byref(buffer(token)), None, None, None,
                                          ctypes.byref(out), None, None, None)
        return bytes(out)

    def unwrap(self, token):
        out = Buffer()
        self._call("gss_unwrap", self.context, ctypes.byref(buffer(token)), ctypes.byref(out), None, None)
        return bytes(out)

    def wrap(self, data):
        out = Buffer()
        self._call("gss_wrap", self.context, 0, 0, ctypes.byref(buffer(data)), None, ctypes.byref(out))
        return bytes(out)


def receive(conn, n):
    data = b""
    while len(data) < n and (part := conn.recv(n - len(data))):
        data += part
    if len(data) < n:
        raise ConnectionError("closed")
    return data


class NtlmProxy(HttpProxy):
    """One that a company would have, with gss-ntlmssp for its domain: a context for each connection."""

    def _serve_proxy(self, conn):
        acceptor = Acceptor()
        while head := read_head(conn).decode("latin-1"):
            self.heads.append(head)
            said = re.search(r"(?im)^proxy-authorization: ntlm (\S+)", head)
            try:
                token = acceptor.take(base64.b64decode(said[1])) if said else b""
            except ConnectionError:
                acceptor, token = Acceptor(), b""
            if acceptor.is_complete:
                self._tunnel(conn, head.split()[1])
                return
            offer = f"NTLM {base64.b64encode(token).decode()}".strip()
            conn.sendall(f"HTTP/1.1 407 Who\r\nProxy-Authenticate: {offer}\r\n"
                         "Content-Length: 0\r\n\r\n".encode())


class GssapiSocks(fdialtest.Origin):
    """SOCKS 5 with RFC 1961 and nothing else, IPv4 only: Debian's dante is built without. It answers with
    this level of protection, whatever it is asked for; levels has what that was."""

    def __init__(self, level):
        self.level, self.levels = level, []
        super().__init__(self._serve_socks)

    def _message(self, conn, kind):
        version, got, n = struct.unpack(">BBH", receive(conn, 4))
        assert (version, got) == (1, kind), (version, got)
        return receive(conn, n)

    def _serve_socks(self, conn):
        acceptor = Acceptor()
        n = receive(conn, 2)[1]
        assert 1 in receive(conn, n)
        conn.sendall(b"\x05\x01")
        try:
            while not acceptor.is_complete:
                token = acceptor.take(self._message(conn, 1))
                if token:
                    conn.sendall(struct.pack(">BBH", 1, 1, len(token)) + token)
            self.levels.append(acceptor.unwrap(self._message(conn, 2)))
            token = acceptor.wrap(bytes([self.level]))
            conn.sendall(struct.pack(">BBH", 1, 2, len(token)) + token)
            request = receive(conn, 10)
        except ConnectionError:
            return
        assert request[:4] == b"\x05\x01\x00\x01", request
        with socket.create_connection((socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:]))) as up:
            conn.sendall(b"\x05\x00\x00\x01" + bytes(6))
            pump_both(conn, up)


class KerberosProxies(Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("squid")
        if Kdc.missing():
            fdialtest.skip(f"no {Kdc.missing()} here")
        super().setUpClass()
        directory = f"{os.environ['TMPDIR']}/kdc"
        cls.mute = cls.run_server(fdialtest.Mute)
        cls.kdc = cls.run_server(Kdc, directory, {"SILENT.TEST": cls.mute.port})
        http, socks = cls.kdc.add("HTTP/localhost"), cls.kdc.add("rcmd/localhost")
        client = cls.kdc.add("fdiald")
        ticket = cls.kdc.ticket("fdiald", client)
        os.chmod(http, 0o644)  # squid is another user
        users = write(f"{directory}/ntlm", f"CORP:joe:{NTLM_PASSWORD}\n")
        os.environ.update(cls.kdc.environment, NTLM_USER_FILE=users, KRB5RCACHENAME="none:", KRB5_KTNAME=socks)
        cls.squid = cls.run_server(NegotiateSquid, http)
        cls.windows = cls.run_server(NtlmProxy)
        cls.socks = cls.run_server(GssapiSocks, 0)
        cls.strict = cls.run_server(GssapiSocks, 2)
        at_squid = f"http://localhost:{cls.squid.port}"
        at_socks = f"socks5://localhost:{cls.socks.port}"
        sections = (
            proxy("keytab", at_squid, auth='"negotiate"', keytab='"client"')
            + proxy("ticket", at_squid, auth='"negotiate"', keytab='"ticket"')
            + proxy("nobody", at_squid, auth='"negotiate"')
            + proxy("wrong", at_squid, auth='"negotiate"', keytab='"wrong"')
            + proxy("silent", at_squid, auth='"negotiate"', keytab='"silent"')
            + proxy("ntlm", f"http://localhost:{cls.windows.port}", auth='{ "negotiate", "ntlm" }',
                    credential='"windows"')
            + proxy("ntlm-wrong", f"http://localhost:{cls.windows.port}", auth='"ntlm"',
                    credential='"windows-wrong"')
            + proxy("socks", at_socks, auth='"gssapi"', keytab='"client"')
            + proxy("socks-nobody", at_socks, auth='"gssapi"')
            + proxy("strict", f"socks5://localhost:{cls.strict.port}", auth='"gssapi"', keytab='"client"'))
        titles = ("keytab", "ticket", "nobody", "wrong", "silent", "ntlm", "ntlm-wrong", "socks", "socks-nobody", "strict")
        cls.run_daemon(sections, "".join(way(t, t) for t in titles), {
            "windows": f"{NTLM_USER}:{NTLM_PASSWORD}\n",
            "windows-wrong": f"{NTLM_USER}:not-{NTLM_PASSWORD}\n", "client": read(client), "ticket": read(ticket),
            "silent": read(cls.kdc.foreign_keytab("fdiald@SILENT.TEST")),
            "wrong": read(cls.kdc.foreign_keytab(PRINCIPAL))})

    def test_negotiate(self):
        self.assert_carries("keytab")
        self.assert_carries("ticket")
        self.assertIn(f" {PRINCIPAL} HIER_DIRECT/", self.squid.access())

    def test_negotiate_without_a_ticket(self):
        self.assert_refused("nobody", 1, "nobody", "no answer for negotiate: .*redentials")
        self.assert_refused("wrong", 1, "wrong", "no answer for negotiate: .*wrong: ")

    def test_centre_that_never_answers(self):
        """The deadline holds, a client that goes does so at once, and others do not wait."""
        for _ in range(2):
            done = self.run_on("silent", ["connect", "--timeout", "1", self.targets["plain"]])
            self.assertEqual(done.returncode, EXIT_TIMEOUT, done.stderr)
        n_before = self.mute.accepted
        client = fdialtest.popen([fdialtest.program("fdial"), "connect", self.targets["plain"]],
                                 env=fdialtest.built_environment({"FDIAL_SOCKET": self.daemon.sockets["silent"]}),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        fdialtest.wait_until(lambda: self.mute.accepted > n_before)
        client.kill()
        client.wait()
        self.transfer("keytab", self.targets["plain"], "tcp")

    def need_ntlm(self):
        if not glob.glob("/usr/lib/*/gssntlmssp/gssntlmssp.so"):
            fdialtest.skip("no gss-ntlmssp here")

    def test_ntlm(self):
        self.need_ntlm()
        self.assert_carries("ntlm")
        self.assertNotIn(NTLM_PASSWORD, "".join(self.windows.heads))

    def test_ntlm_with_a_wrong_password(self):
        self.need_ntlm()
        self.assert_refused("ntlm-wrong", 1, "ntlm-wrong", "it refused the credentials .ntlm.")

    def test_gssapi(self):
        self.assert_carries("socks")
        self.assertEqual(set(self.socks.levels), {b"\0"})

    def test_gssapi_without_a_ticket(self):
        self.assert_refused("socks-nobody", 1, "socks-nobody", "GSSAPI: .*redentials")

    def test_gssapi_with_protection(self):
        self.assert_refused("strict", 1, "strict", "insists on protecting all data .level 2.")


if __name__ == "__main__":
    fdialtest.main()
