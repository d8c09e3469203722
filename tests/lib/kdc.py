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
import subprocess
import time

START_TIMEOUT_S = 60

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


class Kdc:
    realm = "FDIAL.TEST"

    @staticmethod
    def missing():
        """The first program that is not here, or None."""
        for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "ktutil"):
            if not _find(name):
                return name
        return None

    def __init__(self, directory, silent_realms=None):
        """silent_realms: {"OTHER.TEST": port}, whose centre is whoever is there."""
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        more = "".join(f"    {realm} = {{\n        kdc = 127.0.0.1:{port}\n    }}\n"
                       for realm, port in (silent_realms or {}).items())
        values = {"realm": self.realm, "port": self.port, "directory": directory, "more_realms": more}
        self.environment = {"KRB5_CONFIG": f"{directory}/krb5.conf",
                            "KRB5_KDC_PROFILE": f"{directory}/kdc.conf",
                            "KRB5CCNAME": f"FILE:{directory}/ccache"}
        for name, text in (("krb5.conf", KRB5_CONF), ("kdc.conf", KDC_CONF)):
            with open(f"{directory}/{name}", "w", encoding="ascii") as file:
                file.write(text.format(**values))
        self._run("kdb5_util", "-r", self.realm, "create", "-W", "-s", "-P", "master")
        self._process = subprocess.Popen([_find("krb5kdc"), "-n", "-r", self.realm],
                                         env=self._env(), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self._wait()

    def _env(self):
        return os.environ | self.environment

    def _run(self, name, *args, **kwargs):
        return subprocess.run([_find(name), *args], env=self._env(), check=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)

    def _wait(self):
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"krb5kdc has not started: see {self.directory}/kdc.log")

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
        """Of a realm that has no database here."""
        keytab = f"{self.directory}/foreign.keytab"
        self._run("ktutil", input=f"addent -password -p {principal} -k 1 -e aes256-cts\nx\n"
                                  f"wkt {keytab}\nq\n".encode())
        return keytab

    def ticket(self, principal, keytab):
        """Returns the path of a credential cache with a ticket of the keytab's."""
        ccache = f"{self.directory}/{principal}.ccache"
        self._run("kinit", "-c", ccache, "-k", "-t", keytab, principal)
        return ccache

    def stop(self):
        self._process.terminate()
        self._process.wait(20)
