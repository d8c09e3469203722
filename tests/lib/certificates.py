"""A certificate authority for tests, made with the openssl command."""
import datetime
import os
import subprocess
import tempfile

_CONFIG = """
[ca]
default_ca = ca
[ca]
database = {dir}/index
new_certs_dir = {dir}
rand_serial = yes
unique_subject = no
policy = policy
default_md = sha256
email_in_dn = no
[policy]
commonName = optional
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

KEYS = {
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa1024": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
}


def _openssl(*args):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(args)}: {done.stdout}")


def _time(days_from_now):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days_from_now)
    return at.strftime("%Y%m%d%H%M%SZ")


class Authority:
    """`certificate` is the root's file, what a `ca-file` wants. Files are in `directory`, readable by
    everyone, keys too: they protect nothing."""

    def __init__(self, directory=None, name="fdial test root", key="ec", issuer=None):
        self.directory = directory or tempfile.mkdtemp(prefix="ca-")
        os.chmod(self.directory, 0o755)
        self.issuer = issuer
        self._config = os.path.join(self.directory, "ca.cnf")
        self._n = 0
        with open(self._config, "w", encoding="utf-8") as f:
            f.write(_CONFIG.format(dir=self.directory))
        with open(os.path.join(self.directory, "index"), "w", encoding="utf-8"):
            pass
        if issuer:
            self.certificate, self.key = issuer.issue(name, sans=(), key=key, is_ca=True)
            return
        self.key = self._make_key("root", key)
        self.certificate = os.path.join(self.directory, "root.pem")
        _openssl("req", "-x509", "-new", "-config", self._config, "-extensions", "root", "-days", "30",
                 "-key", self.key, "-subj", f"/CN={name}", "-out", self.certificate)

    def _make_key(self, name, kind):
        path = os.path.join(self.directory, f"{name}.key")
        _openssl("genpkey", *KEYS[kind], "-out", path)
        os.chmod(path, 0o644)
        return path

    def issue(self, name="localhost", *, sans=None, key="ec", days=(-1, 30), usage="serverAuth",
              is_ca=False, is_self_signed=False, digest="sha256"):
        """Returns (certificate, key) paths. sans: like "DNS:localhost"; absent: the name and the
        loopback addresses. days: validity, counted from now. usage None: no extended key usage."""
        self._n += 1
        stem = f"{self._n}-{name.replace('*', '_').replace(' ', '_')}"
        key_path = self._make_key(stem, key)
        path, extensions = (os.path.join(self.directory, stem + end) for end in (".pem", ".ext"))
        if sans is None:
            sans = [f"DNS:{name}", "IP:127.0.0.1", "IP:::1"]
        with open(extensions, "w", encoding="utf-8") as f:
            f.write(f"basicConstraints = critical, CA:{str(is_ca).lower()}\n")
            if usage and not is_ca:
                f.write(f"extendedKeyUsage = {usage}\n")
            if is_ca:
                f.write("keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n")
            if sans:
                f.write(f"subjectAltName = {', '.join(sans)}\n")
        request = os.path.join(self.directory, stem + ".csr")
        _openssl("req", "-new", "-config", self._config, "-key", key_path, "-subj", f"/CN={name}",
                 "-out", request)
        signer = ["-selfsign", "-keyfile", key_path] if is_self_signed \
            else ["-cert", self.certificate, "-keyfile", self.key]
        _openssl("ca", "-batch", "-notext", "-config", self._config, "-in", request, "-out", path,
                 "-extfile", extensions, "-startdate", _time(days[0]), "-enddate", _time(days[1]),
                 "-md", digest, *signer)
        os.chmod(path, 0o644)
        return path, key_path

    def chain(self, certificate):
        """The certificate with the intermediate authorities behind it, as a server sends it."""
        out = os.path.join(self.directory, os.path.basename(certificate) + ".chain")
        parts, authority = [certificate], self
        while authority.issuer:
            parts.append(authority.certificate)
            authority = authority.issuer
        with open(out, "w", encoding="utf-8") as to:
            for part in parts:
                with open(part, encoding="utf-8") as f:
                    to.write(f.read())
        return out
