#!/usr/bin/env python3
"""The helper for GSSAPI with a key distribution centre of MIT's, and one that never answers."""
import os
import socket
import subprocess
import sys

import fdialtest
from kdc import Kdc

program = f"{fdialtest.BUILDDIR}/tests/real/kerberos-asker"
if not os.path.exists(program):
    fdialtest.skip_all("built without libcheck")
if Kdc.missing():
    fdialtest.skip_all(f"no {Kdc.missing()} here")

# It takes what is sent, over UDP and TCP, and says nothing. TCP first, of which many ports are in use.
tcp = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", tcp.getsockname()[1]))

kdc = Kdc(f"{os.environ['TMPDIR']}/kdc", silent_realms={"SILENT.TEST": udp.getsockname()[1]})
try:
    service = kdc.add("HTTP/proxy.test")
    client = kdc.add("fdiald")
    environment = os.environ | kdc.environment | {
        "KRB5_KTNAME": service,
        "KRB5RCACHENAME": "none:",
        "GSS_MECH_CONFIG": "/dev/null",  # not NTLM's, which loses memory in every acceptor
        "CLIENT_KEYTAB": client,
        "CLIENT_CCACHE": kdc.ticket("fdiald", client),
        "WRONG_KEYTAB": kdc.foreign_keytab(f"fdiald@{Kdc.realm}"),
        "SILENT_KEYTAB": kdc.foreign_keytab("fdiald@SILENT.TEST"),
    }
    done = subprocess.run([program], env=environment, check=False)
finally:
    kdc.stop()
sys.exit(done.returncode)
