"""A key distribution centre on loopback, for a realm of its own, below a directory of its own.

    kdc = Kdc(directory)            # Kdc.missing() names a program that is not here
    keytab = kdc.add("HTTP/proxy.test")
    os.environ.update(kdc.environment)
    ...
    kdc.stop()
"""
import os
import shutil
import socket
import struct
import subprocess
import time

START_TIMEOUT_S = 60
START_TRIES = 3

KRB5_CONF = """[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
{more_realms}
[domain_realm]
    .test = {realm}
"""

KDC_CONF = """[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        acl_file = {directory}/acl
    }}
[logging]
    kdc = FILE:{directory}/kdc.log
    default = FILE:{directory}/kdc.log
"""


def _find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _keytab(principal, key):
    """One key, for aes256-cts-hmac-sha1-96: ktutil reads keys from a terminal only."""
    def counted(data):
        return struct.pack(">H", len(data)) + data

    name, realm = principal.split("@")
    parts = name.split("/")
    entry = (struct.pack(">H", len(parts)) + counted(realm.encode())
             + b"".join(counted(part.encode()) for part in parts)
             + struct.pack(">IIBH", 1, 0, 1, 18) + counted(key))
    return b"\x05\x02" + struct.pack(">i", len(entry)) + entry


class Kdc:
    realm = "FDIAL.TEST"

    @staticmethod
    def missing():
        """The first program that is not here, or None."""
        for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit"):
            if not _find(name):
                return name
        return None

    def __init__(self, directory, silent_realms=None):
        """silent_realms: {"OTHER.TEST": port}, whose centre is whoever is there."""
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.environment = {"KRB5_CONFIG": f"{directory}/krb5.conf",
                            "KRB5_KDC_PROFILE": f"{directory}/kdc.conf",
                            "KRB5CCNAME": f"FILE:{directory}/ccache"}
        self._configure(silent_realms or {})
        self._run("kdb5_util", "-r", self.realm, "create", "-W", "-s", "-P", "master")
        for _ in range(START_TRIES):
            if self._start():
                return
            self._configure(silent_realms or {})
        raise RuntimeError(f"krb5kdc has not started: see {self.directory}/kdc.log")

    def _configure(self, silent_realms):
        """With a port that is free, and may be somebody else's when the centre wants it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        more = "".join(f"    {realm} = {{\n        kdc = 127.0.0.1:{port}\n    }}\n"
                       for realm, port in silent_realms.items())
        for name, text in (("krb5.conf", KRB5_CONF), ("kdc.conf", KDC_CONF)):
            with open(f"{self.directory}/{name}", "w", encoding="ascii") as file:
                file.write(text.format(realm=self.realm, port=self.port,
                                       directory=self.directory, more_realms=more))

    def _env(self):
        return os.environ | self.environment

    def _run(self, name, *args):
        return subprocess.run([_find(name), *args], env=self._env(), check=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _start(self):
        self._process = subprocess.Popen([_find("krb5kdc"), "-n", "-r", self.realm],
                                         env=self._env(), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self._process.poll() is None
            except OSError:
                time.sleep(0.05)
        self.stop()
        return False

    def add(self, principal, password=None):
        """Returns the path of a keytab with its key. With a password: None, as that makes the key."""
        if password is not None:
            self._run("kadmin.local", "-r", self.realm, "addprinc", "-pw", password, principal)
            return None
        keytab = f"{self.directory}/{principal.replace('/', '-')}.keytab"
        self._run("kadmin.local", "-r", self.realm, "addprinc", "-randkey", principal)
        self._run("kadmin.local", "-r", self.realm, "ktadd", "-k", keytab, principal)
        return keytab

    def foreign_keytab(self, principal):
        """With a key that no database here has."""
        keytab = f"{self.directory}/foreign-{principal}.keytab"
        with open(keytab, "wb") as file:
            file.write(_keytab(principal, bytes(32)))
        return keytab

    def ticket(self, principal, keytab):
        """Returns the path of a credential cache with a ticket of the keytab's."""
        ccache = f"{self.directory}/{principal}.ccache"
        self._run("kinit", "-c", ccache, "-k", "-t", keytab, principal)
        return ccache

    def stop(self):
        self._process.terminate()
        self._process.wait(20)
