#!/usr/bin/env python3
"""Who looks names up, and which targets go without a proxy: seen at the daemon's name server, and in the
logs of real proxies."""
import fdialtest
from proxy_case import Case, proxy, rig, way
from proxy_peers import Dante, Squid

SCRIPT = """
near.example 60 A 127.0.0.1
far.example 60 A 127.0.0.3
two.example 60 A 127.0.0.3
two.example 60 A 127.0.0.1
public.example 60 A 93.184.216.34
mixed.example 60 A 93.184.216.34
mixed.example 60 A 127.0.0.1
proxy.example 60 A 127.0.0.1
in.corp.example 60 A 127.0.0.1
corp.example 60 A 127.0.0.1
"""


class Names(Case):
    @classmethod
    def setUpClass(cls):
        fdialtest.need_command("squid", "danted")
        super().setUpClass()
        cls.names = rig.NameServer(SCRIPT)
        cls.addClassCleanup(cls.names.stop)
        # What only the proxies know, or know otherwise.
        hosts = {"inside.example": "127.0.0.1", "near.example": "127.0.0.1"}
        cls.squid = cls.run_server(Squid, hosts=hosts)
        cls.dante = cls.run_server(Dante, hosts=hosts)
        no_proxy = '{ ".corp.example", "127.0.0.2", "127.1.0.0/16", "near.example:1-1024" }'
        ways = "".join(way(f"{p}-local", p) + way(f"{p}-proxy", p, resolve='"proxy"',
                                                  no_proxy='".corp.example"')
                       for p in ("squid", "dante"))
        ways += way("no-proxy", "squid", no_proxy=no_proxy)
        ways += way("public", "squid", addresses='"public"')
        ways += way("public-proxy", "squid", resolve='"proxy"', addresses='"public"',
                    no_proxy='".corp.example"')
        cls.run_daemon(proxy("squid", f"http://proxy.example:{cls.squid.port}")
                       + proxy("dante", f"socks5://127.0.0.1:{cls.dante.port}"), ways, {},
                       f'nameservers = "127.0.0.1:{cls.names.port}"\n')
        cls.port = cls.plain.port
        cls.closed = cls.run_server(fdialtest.Closed).port

    def asked_squid(self, name, target):
        """What squid was asked for, by its log, which it writes at the end of a connection."""
        n_before = self.squid.access().count("CONNECT")
        status, told = self.check_on(name, target)
        self.assertEqual(status, 0, told)
        fdialtest.wait_until(lambda: self.squid.access().count("CONNECT") > n_before)
        return self.squid.access().split("CONNECT ")[-1].split()[0]

    def test_local(self):
        self.assertEqual(self.asked_squid("squid-local", f"tcp://near.example:{self.port}"),
                         f"127.0.0.1:{self.port}")
        self.assertTrue(self.names.asked_for("near.example"))
        self.assert_carries("dante-local")
        n_before = self.dante.access().count(f"127.0.0.1.{self.port}")
        self.assertEqual(self.check_on("dante-local", f"tcp://near.example:{self.port}")[0], 0)
        self.assertGreater(self.dante.access().count(f"127.0.0.1.{self.port}"), n_before)

    def test_proxy(self):
        """Nothing was asked about a name that the proxy looks up, nor could we have answered it."""
        self.assertEqual(self.asked_squid("squid-proxy", f"tcp://inside.example:{self.port}"),
                         f"inside.example:{self.port}")
        self.assertEqual(self.check_on("dante-proxy", f"tcp://inside.example:{self.port}")[0], 0)
        self.assertEqual(self.names.asked_for("inside.example"), [])

    def test_next_address(self):
        """Nobody listens at the first; both proxies tell so, and are asked for the second."""
        origin = self.serve(fdialtest.Echo(host="127.0.0.1"))
        n_before = self.squid.access().count("CONNECT")
        for name in ("squid-local", "dante-local"):
            status, told = self.check_on(name, f"tcp://two.example:{origin.port}")
            self.assertEqual((status, told["error"]), (0, None))
        fdialtest.wait_until(lambda: self.squid.access().count("CONNECT") > n_before)
        self.assertIn(f"CONNECT 127.0.0.1:{origin.port} ", self.squid.access())
        for name in ("squid-local", "dante-local"):
            status, told = self.check_on(name, f"tcp://two.example:{self.closed}")
            self.assertEqual((status, told["error"]["stage"], told["error"]["hop"]), (7, "proxy", 1), told)

    def test_addresses_hold(self):
        """With the daemon's own look-up; with the proxy's for literals and for what goes direct."""
        for target in ("near.example", "127.0.0.1", "in.corp.example"):
            status, told = self.check_on("public", f"tcp://{target}:{self.port}")
            self.assertEqual((status, told["error"]["name"]), (4, "DENIED_ADDRESS"), told)
        for target in ("127.0.0.1", "in.corp.example"):
            status, told = self.check_on("public-proxy", f"tcp://{target}:{self.port}")
            self.assertEqual((status, told["error"]["name"]), (4, "DENIED_ADDRESS"), told)
        self.assertEqual(self.asked_squid("public-proxy", f"tcp://near.example:{self.port}"),
                         f"near.example:{self.port}")

    def test_mixed_addresses(self):
        """Only what passes is told to the proxy."""
        self.assertEqual(self.asked_squid("squid-local", f"tcp://mixed.example:{self.port}"),
                         f"127.0.0.1:{self.port}")
        self.assertNotIn("93.184.216.34", self.squid.access())

    def is_direct(self, name, target):
        n_before = self.squid.access().count("CONNECT")
        status, told = self.check_on(name, target)
        self.assertEqual(status, 0, told)
        hops = {stage["hop"] for stage in told["stages"]}
        if 1 in hops:
            fdialtest.wait_until(lambda: self.squid.access().count("CONNECT") > n_before)
        else:
            self.assertEqual(self.squid.access().count("CONNECT"), n_before)
        return 1 not in hops

    def test_no_proxy(self):
        everywhere = self.serve(fdialtest.Echo(host="0.0.0.0"))
        for host, wanted in (("in.corp.example", True), ("corp.example", True), ("near.example", False),
                             ("127.0.0.2", True), ("127.0.0.4", False), ("127.1.2.3", True)):
            with self.subTest(host):
                self.assertEqual(self.is_direct("no-proxy", f"tcp://{host}:{everywhere.port}"), wanted)
        self.assertTrue(self.is_direct("squid-proxy", f"tcp://in.corp.example:{everywhere.port}"))

    def test_plans(self):
        self.assert_plan("squid-local", "tcp://near.example:7", f"resolve(near.example) resolve(proxy.example)"
                         f" connect({self.squid.port}) http-connect(squid) handoff(tcp)")
        self.assert_plan("squid-proxy", "tcp://a.example:7", f"resolve(proxy.example)"
                         f" connect({self.squid.port}) http-connect(squid) handoff(tcp)")
        self.assert_plan("no-proxy", "tcp://a.corp.example:7", "resolve(a.corp.example) connect(7) handoff(tcp)")
        self.assert_plan("no-proxy", "tcp://near.example:1024",
                         "resolve(near.example) connect(1024) handoff(tcp)")
        self.assert_plan("no-proxy", "tcp://near.example:1025", "http-connect(squid) handoff(tcp)")
        self.assertEqual(self.names.asked_for("a.corp.example") + self.names.asked_for("a.example"), [])


if __name__ == "__main__":
    fdialtest.main()
