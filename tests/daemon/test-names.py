"""Name servers that lie: whatever they answer, only addresses that the rule permits are ever dialled, by
what those see who would have been; and a name that no rule allows is not asked for, by what the name
server sees."""
import contextlib
import ipaddress
import os
import socket

import fdialtest
import rig
from rig import attr, rule, strings

if not fdialtest.is_root():
    fdialtest.skip_all("needs root, for a network of its own")

NO_ADDRESS, DENIED, DENIED_ADDRESS, OVER_LIMIT, NO_KIND = 31, 20, 21, 7, 90
ALL_CLASSES = strings("public", "private", "loopback", "link-local", "host")
PUBLIC = rig.FAR_PUBLIC[0]
INNER = {"public": PUBLIC, "private": rig.FAR_SIDE, "link-local": rig.FAR_LINK_LOCAL,
         "loopback": "127.0.0.1", "host": rig.NEAR_SIDE}
FAR = rig.FarSide()


def teredo(server, client):
    """RFC 4380, 4: the server's address, flags, the client's port and address, those inverted."""
    v4 = [int(ipaddress.IPv4Address(a)) for a in (server, client)]
    return 0x20010000 << 96 | v4[0] << 64 | v4[1] ^ 0xFFFFFFFF


def embedding(ipv4):
    """{form: IPv6 address that stands for this one}"""
    n = int(ipaddress.IPv4Address(ipv4))
    return {form: str(ipaddress.IPv6Address(value)) for form, value in {
        "mapped": 0xFFFF << 32 | n,             # RFC 4291, 2.5.5.2
        "compatible": n,                        # RFC 4291, 2.5.5.1
        "nat64": 0x64FF9B << 96 | n,            # RFC 6052
        "local-nat64": 0x64FF9B0001 << 80 | n,  # RFC 8215
        "6to4": 0x2002 << 112 | n << 80 | 1,    # RFC 3056
        "teredo-server": teredo(ipv4, PUBLIC),
        "teredo-client": teredo(PUBLIC, ipv4),
    }.items()}


# {name: address}, for example 6to4-private
EMBEDDED = {f"{form}-{kind}": address for kind, ipv4 in INNER.items()
            for form, address in embedding(ipv4).items()}


def plain(address):
    """As it is written without the IPv6 around IPv4 that a socket for both shows."""
    ip = ipaddress.ip_address(address)
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def written(address):
    """As inet_ntop(3) has it, with dots where it embeds IPv4."""
    return socket.inet_ntop(socket.AF_INET6, ipaddress.IPv6Address(address).packed)


class Names(rig.Case):
    @classmethod
    def setUpClass(cls):
        on_far_side = {a for name, a in EMBEDDED.items() if not name.startswith("mapped")}
        FAR.do(rig._ip, *[f"addr add {a}/128 dev lo nodad" for a in on_far_side])

    def setUp(self):
        super().setUp()
        far = self.serve(FAR.do(fdialtest.Echo, host="::", family=socket.AF_INET6))
        near = self.serve(fdialtest.Echo(host="::", family=socket.AF_INET6, port=far.port))
        self.port, self.origins = far.port, (near, far)
        self.names = self.name_server("")

    def dialled(self):
        """Who has been connected to, on either side."""
        near, far = self.origins
        return {plain(a) for a in rig.dialled([near]) + FAR.do(rig.dialled, [far])}

    def daemon(self, *rules, **kwargs):
        return self.start_daemon(f'workers = 2\nnameservers = "127.0.0.1:{self.names.port}"\n'
                                 + "".join(rules), **kwargs)

    def ask(self, daemon, target, *attributes, **kwargs):
        with contextlib.closing(rig.Session(daemon.socket)) as s:
            m = s.connect(target, *attributes, **kwargs)
        for fd in m.fds:
            os.close(fd)
        return m

    # ---- what is dialled ----

    def test_embedded_addresses(self):
        """Each form of IPv4 in IPv6 counts as what it embeds. That all of them lead somewhere is shown
        under a rule that permits everything."""
        self.names.change_script("".join(f"{name}.{zone}.test 30 AAAA {address}\n"
                                         for name, address in EMBEDDED.items()
                                         for zone in ("narrow", "wide")))
        daemon = self.daemon(
            rule("narrow", allow='"tcp://*.narrow.test:*"', addresses='"public"'),
            rule("wide", allow='"tcp://*.wide.test:*"', addresses=ALL_CLASSES))
        wanted = set()
        for name, address in EMBEDDED.items():
            m = self.ask(daemon, f"tcp://{name}.narrow.test:{self.port}")
            with self.subTest(name, address=address):
                if name.endswith("-public"):
                    self.assertEqual(m.code, 0, m)
                    wanted.add(plain(address))
                else:
                    self.assertEqual((m.code, m.stage), (DENIED_ADDRESS, "policy"), m)
                    self.assertIn(f"{written(address)} is ", m.detail)
        self.assertEqual(self.dialled(), wanted)
        for name, address in EMBEDDED.items():
            with self.subTest(name, address=address):
                self.assertEqual(self.ask(daemon, f"tcp://{name}.wide.test:{self.port}").code, 0)
        self.assertEqual(self.dialled(), {plain(a) for a in EMBEDDED.values()})

    def test_mixed_with_permitted_ones(self):
        forbidden = [a for name, a in EMBEDDED.items() if not name.endswith("-public")]
        self.names.change_script("".join(
            [f"mixed.test 30 AAAA {a}\n" for a in forbidden[:15]]
            + [f"mixed.test 30 A {a}\n" for a in INNER.values()] + ["mixed.test 30 A 0.0.0.0\n"]))
        daemon = self.daemon(rule(addresses='"public"'))
        m = self.ask(daemon, f"tcp://mixed.test:{self.port}", rig.u32(rig.COUNT, 32))
        self.assertEqual((m.code, len(m.fds)), (0, 32), m)
        self.assertEqual(self.dialled(), {PUBLIC})
        m = self.ask(daemon, f"tcp://mixed.test:{self.port}", rig.u8(rig.FAMILY, 6))
        self.assertEqual(m.code, DENIED_ADDRESS, m)
        self.assertEqual(self.dialled(), {PUBLIC})

    def test_rebinding(self):
        """The name has another address each time that it is asked for, with a TTL of 0."""
        daemon = self.daemon(rule(addresses='"public"'))
        addresses = [PUBLIC, rig.FAR_SIDE, "127.0.0.1", PUBLIC, EMBEDDED["mapped-loopback"],
                     EMBEDDED["nat64-private"], rig.NEAR_SIDE, PUBLIC]
        for i, address in enumerate(addresses):
            kind = "AAAA" if ":" in address else "A"
            self.names.change_script(f"rebinding.test 0 {kind} {address}\n")
            m = self.ask(daemon, f"tcp://rebinding.test:{self.port}")
            self.assertEqual(m.code, 0 if address == PUBLIC else DENIED_ADDRESS, m)
            # Asked once for each family: what was checked is what is dialled.
            fdialtest.wait_until(lambda n=2 * (i + 1): len(self.names.questions) >= n, rig.WAIT_S)
            self.assertEqual(len(self.names.questions), 2 * (i + 1))
        self.assertEqual(self.dialled(), {PUBLIC})

    def test_rebinding_within_one_request(self):
        """Permitted when it is resolved, forbidden from then on: many connections of one request."""
        daemon = self.daemon(rule(addresses='"public"'))
        self.names.change_script(f"rebinding.test 0 A {PUBLIC}\n")
        s = self.session(daemon)
        ident = s.submit(f"tcp://rebinding.test:{self.port}", rig.u32(rig.COUNT, 64))
        fdialtest.wait_until(lambda: len(self.names.questions) >= 2, rig.WAIT_S, "the questions")
        self.names.change_script(f"rebinding.test 0 A {rig.FAR_SIDE}\n")
        m = s.recv_kind(rig.RESULT)
        for fd in m.fds:
            os.close(fd)
        self.assertEqual((m.id, m.code, len(m.fds)), (ident, 0, 64), m)
        self.assertEqual(len(self.names.questions), 2)
        self.assertEqual(self.dialled(), {PUBLIC})

    def test_nothing_to_dial(self):
        self.names.change_script("empty.test 30 NODATA\nzero.test 30 A 0.0.0.0\nzero.test 30 AAAA ::\n"
                                 "group.test 30 A 224.0.0.1\ngroup.test 30 AAAA ff02::1\n"
                                 "all.test 30 A 255.255.255.255\n")
        daemon = self.daemon(rule(addresses=ALL_CLASSES))
        for name, code in (("empty", NO_ADDRESS), ("zero", DENIED_ADDRESS), ("group", DENIED_ADDRESS),
                           ("all", DENIED_ADDRESS)):
            with self.subTest(name):
                m = self.ask(daemon, f"tcp://{name}.test:{self.port}")
                self.assertEqual(m.code, code, m)
        self.assertEqual(self.dialled(), set())

    def test_chains(self):
        """An alias leads to names that the client may not have: their addresses count, and they are not
        asked for."""
        self.names.change_script(f"""\
inside.test 30 A {rig.FAR_SIDE}
outside.test 30 A {PUBLIC}
localhost 30 A 127.0.0.1
a.allowed.test 30 CNAME b.allowed.test
b.allowed.test 30 CNAME inside.test
c.allowed.test 30 CNAME localhost
d.allowed.test 30 CNAME outside.test
e.allowed.test 30 CNAME nowhere.test
""")
        daemon = self.daemon(rule(allow='"tcp://*.allowed.test:*"', addresses='"public"'))
        for name, code in (("a", DENIED_ADDRESS), ("b", DENIED_ADDRESS), ("c", DENIED_ADDRESS), ("d", 0)):
            m = self.ask(daemon, f"tcp://{name}.allowed.test:{self.port}")
            self.assertEqual(m.code, code, m)
        m = self.ask(daemon, f"tcp://e.allowed.test:{self.port}")
        self.assertEqual(m.stage, "resolve", m)
        self.assertEqual(self.dialled(), {PUBLIC})
        for name in ("inside.test", "outside.test", "localhost", "nowhere.test"):
            self.assertEqual(self.names.asked_for(name), [])

    # ---- what is asked for ----

    def assert_asked(self, daemon, *names):
        """These and no others. A name that is allowed is asked for last, behind all others."""
        self.ask(daemon, "tcp://last.test:1")
        wanted = {*names, "last.test"}
        fdialtest.wait_until(lambda: wanted <= {q.split()[-1] for q in self.names.questions}, rig.WAIT_S,
                             "the questions")
        self.assertEqual({q.split()[-1] for q in self.names.questions}, wanted)

    def test_denied_names_are_not_asked_for(self):
        allowed = strings("tcp://last.test:*", "tcp://port.test:22", "tls://tls.test:*",
                          "tls://*.below.test:443", "tcp://denied.test:*")
        daemon = self.daemon(rule("theirs", client=f'"uid:{fdialtest.CLIENT_UID}"'),
                             rule(allow=allowed, deny=strings("tcp://denied.test:*", "tls://bad.test:*")))
        for target in ("tcp://port.test:23", "tls://port.test:22", "https://last.test", "tcp://tls.test:1",
                       "tls://below.test:443", "tcp://denied.test:1", "tcp://DENIED.test:1",
                       "tcp://denied.test.:1", "tls://bad.test:443", "tcp://other.test:1",
                       "tcp://last.test.other.test:1"):
            with self.subTest(target):
                m = self.ask(daemon, target)
                self.assertIn((m.code, m.stage), ((DENIED, "policy"), (3, "request")), m)
        for name in ("other.test", "bad.test"):
            m = self.ask(daemon, "tls://tls.test:443", attr(rig.TLS_NAME, name))
            self.assertEqual((m.code, m.stage), (DENIED, "policy"), m)
        self.assert_asked(daemon)

    def test_wrong_listener(self):
        daemon = self.daemon(rule("agents", socket='"agents"', allow='"tcp://agents.test:*"'),
                             rule(allow='"tcp://last.test:*"'), listeners=("fdial", "agents"))
        self.assertEqual(self.ask(daemon, "tcp://agents.test:1").code, DENIED)
        self.assert_asked(daemon)
        with contextlib.closing(rig.Session(daemon.sockets["agents"])) as s:
            self.assertEqual(s.connect("tcp://last.test:1").code, DENIED)
            s.connect("tcp://agents.test:1")
        self.assert_asked(daemon, "agents.test")

    def test_over_a_limit(self):
        hole = self.serve(fdialtest.BlackHole())
        daemon = self.daemon(rule("one", allow=strings("tcp://127.0.0.1:*", "tcp://one.test:*"),
                                  max_pending="1"), rule(allow='"tcp://last.test:*"'))
        s = self.session(daemon)
        ident = s.submit(f"tcp://127.0.0.1:{hole.port}", timeout_ms=600000)
        s.status()
        self.assertEqual(self.ask(daemon, "tcp://one.test:1").code, OVER_LIMIT)
        self.assert_asked(daemon)
        s.send(rig.message(rig.CANCEL, ident))
        self.assertEqual(s.recv_kind(rig.RESULT).id, ident)
        self.ask(daemon, "tcp://one.test:1")
        self.assert_asked(daemon, "one.test")

    def test_what_cannot_be_had_is_not_asked_for(self):
        """Options that do not fit, and a kind of hand-over that the rule does not have."""
        daemon = self.daemon(rule(handoff='"relay"'))
        m = self.ask(daemon, "tcp://kind.test:1", handover=rig.KTLS)
        self.assertEqual((m.code, m.stage), (NO_KIND, "handoff"), m)
        m = self.ask(daemon, "tcp://option.test:1", attr(rig.ALPN, "h2"))
        self.assertEqual((m.code, m.stage), (4, "request"), m)
        self.assert_asked(daemon)


if __name__ == "__main__":
    fdialtest.main()
