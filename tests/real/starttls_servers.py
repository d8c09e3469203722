"""Servers with STARTTLS from Debian's packages, each with a configuration of its own: made, started and
stopped by the test, and nobody's service. Each has `port`."""
import glob
import os
import pwd
import shutil

import fdialtest
import peers

NOBODY = 65534


def need_root(server):
    if not fdialtest.is_root():
        fdialtest.skip(f"{server} needs root")


def make_directories(*paths, uid=0):
    for path in paths:
        os.makedirs(path, exist_ok=True)
        os.chown(path, uid if fdialtest.is_root() else os.getuid(), -1)


class Server(peers.Server):
    """command: what has to be there; configure(directory) writes what it needs and returns how it is
    started; uid: whose process it is, if we are root."""

    command, uid = None, None

    def __init__(self, certificate, key):
        fdialtest.need_command(self.command)
        self.certificate, self.key = certificate, key
        super().__init__(type(self).__name__.lower(), self._make_argv, lambda _: peers.can_connect(self.port),
                         uid=self.uid if fdialtest.is_root() else None)

    def _make_argv(self, path):
        self.port = fdialtest.free_port()
        if self.uid and fdialtest.is_root():
            os.chown(path, self.uid, -1)
        return self.configure(path)

    def configure(self, path):
        raise NotImplementedError

    def write(self, path, text, **more):
        return peers.write(path, text.format(dir=os.path.dirname(path), port=self.port, key=self.key,
                                             certificate=self.certificate, **more))


class Postfix(Server):
    command = "postfix"
    MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
alias_maps =
local_recipient_maps =
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
"""
    MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000 1 tlsmgr
"""

    def configure(self, path):
        need_root("postfix")
        self.write(f"{path}/main.cf", self.MAIN)
        self.write(f"{path}/master.cf", self.MASTER)
        make_directories(f"{path}/spool", f"{path}/spool/pid")
        owner = pwd.getpwnam("postfix").pw_uid
        make_directories(f"{path}/data", *(f"{path}/spool/{name}" for name in (
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
            "maildrop", "public", "saved", "trace")), uid=owner)
        return ["/usr/lib/postfix/sbin/master", "-d", "-c", path]


class Dovecot(Server):
    """It has pop3_port, too."""

    command = "dovecot"
    CONFIG = """
protocols = imap pop3
base_dir = {dir}/run
state_dir = {dir}/run
listen = 127.0.0.1
log_path = /dev/stderr
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_dh =
mail_location = maildir:{dir}/mail
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
passdb {{
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={dir}/mail
}}
"""

    def configure(self, path):
        need_root("dovecot")
        self.pop3_port = fdialtest.free_port()
        return [fdialtest.find_command("dovecot"), "-F", "-c",
                self.write(f"{path}/dovecot.conf", self.CONFIG, pop3_port=self.pop3_port)]


class Vsftpd(Server):
    command = "vsftpd"
    CONFIG = """
background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
anon_root={dir}/root
secure_chroot_dir={dir}/empty
ftp_username=nobody
nopriv_user=nobody
ftpd_banner=welcome
ssl_enable=YES
allow_anon_ssl=YES
rsa_cert_file={certificate}
rsa_private_key_file={key}
"""

    def configure(self, path):
        need_root("vsftpd")
        make_directories(f"{path}/root", f"{path}/empty")
        return [fdialtest.find_command("vsftpd"), self.write(f"{path}/vsftpd.conf", self.CONFIG)]


class Slapd(Server):
    command, uid = "slapd", NOBODY
    CONFIG = """
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
pidfile {dir}/pid
argsfile {dir}/args
"""

    def configure(self, path):
        config = self.write(f"{path}/slapd.conf", self.CONFIG)
        return [fdialtest.find_command("slapd"), "-d", "0", "-f", config, "-h",
                f"ldap://127.0.0.1:{self.port}/"]


class Prosody(Server):
    command, uid = "prosody", NOBODY
    CONFIG = """
pidfile = "{dir}/pid"
data_path = "{dir}"
log = {{ info = "*console" }}
modules_enabled = {{ "tls", "saslauth", "disco" }}
modules_disabled = {{ "s2s", "offline" }}
c2s_require_encryption = true
c2s_ports = {{ {port} }}
c2s_interfaces = {{ "127.0.0.1" }}
VirtualHost "localhost"
  ssl = {{ certificate = "{certificate}"; key = "{key}" }}
"""

    def configure(self, path):
        return ["prosody", "-F", "--config", self.write(f"{path}/prosody.cfg.lua", self.CONFIG)]


class Postgres(Server):
    uid = NOBODY

    @property
    def command(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        return found[-1] if found else "postgres"

    def configure(self, path):
        data = f"{path}/data"
        if not os.path.exists(data):
            initdb = os.path.join(os.path.dirname(self.command), "initdb")
            done = peers.run([initdb, "-D", data, "-A", "trust", "-U", "tester", "--no-sync", "--no-instructions"],
                             uid=self.uid if fdialtest.is_root() else None)
            assert done.returncode == 0, done
        key = f"{data}/server.key"  # nobody else may read it
        shutil.copy(self.key, key)
        os.chmod(key, 0o600)
        if fdialtest.is_root():
            os.chown(key, self.uid, -1)
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": path,
                    "ssl": "on", "ssl_cert_file": self.certificate, "ssl_key_file": key, "fsync": "off"}
        return [self.command, "-D", data, *(x for k, v in settings.items() for x in ("-c", f"{k}={v}"))]


class Mariadb(Server):
    """Of the system's tables it has none: everybody is let in."""

    command, uid = "mariadbd", NOBODY

    def configure(self, path):
        data = f"{path}/data"
        make_directories(data, uid=self.uid)
        return [fdialtest.find_command("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={path}/socket",
                f"--pid-file={path}/pid", "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-grant-tables",
                "--skip-networking=0", "--skip-innodb", "--default-storage-engine=MyISAM", "--skip-log-bin",
                f"--ssl-cert={self.certificate}", f"--ssl-key={self.key}"]
