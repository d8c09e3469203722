"""Proxies that the tests of real programs start, as peers.py does it, each with `port`; with a user and a
password they let nobody else through."""
import hashlib
import os
import subprocess

import fdialtest
from peers import Server, Sshd, can_connect, read, write

REALM = "fdial"


def _accepts(server):
    return lambda _log: can_connect(server.port)


# ---- HTTP ----

SQUID = """
http_port 127.0.0.1:{port} {listen}
pid_filename {dir}/pid
access_log stdio:{dir}/access.log
cache_log {dir}/cache.log
logfile_rotate 0
coredump_dir {dir}
cache deny all
cache_mem 1 MB
memory_cache_shared off
max_filedescriptors 1024
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
visible_hostname squid.example
dns_nameservers {name_server}
hosts_file {dir}/hosts
{auth}
{more}
http_access {verdict}
http_access deny all
"""
SQUID_BASIC = """
auth_param basic program /usr/lib/squid/basic_ncsa_auth {dir}/basic
auth_param basic children 1
auth_param basic realm {realm}
acl known proxy_auth REQUIRED
"""
SQUID_DIGEST = """
auth_param digest program /usr/lib/squid/digest_file_auth -c {dir}/digest
auth_param digest children 1
auth_param digest realm {realm}
acl known proxy_auth REQUIRED
"""


class Squid(Server):
    """auth: "basic", "digest" or None. hosts: {name: address}. takes_header: only with a PROXY header.
    access() is its log."""

    def __init__(self, auth=None, user="", password="", *, hosts=None, takes_header=False,
                 name_server="127.0.0.1"):
        self._auth, self._user, self._password, self._hosts = auth, user, password, hosts or {}
        self._takes_header, self._name_server = takes_header, name_server
        super().__init__("squid", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        os.chmod(path, 0o777)  # it becomes another user
        self.port = fdialtest.free_port()
        ha1 = hashlib.md5(f"{self._user}:{REALM}:{self._password}".encode()).hexdigest()
        write(f"{path}/digest", f"{self._user}:{REALM}:{ha1}\n")
        crypt = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=self._password.encode(),
                               stdout=subprocess.PIPE, check=True).stdout.decode()
        write(f"{path}/basic", f"{self._user}:{crypt}")
        write(f"{path}/hosts", "".join(f"{a} {name}\n" for name, a in self._hosts.items()))
        auth = {"basic": SQUID_BASIC, "digest": SQUID_DIGEST, None: ""}[self._auth]
        config = SQUID.format(
            dir=path, port=self.port, auth=auth.format(dir=path, realm=REALM),
            listen="require-proxy-header" if self._takes_header else "",
            more="proxy_protocol_access allow all" if self._takes_header else "",
            name_server=self._name_server, verdict="allow known" if self._auth else "allow all")
        return [fdialtest.find_command("squid"), "-N", "-f", write(f"{path}/squid.conf", config)]

    def stop(self):
        self.process.kill()  # on SIGTERM it takes its time
        super().stop()

    def access(self):
        try:
            return read(f"{self.directory}/access.log").decode()
        except FileNotFoundError:
            return ""


TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
LogLevel Info
MaxClients 50
StartServers 2
Allow 127.0.0.1
{more}
"""


class Tinyproxy(Server):
    def __init__(self, user="", password=""):
        self._more = f"BasicAuth {user} {password}" if user else ""
        super().__init__("tinyproxy", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        config = TINYPROXY.format(port=self.port, more=self._more)
        return ["tinyproxy", "-d", "-c", write(f"{path}/tinyproxy.conf", config)]


STUNNEL = """
foreground = yes
pid =
debug = info
[proxy]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{to}
cert = {certificate}
key = {key}
"""


class Stunnel(Server):
    """TLS in front of a port."""

    def __init__(self, to, certificate, key):
        self._values = {"to": to, "certificate": certificate, "key": key}
        super().__init__("stunnel", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        return ["stunnel", write(f"{path}/stunnel.conf", STUNNEL.format(port=self.port, **self._values))]


# ---- SOCKS ----

DANTE = """
logoutput: {dir}/danted.log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: {method}
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
  command: connect
  log: connect error
}}
"""


class Dante(Server):
    """Takes SOCKS 4 and 5, and users with a password from /etc/shadow: of its own. access() is its log."""

    def __init__(self, user="", password="", hosts=None):
        fdialtest.need_root()
        self._user, self._password, self._hosts = user, password, hosts or {}
        fdialtest.need_mounts()
        super().__init__("dante", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        write(f"{path}/danted.log", "", 0o666)
        config = write(f"{path}/danted.conf", DANTE.format(
            dir=path, port=self.port, method="username" if self._user else "none"))
        users, hosts = read("/etc/passwd").decode(), read("/etc/hosts").decode()
        shadow = ""
        if self._user:
            users += f"{self._user}:x:54321:54321::/nonexistent:/usr/sbin/nologin\n"
            crypt = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self._password.encode(),
                                   stdout=subprocess.PIPE, check=True).stdout.decode().strip()
            shadow = f"{self._user}:{crypt}:19000:0:99999:7:::\n"
        write(f"{path}/passwd", users)
        write(f"{path}/shadow", shadow, 0o600)
        write(f"{path}/hosts", hosts + "".join(f"{a} {name}\n" for name, a in self._hosts.items()))
        script = "for f in passwd shadow hosts; do mount --bind $0/$f /etc/$f || exit; done; exec \"$@\""
        return ["unshare", "-m", "sh", "-c", script, path, fdialtest.find_command("danted"), "-f", config,
                "-p", f"{path}/pid"]

    def access(self):
        return read(f"{self.directory}/danted.log").decode()


class Microsocks(Server):
    """SOCKS 5 alone, and a password as RFC 1929 has it."""

    def __init__(self, user="", password=""):
        self._options = ["-u", user, "-P", password] if user else []
        super().__init__("microsocks", self._make_argv, _accepts(self))

    def _make_argv(self, _path):
        self.port = fdialtest.free_port()
        return ["microsocks", "-i", "127.0.0.1", "-p", str(self.port), *self._options]

    def access(self):
        return self.log()


class SshSocks(Server):
    """`ssh -D`, which takes SOCKS 4, 4a and 5, through an sshd of its own."""

    def __init__(self):
        self.sshd = Sshd()
        try:
            super().__init__("ssh-socks", self._make_argv, _accepts(self))
        except BaseException:
            self.sshd.stop()
            raise

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        with open(f"{self.sshd.directory}/host.pub", encoding="utf-8") as f:
            kind, key = f.read().split()[:2]
        known = write(f"{path}/known", f"[127.0.0.1]:{self.sshd.port} {kind} {key}\n")
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "ExitOnForwardFailure=yes",
                   f"UserKnownHostsFile={known}", "LogLevel=DEBUG1"]
        return ["ssh", "-F", "/dev/null", "-N", "-i", f"{self.sshd.directory}/user", "-p",
                str(self.sshd.port), "-D", f"127.0.0.1:{self.port}",
                *(x for option in options for x in ("-o", option)), "127.0.0.1"]

    def access(self):
        return self.log()

    def stop(self):
        super().stop()
        self.sshd.stop()


# ---- what takes a PROXY header ----

HAPROXY = """
global
  log stderr format raw local0
defaults
  mode http
  timeout connect 30s
  timeout client 60s
  timeout server 60s
frontend said
  bind 127.0.0.1:{port} accept-proxy
  bind 127.0.0.1:{tls_port} accept-proxy ssl crt {dir}/both.pem alpn http/1.1
  http-request return status 200 content-type text/plain lf-string "src=%[src]:%[src_port] dst=%[dst]:%[dst_port] authority=%[fc_pp_authority] id=%[fc_pp_unique_id]\\n"
frontend tunnel
  mode tcp
  bind unix@{dir}/proxy.sock mode 666
  bind 127.0.0.1:{gate_port} accept-proxy ssl crt {dir}/both.pem
  default_backend tunnel
backend tunnel
  mode tcp
  server only 127.0.0.1:{behind}
"""


class Haproxy(Server):
    """Answers each request with what the header said, on `port` and with TLS on `tls_port`; carries what
    comes to the Unix socket `path`, or with a header and TLS to `gate_port`, to the port `behind`."""

    def __init__(self, certificate, key, behind=9):
        self._certificate, self._key, self._behind = certificate, key, behind
        super().__init__("haproxy", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        os.chmod(path, 0o755)
        self.port, self.tls_port, self.gate_port = (fdialtest.free_port() for _ in range(3))
        self.path = f"{path}/proxy.sock"
        write(f"{path}/both.pem", (read(self._certificate) + read(self._key)).decode())
        config = HAPROXY.format(dir=path, port=self.port, tls_port=self.tls_port,
                                gate_port=self.gate_port, behind=self._behind)
        return [fdialtest.find_command("haproxy"), "-db", "-f", write(f"{path}/haproxy.cfg", config)]


NGINX_HEADER = """
daemon off;
master_process off;
pid {dir}/pid;
error_log stderr info;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    listen 127.0.0.1:{tls_port} ssl proxy_protocol;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ return 200
      "src=$proxy_protocol_addr:$proxy_protocol_port dst=$proxy_protocol_server_addr:$proxy_protocol_server_port\\n"; }}
  }}
}}
"""


class NginxHeader(Server):
    """As Haproxy, without the TLVs."""

    def __init__(self, certificate, key):
        self._values = {"certificate": certificate, "key": key}
        super().__init__("nginx", self._make_argv, _accepts(self))

    def _make_argv(self, path):
        self.port, self.tls_port = fdialtest.free_port(), fdialtest.free_port()
        config = NGINX_HEADER.format(dir=path, port=self.port, tls_port=self.tls_port, **self._values)
        return [fdialtest.find_command("nginx"), "-e", "stderr", "-p", path, "-c",
                write(f"{path}/nginx.conf", config)]
