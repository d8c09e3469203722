#!/usr/bin/env python3
"""The order of the layers, in the #include lines; and each foreign library in its one place.

What a file includes lies in its own folder or in a layer below. Folders of one rank do not see each
other: so dialog/ and tls/ see no ring. A new folder of daemon/ has to be given its place here.
"""
import os
import pathlib
import re
import sys

TOP = pathlib.Path(os.environ.get("abs_top_srcdir") or pathlib.Path(__file__).resolve().parents[2])

ORDER = [
    ["proto"],
    ["daemon/base"],
    ["daemon/ring", "daemon/dialog", "daemon/tls"],
    ["daemon/resolve", "daemon/policy", "daemon/gss"],
    ["daemon/conn"],
    ["daemon/pool", "daemon/relay"],
    ["daemon/front"],
    ["daemon"],
]
RANK = {folder: rank for rank, folders in enumerate(ORDER) for folder in folders}
RANK["client"] = RANK["proto"] + 1  # nothing else is both below it and not of the daemon

# Library: the names of its headers and of its API, and the files that may use them.
LIBRARIES = {
    "liburing": (r"liburing\.h|linux/io_uring\.h",
                 r"io_uring_\w+|struct io_uring|IORING_\w+|IOSQE_\w+",
                 r"daemon/ring/\w+\.[ch]"),
    "OpenSSL": (r"openssl/.*",
                r"(?:SSL|X509V?3?|EVP|BIO|PEM|ASN1|OPENSSL|OSSL|CRYPTO|GENERAL_NAMES?|EC|RSA|BN|OBJ|TLS1?"
                r"|RAND|HMAC|ERR)_[a-z]\w+|SSL|SSL_CTX|X509|STACK_OF",
                r"daemon/tls/\w+\.[ch]|client/certificate\.c"),
    "c-ares": (r"ares\w*\.h", r"ares_\w+|ARES_\w+", r"daemon/resolve/dns\w*\.[ch]"),
    "libconfuse": (r"confuse\.h", r"cfg_\w+|CFGF?_\w+", r"daemon/policy/config_tree\.c"),
    "libsystemd": (r"systemd/.*", r"sd_[a-z]+_\w+|SD_LISTEN_\w+", r"daemon/\w+\.c"),
    "GSSAPI": (r"gssapi(?:/.*|\.h)|krb5\.h",
               r"gss_(?:init_sec|acquire|import|release|display|delete|indicate|set_neg)_\w+|GSS_[CS]_\w+|krb5_\w+",
               r"daemon/gss/\w+\.[ch]"),
    "libmicrohttpd": (r"microhttpd\.h", r"MHD_\w+", r"daemon/metrics_server\.c"),
    "jansson": (r"jansson\.h", r"json_\w+_t|json_\w+\(|JSON_[A-Z]+", r"client/cmd_\w+\.c"),
    "libidn2": (r"idn2\.h", r"idn2_\w+|IDN2_\w+", r"client/idn\.c"),
}
# No I/O in there: bytes in, bytes out.
SANS_IO = re.compile(r"(?:proto|daemon/dialog|daemon/tls)/.*")
IO_HEADERS = re.compile(r"poll\.h|sys/(?:e?poll|select)\.h|netdb\.h")
SANS_SOCKETS = re.compile(r"daemon/(?:dialog|tls)/.*")
SOCKET_HEADERS = re.compile(r"sys/socket\.h|sys/un\.h|netinet/tcp\.h")
# Lower layers never log: what happened is told upward.
LOGS = re.compile(r"daemon/(?:base|front)/.*|daemon/\w+\.[ch]")

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def folder_of(path):
    """A folder within a layer belongs to it."""
    folder = os.path.dirname(path)
    return "daemon/dialog" if folder.startswith("daemon/dialog/") else folder


def may_include(path, included):
    """None, or what is wrong about it."""
    mine, other = folder_of(path), folder_of(included)
    if included == "config.h":
        return None
    for folder in (mine, other):
        if folder not in RANK:
            return f"{folder or included} has no place in the order of the layers"
    if mine == other:
        return None
    if included.endswith("/internal.h"):
        return f"{included} is for {other}/ only"
    if RANK[other] >= RANK[mine] or (mine == "client") != (other == "client") and other != "proto":
        return f"{mine}/ is not above {other}/"
    return None


def wrongs_in(path, text):
    for quote, name in INCLUDE.findall(text):
        if quote == '"':
            if name != "config.h" and not (TOP / name).is_file():
                yield f'"{name}" is not a path from the top'
            elif wrong := may_include(path, name):
                yield f'"{name}": {wrong}'
            elif name == "daemon/base/log.h" and not LOGS.fullmatch(path):
                yield f'"{name}": lower layers do not log'
            continue
        if SANS_IO.fullmatch(path) and IO_HEADERS.fullmatch(name) \
                or SANS_SOCKETS.fullmatch(path) and SOCKET_HEADERS.fullmatch(name):
            yield f"<{name}>: no I/O in here"
        for library, (headers, _, places) in LIBRARIES.items():
            if re.fullmatch(headers, name) and not re.fullmatch(places, path):
                yield f"<{name}>: {library} belongs into {places}"
    code = COMMENT_OR_STRING.sub(" ", INCLUDE.sub(" ", text))
    for library, (_, names, places) in LIBRARIES.items():
        if not re.fullmatch(places, path) and (match := re.search(rf"\b(?:{names})", code)):
            yield f"{match[0].strip()}: {library} belongs into {places}"


# What has to be found, and what must not be: the check itself can fail.
SAMPLES = [
    ("daemon/conn/conn.c", '#include "daemon/ring/ring.h"\n', True),
    ("daemon/main.c", '#include "daemon/daemon.h"\n#include "config.h"\n', True),
    ("client/main.c", '#include "proto/target.h"\n', True),
    ("daemon/ring/ring.c", "#include <liburing.h>\nstruct io_uring ring;\n", True),
    ("daemon/conn/conn.c", "/* an SSL object, io_uring_enter() */ x(\"SSL_new\");\n", True),
    ("daemon/tls/session.c", '#include "daemon/ring/ring.h"\n', False),
    ("daemon/tls/session.c", "#include <sys/socket.h>\n", False),
    ("daemon/base/log.c", '#include "daemon/front/front.h"\n', False),
    ("daemon/policy/config.c", '#include "daemon/resolve/resolve.h"\n', False),
    ("daemon/conn/conn.c", '#include "daemon/base/log.h"\n', False),
    ("daemon/front/peer.c", '#include "daemon/ring/internal.h"\n', False),
    ("daemon/front/peer.c", '#include "peer.h"\n', False),
    ("daemon/front/peer.c", '#include "client/fdial.h"\n', False),
    ("client/main.c", '#include "daemon/base/list.h"\n', False),
    ("proto/wire.c", '#include "client/fdial.h"\n', False),
    ("proto/wire.c", '#include "daemon/base/list.h"\n', False),
    ("daemon/conn/conn.c", "io_uring_get_sqe(r);\n", False),
    ("daemon/conn/conn.c", "static struct x_ctx { SSL *ssl; } s;\n", False),
    ("client/cmd_check.c", "X509_free(x);\n", False),
    ("daemon/resolve/cache.c", "#include <ares.h>\n", False),
    ("daemon/policy/config.c", "cfg_t *cfg;\n", False),
    ("daemon/dialog/auth/auth.c", '#include "daemon/dialog/http_head.h"\n', True),
    ("daemon/dialog/auth/auth.c", '#include "daemon/tls/tls.h"\n', False),
    ("daemon/dialog/socks5.c", "#include <gssapi/gssapi.h>\n", False),
    ("daemon/dialog/socks5.c", '#include "daemon/gss/gss.h"\n', False),
    ("daemon/conn/step_dialog.c", '#include "daemon/gss/gss.h"\n', True),
    ("daemon/conn/step_dialog.c", "gss_init_sec_context();\n", False),
    ("daemon/new/thing.c", '#include "proto/wire.h"\n', False),
]


def main():
    failed = 0
    for path, text, is_right in SAMPLES:
        if is_right != (not list(wrongs_in(path, text))):
            print(f"the check judges wrongly: {path}: {text!r}: {list(wrongs_in(path, text))}")
            failed += 1
    n_files = 0
    for folder in ("proto", "daemon", "client"):
        for file in sorted((TOP / folder).rglob("*.[ch]")):
            path = str(file.relative_to(TOP))
            n_files += 1
            for wrong in wrongs_in(path, file.read_text(encoding="utf-8")):
                print(f"{path}: {wrong}")
                failed += 1
    print(f"{n_files} files, {failed} wrong")
    return 1 if failed or n_files < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
