"""Secrets of a test, and the search for them in all that comes out: the daemon's log at debug level, what
`fdial` says, each message on a session, status and metrics. A test keep()s what nobody may read; fdialtest
and the rig search by themselves, the log when the daemon has ended."""
import base64
import os
import tempfile
import urllib.parse

LENGTH_MIN = 8  # shorter ones are found by chance

_forms = {}  # secret: the byte strings that give it away


class Leak(AssertionError):
    """A secret was where it must not be."""


def _base64_forms(secret):
    """Whatever stands before and behind it: only those characters that are its own."""
    for n_before in range(3):
        text = base64.b64encode(b"\0" * n_before + secret).rstrip(b"=")
        n_shared = -(-n_before * 8 // 6)
        n_bits = (n_before + len(secret)) * 8
        own = text[n_shared:n_bits // 6]
        yield own
        yield own.translate(bytes.maketrans(b"+/", b"-_"))


def _make_forms(secret):
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield b" ".join(b"%02x" % byte for byte in secret)
    yield urllib.parse.quote(secret, safe="").encode()
    yield "".join(f"\\x{byte:02x}" for byte in secret).encode()
    yield from _base64_forms(secret)


def keep(secret):
    """Nobody may read this from now on. Returns it."""
    data = secret.encode(errors="surrogateescape") if isinstance(secret, str) else bytes(secret)
    assert len(data) >= LENGTH_MIN, "too short to be searched for"
    _forms[data] = sorted(set(_make_forms(data)))
    return secret


def keep_credential(text):
    """What a credential has that is secret: the password of user:password, the lines of a private key, or
    all of it."""
    lines = text.strip().splitlines()
    if "PRIVATE KEY-----" in text:
        is_key = False
        for line in lines:
            is_key = "PRIVATE KEY-----" in line and "BEGIN" in line or is_key and "-----END" not in line
            if is_key and "-----" not in line and len(line) >= LENGTH_MIN:
                keep(line)
    elif len(lines) == 1 and "-----BEGIN" not in text:
        secret = lines[0].partition(":")[2] or lines[0]
        if len(secret) >= LENGTH_MIN:
            keep(secret)
    return text


def keep_folder(path):
    """All that is secret in the files of a folder of credentials."""
    for entry in os.scandir(path):
        if entry.is_file():
            with open(entry.path, encoding="utf-8", errors="surrogateescape") as f:
                keep_credential(f.read())


def search(data, where):
    data = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    for secret, forms in _forms.items():
        for form in forms:
            at = data.find(form)
            if at >= 0:
                around = data[max(0, at - 80):at + len(form) + 80]
                raise Leak(f"{where} shows the secret {secret!r}: …{around!r}…")


def is_in(data, secret):
    """In whatever form; of a secret that was kept."""
    return any(form in data for form in _forms[secret.encode()])


def has_secrets():
    return bool(_forms)


def forget():
    _forms.clear()


def write_credentials(texts):
    """{name: text} as the files of a folder for $CREDENTIALS_DIRECTORY. All that is secret is kept."""
    directory = tempfile.mkdtemp(prefix="credentials-")
    for name, text in texts.items():
        if isinstance(text, bytes):  # a keytab, or the like: the key is at its end
            keep(text[-32:])
        else:
            text = keep_credential(text).encode()
        with open(os.path.join(directory, name), "wb") as f:
            f.write(text)
    return directory
