/* Mistakes, each with the line and the sentence it gets. */
#include "tests/unit/test-config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE(body) "rule \"a\" {\n client = \"uid:1\"\n allow = \"tcp://h:1\"\n" body "\n}\n"
#define RATE                                                                                       \
    "4: 'max-rate' takes 1 to 1000000 a second, minute or hour, like \"100/s\", \"30/min\" or "    \
    "\"5/h\"; "
#define TLS(body) "tls \"a\" {\n" body "\n}\n"
#define PIN_TAKES                                                                                  \
    ": 'pin' takes sha256// and the SHA-256 of a public key in base 64, 44 characters; "
#define PIN            "2" PIN_TAKES
#define DIGEST         "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF" /* all but the last two characters */
#define ALLOW(pattern) "rule \"a\" {\n client = \"uid:1\"\n allow = " pattern "\n}\n"
#define CLIENT(client) "rule \"a\" {\n client = " client "\n allow = \"tcp://h:1\"\n}\n"

static const struct {
    const char *text;
    const char *error; /* behind "c:" */
} mistakes[] = {
    /* form */
    {"workers = 1\n}", "2: this '}' closes nothing; remove it"},
    {"\n\nrule \"a\" {\n client = \"uid:1\"\n\n", "3: the section that begins here is not closed; "
                                                  "write '}'"},
    {"rule \"a\" {\n client = \"uid:1\"\nrule \"b\" {\n}\n}",
     "3: a section begins inside another; close the one before with '}'"},
    {"rule \"a\" {\n client = \"uid:1\"\ntls \"b\" {\n}\n}",
     "3: a section begins inside another; close the one before with '}'"},
    {"rule \"a\" {\n client = \"uid:1\"\n proxy = b\n}",
     "3: 'proxy' begins a section and is no key here; a rule names its proxies in 'via'"},
    {"proxy \"a\" {\n rule = b\n}",
     "2: 'rule' begins a section and is no key here; see fdiald.conf(5)"},
    {"rule {\n}", "1: a title is missing; write rule \"name\" { ... }"},
    {"tls\n\"\" {\n}", "2: a title has 1 to 64 letters, digits, '.', '_' and '-'"},
    {"rule \"a b\" {\n}", "1: a title has 1 to 64 letters, digits, '.', '_' and '-'"},
    {"rule \"a\"\n client = \"uid:1\"", "2: write '{' after the title of the section 'rule'"},
    {"workers 3", "1: write '=' after 'workers'"},
    {"workers =\n", "2: the value of 'workers' is missing"},
    {"workers = = 3", "1: the value of 'workers' is missing"},
    {"workers = { 1, 2 }", "1: 'workers' takes one value; remove the braces"},
    {"\"workers\" = 3", "1: a key or a section is missing here"},
    {"workers = 3;", "1: unexpected ';'; put values with such characters in quotes"},
    {"# one\n// two\n/* three\nfour */ workers = 3 # five\n= 3",
     "5: a key or a section is missing here"},
    {"workers = 3\r\n",
     "1: the line ends with a carriage return; save the file with Unix line ends"},
    {"\xef\xbb\xbfworkers = 3", "1: unexpected byte 0xef; put text in quotes"},
    {"workers = 3#x",
     "1: a comment begins inside '3'; put the value in quotes, or a space before the "
     "comment"},
    {ALLOW("https://h"), "3: a comment begins inside 'https:'; put the value in quotes, or a space "
                         "before the comment"},
    {"\n/* no end\n\n", "2: the comment that begins here has no end; write '*/'"},
    {"\nnameservers = \"192.0.2.1\n\"",
     "2: the string that begins on this line has no closing quote"},
    {"nameservers = \"192.0.2.1", "1: the string that begins on this line has no closing quote"},
    {"nameservers = '192.0.2.1\"", "1: the string that begins on this line has no closing quote"},
    {"nameservers = \"192\\0562.1\"", "1: there are no escapes in strings; remove the backslash"},
    {"nameservers = \"\t\"", "1: control character 0x09 in a string; remove it"},
    {"workers = \"${HOME}\"", "1: nothing is expanded here; write the value instead of ${...}"},
    {"workers = '${HOME}'", "1: nothing is expanded here; write the value instead of ${...}"},
    {"workers = ${HOME}", "1: nothing is expanded here; write the value instead of ${...}"},
    {"rule ${HOME} {", "1: nothing is expanded here; write the value instead of ${...}"},
    {"nameservers += { \"192.0.2.1\" }", "1: '+=' is not known; write one list with '='"},
    {"include(\"x\")", "1: unknown key 'include'; see fdiald.conf(5)"},
    {"workers(3)", "1: unexpected '('; put values with such characters in quotes"},
    {"nameservers = {\n}",
     "2: the list of 'nameservers' is empty; write a value, or remove the key"},
    {"nameservers = { , }", "1: a value of 'nameservers' or '}' is missing here"},
    {"nameservers = { \"192.0.2.1\",\n, }", "2: a value of 'nameservers' or '}' is missing here"},
    {"nameservers = { \"192.0.2.1\"\n\"192.0.2.2\" }", "2: a ',' or '}' is missing in the list of "
                                                       "'nameservers'"},
    {"nameservers = { \"192.0.2.1\",\n", "2: a value of 'nameservers' or '}' is missing here"},
    {"rule \"a\" {\n 3 = 4 }", "2: unknown key '3'; see fdiald.conf(5)"},
    {"rule \"a\" {\n { }",
     "2: a key, or the '}' of the section that begins in line 1, is missing here"},
    /* keys */
    {"worker = 3", "1: unknown key 'worker'; see fdiald.conf(5)"},
    {"client = \"uid:1\"", "1: 'client' stands in a section rule \"name\" { ... }, not here"},
    {RULE("workers = 3"), "4: 'workers' stands outside of sections, not here"},
    {RULE("ktls = false"),
     "4: 'ktls' stands outside of sections, not here; for one rule leave it out of its 'handoff'"},
    {RULE("ca-file = \"/x\""), "4: 'ca-file' stands in a section tls \"name\" { ... }, not here"},
    {"tls \"a\" {\n allow = \"tcp://h:1\"\n}",
     "2: 'allow' stands in a section rule \"name\" { ... }, not here"},
    {"via = \"x\"", "1: 'via' stands in a section rule \"name\" { ... }, not here"},
    {"rule|a = 3", "1: unexpected '|'; put values with such characters in quotes"},
    {RULE("colour = \"red\""), "4: unknown key 'colour'; see fdiald.conf(5)"},
    {"workers = 1\n# again\nworkers = 2", "3: 'workers' is given twice, first at c:1; remove one"},
    {RULE("\nallow = \"tcp://h:2\""), "5: 'allow' is given twice, first at c:3; remove one"},
    {RULE("") "\n" RULE(""), "7: the title 'a' is given twice, first at c:1; rename one"},
    {"tls \"a\" {\n}\ntls \"a\" {\n}", "3: the title 'a' is given twice, first at c:1; rename one"},
    {RULE("warm = \"x\""), "4: 'warm' is not supported by this version; remove it"},
    /* values outside of sections */
    {"workers = many",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; 'many' "
     "is none"},
    {"workers = 010",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; '010' is "
     "none"},
    {"workers = -1",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; '-1' is "
     "none"},
    {"workers = 0x10",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; '0x10' "
     "is none"},
    {"workers = 257",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; '257' is "
     "none"},
    {"workers = \"\"",
     "1: 'workers' takes a number of 0 to 256, without leading zeros or sign; '' is "
     "none"},
    {"workers = 99999999999999999999",
     "1: 'workers' takes a number of 0 to 256, without leading zeros "
     "or sign; '99999999999999999999' is none"},
    {"sqpoll = 1", "1: 'sqpoll' takes true or false; '1' is neither"},
    {"ktls = yes", "1: 'ktls' takes true or false; 'yes' is neither"},
    {"drain-timeout = \"soon\"",
     "1: 'drain-timeout' takes a time like 30, 30s, 5m or 1h, at most a "
     "year, without leading zeros or sign; 'soon' is none"},
    {"drain-timeout = 8761h",
     "1: 'drain-timeout' takes a time like 30, 30s, 5m or 1h, at most a year, "
     "without leading zeros or sign; '8761h' is none"},
    {"drain-timeout = 05m",
     "1: 'drain-timeout' takes a time like 30, 30s, 5m or 1h, at most a year, "
     "without leading zeros or sign; '05m' is none"},
    {"\nmetrics = \"metrics.sock\"",
     "2: 'metrics' takes the path of a socket, which begins with '/', does not end with it, and "
     "has at most 107 bytes; 'metrics.sock' is none"},
    {"metrics = \"/run/\"", "1: 'metrics' takes the path of a socket, which begins with '/', does "
                            "not end with it, and has at most 107 bytes; '/run/' is none"},
    {"metrics = \"\"", "1: 'metrics' takes the path of a socket, which begins with '/', does not "
                       "end with it, and has at most 107 bytes; '' is none"},
    {"metrics = { \"/run/a\", \"/run/b\" }", "1: 'metrics' takes one value; remove the braces"},
    {"metrics-group = ci",
     "1: 'metrics-group' is for the socket of 'metrics', which is missing; add it, or remove this"},
    {"metrics = \"/m\"\nmetrics-group = absent",
     "2: there is no group 'absent'; make it, or remove it here"},
    {"metrics = \"/m\"\nmetrics-group = 01",
     "2: '01' has no id of 0 to 4294967294, without leading zeros or sign"},
    {"metrics = \"/m\"\nmetrics-group = broken",
     "2: cannot look up the group 'broken': Input/output error"},
    {"nameservers = {\n\"192.0.2.1\",\n\"ns.example.org\" }",
     "3: 'nameservers' takes addresses like 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53; "
     "'ns.example.org' is none"},
    {"nameservers = \"192.0.2.1:0\"",
     "1: 'nameservers' takes addresses like 192.0.2.1, 192.0.2.1:53 or "
     "[2001:db8::1]:53; '192.0.2.1:0' is none"},
    {"nameservers = \"[192.0.2.1]\"",
     "1: 'nameservers' takes addresses like 192.0.2.1, 192.0.2.1:53 or "
     "[2001:db8::1]:53; '[192.0.2.1]' is none"},
    {"nameservers = { \"2001:db8::1\",\n\"::1:53\" }",
     "2: 'nameservers': is '::1:53' an address with a port? write [::1]:53 if so, else [::1:53]"},
    {"nameservers = \"192.0.2.1,192.0.2.2\"",
     "1: 'nameservers' takes addresses like 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53; "
     "'192.0.2.1,192.0.2.2' is none"},
    /* tls */
    {"tls \"a\" {\n ca-file = \"ca.pem\"\n}", "2: 'ca-file' takes a path that begins with '/'"},
    {"tls \"a\" {\n\n ca-file = \"/nonexistent/ca.pem\"\n}",
     "3: cannot read /nonexistent/ca.pem: No such "
     "file or directory"},
    {"tls \"a\" {\n min-version = \"1.1\"\n}",
     "2: 'min-version' takes 1.2 or 1.3; '1.1' is unknown"},
    {"tls \"a\" {\n verify-name = \"a_b..c\"\n}",
     "2: 'verify-name' takes a host name or an address; 'a_b..c' is neither"},
    {"tls \"a\" {\n verify-name = \"\"\n}",
     "2: 'verify-name' takes a host name or an address; '' is neither"},
    {"tls \"a\" {\n verify-name = \".example.com\"\n}",
     "2: 'verify-name' takes a host name or an address; '.example.com' is neither"},
    {"tls \"a\" {\n verify-name = \"*.example.com\"\n}",
     "2: 'verify-name' takes a host name or an address; '*.example.com' is neither"},
    {"tls \"a\" {\n verify-name = \"a/b\"\n}",
     "2: 'verify-name' takes a host name or an address; 'a/b' is neither"},
    {"tls \"a\" {\n verify-name = \"a b\"\n}",
     "2: 'verify-name' takes a host name or an address; 'a b' is neither"},
    {"tls \"a\" {\n verify-name = \"[2001:db8::1]\"\n}",
     "2: 'verify-name' takes a host name or an address; '[2001:db8::1]' is neither"},
    {RULE("tls = \"partner\""),
     "4: there is no section tls \"partner\"; write one, or remove this key"},
    /* rules */
    {"\nrule \"a\" {\n allow = \"tcp://h:1\"\n}",
     "2: rule 'a' has no 'client' and would be for nobody; "
     "write who it is for"},
    {"\nrule \"a\" {\n client = \"uid:1\"\n}",
     "2: rule 'a' has no 'allow' and would allow nothing; "
     "write what it allows"},
    {CLIENT("\"build\""),
     "2: a client is user:NAME, uid:NUMBER, group:NAME, gid:NUMBER, unit:NAME or cgroup:/PATH; "
     "'build' is none"},
    {CLIENT("{ \"uid:1\",\n\"*\" }"),
     "3: a client is user:NAME, uid:NUMBER, group:NAME, gid:NUMBER, unit:NAME or cgroup:/PATH; "
     "'*' is none"},
    {CLIENT("\"user:\""), "2: there is no user ''; make it, or remove it here"},
    {CLIENT("\"user:missing\""), "2: there is no user 'missing'; make it, or remove it here"},
    {CLIENT("\"user:1001\""), "2: there is no user '1001'; write uid:1001 for the number"},
    {CLIENT("\"group:77\""), "2: there is no group '77'; write gid:77 for the number"},
    {CLIENT("\"user:17x\""), "2: there is no user '17x'; make it, or remove it here"},
    {CLIENT("\"group:missing\""), "2: there is no group 'missing'; make it, or remove it here"},
    {CLIENT("\"user:broken\""), "2: cannot look up the user 'broken': Input/output error"},
    {CLIENT("\"unit:ci\""),
     "2: 'unit:ci' names no unit: it needs a name and a suffix, like build.service"},
    {CLIENT("\"unit:\""),
     "2: 'unit:' names no unit: it needs a name and a suffix, like build.service"},
    {CLIENT("\"unit:.service\""),
     "2: 'unit:.service' names no unit: it needs a name and a suffix, like build.service"},
    {CLIENT("\"unit:@a.service\""),
     "2: 'unit:@a.service' names no unit: it needs a name and a suffix, like build.service"},
    {CLIENT("\"unit:ci@.service\""), "2: 'unit:ci@.service' names no unit: it is a template: name "
                                     "an instance, like build@1.service"},
    {CLIENT("\"unit:ci.slice\""), "2: 'unit:ci.slice' names no unit: a slice is no unit with "
                                  "processes; write cgroup:/ and its path"},
    {CLIENT("\"unit:ci.timer\""), "2: 'unit:ci.timer' names no unit: its suffix is none of "
                                  ".service .scope .socket .mount .swap"},
    {CLIENT("\"unit:ci-*.service\""),
     "2: 'unit:ci-*.service' names no unit: it has characters that "
     "a unit's name cannot have"},
    {CLIENT("\"unit:a/b.service\""),
     "2: 'unit:a/b.service' names no unit: it has characters that a unit's name cannot have"},
    {CLIENT("\"unit:a b.service\""),
     "2: 'unit:a b.service' names no unit: it has characters that a unit's name cannot have"},
    {CLIENT("\"cgroup:\""),
     "2: 'cgroup:' names no cgroup: it has to begin with /, the root of all cgroups"},
    {CLIENT("\"cgroup:ci.slice\""),
     "2: 'cgroup:ci.slice' names no cgroup: it has to begin with /, the root of all cgroups"},
    {CLIENT("\"cgroup:/\""),
     "2: 'cgroup:/' names no cgroup: everybody is below the root; name who is meant"},
    {CLIENT("\"cgroup:/ci.slice/\""),
     "2: 'cgroup:/ci.slice/' names no cgroup: it has an empty part, or a / at its end"},
    {CLIENT("\"cgroup:/a//b\""),
     "2: 'cgroup:/a//b' names no cgroup: it has an empty part, or a / at its end"},
    {CLIENT("\"cgroup:/a/../b\""), "2: 'cgroup:/a/../b' names no cgroup: it has a part . or .."},
    {CLIENT("\"cgroup:/a (deleted)\""), "2: 'cgroup:/a (deleted)' names no cgroup: the kernel "
                                        "shows such a name for cgroups that are no more"},
    {CLIENT("\"uid:\""), "2: 'uid:' has no id of 0 to 4294967294, without leading zeros or sign"},
    {CLIENT("\"uid:010\""),
     "2: 'uid:010' has no id of 0 to 4294967294, without leading zeros or sign"},
    {CLIENT("\"uid:-1\""),
     "2: 'uid:-1' has no id of 0 to 4294967294, without leading zeros or sign"},
    {CLIENT("\"gid:4294967295\""),
     "2: 'gid:4294967295' has no id of 0 to 4294967294, without leading "
     "zeros or sign"},
    {CLIENT("\"uid:18446744073709551617\""), "2: 'uid:18446744073709551617' has no id of 0 to "
                                             "4294967294, without leading zeros or sign"},
    {CLIENT("\"uid:65534\""),
     "2: 'uid:65534' has the id 65534, which is also shown for ids without a "
     "mapping and so matches nobody; use another"},
    {CLIENT("\"user:nobody\""),
     "2: 'user:nobody' has the id 65534, which is also shown for ids without "
     "a mapping and so matches nobody; use another"},
    {CLIENT("\"group:nogroup\""),
     "2: 'group:nogroup' has the id 65534, which is also shown for ids "
     "without a mapping and so matches nobody; use another"},
    {ALLOW("{ \"tcp://h:1\",\n\"h:2\" }"), "4: bad pattern 'h:2': write a scheme first, like "
                                           "https://host, or '*://' for all of them"},
    {ALLOW("\"tcp://h\""),
     "3: bad pattern 'tcp://h': this scheme has no port of its own; write ':443', "
     "or ':*' for all ports"},
    {RULE("deny = \"tls://10.2.0.1/16:5432\""), "4: bad pattern 'tls://10.2.0.1/16:5432': the "
                                                "address has bits set behind its prefix; write the "
                                                "first address of the prefix, or a longer one"},
    {RULE("socket = \"a:b\""),
     "4: 'socket' takes the FileDescriptorName= of a socket unit: 1 to 255 "
     "characters without ':'"},
    {RULE("socket = \"\""), "4: 'socket' takes the FileDescriptorName= of a socket unit: 1 to 255 "
                            "characters without ':'"},
    {RULE("addresses = { \"public\",\n\"any\" }"),
     "5: 'addresses' takes public, private, loopback, "
     "link-local and host; 'any' is unknown"},
    {RULE("addresses = {}"),
     "4: the list of 'addresses' is empty; write a value, or remove the key"},
    {RULE("handoff = \"udp\""), "4: 'handoff' takes tcp, ktls and relay; 'udp' is unknown"},
    {RULE("handoff = \"ktls,relay\""),
     "4: 'ktls,relay' is one word; write a list as { \"ktls\", ... }"},
    {RULE("seal = \"no\""), "4: 'seal' takes required or off; 'no' is unknown"},
    {RULE("source = \"\""), "4: 'source' takes an address of this host, like 192.0.2.7 or "
                            "2001:db8::7, or an interface, like eth0; '' is neither"},
    {RULE("source = \"192.0.2\""), "4: 'source' takes an address of this host, like 192.0.2.7 or "
                                   "2001:db8::7, or an interface, like eth0; '192.0.2' is neither"},
    {RULE("source = \"192.0.2.300\""),
     "4: 'source' takes an address of this host, like 192.0.2.7 or 2001:db8::7, or an interface, "
     "like eth0; '192.0.2.300' is neither"},
    {RULE("source = \"192.0.2.7:80\""),
     "4: 'source' takes an address of this host, like 192.0.2.7 or 2001:db8::7, or an interface, "
     "like eth0; '192.0.2.7:80' is neither"},
    {RULE("source = \"[2001:db8::7]\""),
     "4: 'source' takes an address of this host, like 192.0.2.7 or 2001:db8::7, or an interface, "
     "like eth0; '[2001:db8::7]' is neither"},
    {RULE("source = \"fe80::1%eth0\""),
     "4: 'source' takes an address of this host, like 192.0.2.7 or 2001:db8::7, or an interface, "
     "like eth0; 'fe80::1%eth0' is neither"},
    {RULE("source = \"a/b\""), "4: 'source' takes an address of this host, like 192.0.2.7 or "
                               "2001:db8::7, or an interface, like eth0; 'a/b' is neither"},
    {RULE("source = \"a b\""), "4: 'source' takes an address of this host, like 192.0.2.7 or "
                               "2001:db8::7, or an interface, like eth0; 'a b' is neither"},
    {RULE("source = \"a234567890123456\""),
     "4: 'source' takes an address of this host, like 192.0.2.7 or 2001:db8::7, or an interface, "
     "like eth0; 'a234567890123456' is neither"},
    {RULE("source = \"eth0:1\""), "4: 'source' takes an address of this host, like 192.0.2.7 or "
                                  "2001:db8::7, or an interface, like eth0; 'eth0:1' is neither"},
    {RULE("source = \"0.0.0.0\""), "4: nothing can be connected from '0.0.0.0'; write an address "
                                   "that this host alone has, or an interface"},
    {RULE("source = \"::\""), "4: nothing can be connected from '::'; write an address that this "
                              "host alone has, or an interface"},
    {RULE("source = \"224.0.0.1\""), "4: nothing can be connected from '224.0.0.1'; write an "
                                     "address that this host alone has, or an interface"},
    {RULE("source = \"255.255.255.255\""),
     "4: nothing can be connected from '255.255.255.255'; write an address that this host alone "
     "has, or an interface"},
    {RULE("source = \"ff02::1\""), "4: nothing can be connected from 'ff02::1'; write an address "
                                   "that this host alone has, or an interface"},
    {RULE("source = \"::ffff:192.0.2.7\""),
     "4: nothing can be connected from '::ffff:192.0.2.7'; write an address that this host alone "
     "has, or an interface"},
    {RULE("source = \"fe80::1\""), "4: nothing can be connected from 'fe80::1'; write an address "
                                   "that this host alone has, or an interface"},
    {RULE("source = { \"192.0.2.7\" }"), "4: 'source' takes one value; remove the braces"},
    {RULE("mode = \"log\""), "4: 'mode' takes enforce or report; 'log' is unknown"},
    {RULE("mode = { enforce, report }"), "4: 'mode' takes one value; remove the braces"},
    {RULE("max-pending = 0"),
     "4: 'max-pending' takes a number of 1 to 65536, without leading zeros or "
     "sign; '0' is none"},
    {RULE("max-relays = 65537"),
     "4: 'max-relays' takes a number of 1 to 65536, without leading zeros or "
     "sign; '65537' is none"},
    {RULE("idle-timeout = \"1d\""),
     "4: 'idle-timeout' takes a time like 30, 30s, 5m or 1h, at most a "
     "year, without leading zeros or sign; '1d' is none"},
    {TLS("crl-file = \"crl.pem\""), "2: 'crl-file' takes a path that begins with '/'"},
    {TLS("verify = off\ncrl-file = \"/dev/null\""),
     "3: 'crl-file' means nothing where 'verify' is off; remove one of them"},
    {TLS("key = x"),
     "2: 'key' belongs to a 'certificate', which is missing; add it, or remove this"},
    {TLS("passphrase = x"),
     "2: 'passphrase' belongs to a 'certificate', which is missing; add it, or remove this"},
    {TLS("resumption = off"), "2: 'resumption' takes true or false; 'off' is neither"},
    {TLS("ocsp = yes"), "2: 'ocsp' takes required or off; 'yes' is unknown"},
    {TLS("verify = off\nocsp = required"),
     "3: 'ocsp' means nothing where 'verify' is off; remove one of them"},
    {TLS("verify = no"), "2: 'verify' takes on or off; 'no' is unknown"},
    {TLS("verify = off\nca-file = \"/dev/null\""),
     "3: 'ca-file' means nothing where 'verify' is off; remove one of them"},
    {TLS("verify-name = h\nverify = off"),
     "2: 'verify-name' means nothing where 'verify' is off; remove one of them"},
    {TLS("verify-uri = \"\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; '' is none"},
    {TLS("verify-uri = \"spiffe://\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; 'spiffe://' is none"},
    {TLS("verify-uri = \"spiffe://example.org\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; 'spiffe://example.org' "
     "is none"},
    {TLS("verify-uri = \"spiffe://example.org/\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/' is none"},
    {TLS("verify-uri = \"spiffe:///a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; 'spiffe:///a' is none"},
    {TLS("verify-uri = \"spiffe://Example.org/a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://Example.org/a' is none"},
    {TLS("verify-uri = \"spiffe://example.org/a/\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/a/' is none"},
    {TLS("verify-uri = \"spiffe://example.org//a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org//a' is none"},
    {TLS("verify-uri = \"spiffe://example.org/./a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/./a' is none"},
    {TLS("verify-uri = \"spiffe://example.org/a/..\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/a/..' is none"},
    {TLS("verify-uri = \"spiffe://example.org:443/a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org:443/a' is none"},
    {TLS("verify-uri = \"spiffe://u@example.org/a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://u@example.org/a' is none"},
    {TLS("verify-uri = \"spiffe://example.org/a?b\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/a?b' is none"},
    {TLS("verify-uri = \"spiffe://example.org/a#b\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/a#b' is none"},
    {TLS("verify-uri = \"spiffe://example.org/%61\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'spiffe://example.org/%61' is none"},
    {TLS("verify-uri = \"SPIFFE://example.org/a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'SPIFFE://example.org/a' is none"},
    {TLS("verify-uri = \"https://example.org/a\""),
     "2: 'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
     "'https://example.org/a' is none"},
    {TLS("verify-name = h\nverify-uri = \"spiffe://d/a\""),
     "3: 'verify-uri' and 'verify-name' exclude each other; remove one"},
    {TLS("verify = off\nverify-uri = \"spiffe://d/a\""),
     "3: 'verify-uri' means nothing where 'verify' is off; remove one of them"},
    {TLS("pin = \"x\""), PIN "'x' is none"},
    {TLS("pin = \"\""), PIN "'' is none"},
    {TLS("pin = \"sha256//\""), PIN "'sha256//' is none"},
    {TLS("pin = \"sha1//" DIGEST "U=\""), PIN "'sha1//" DIGEST "U=' is none"},
    {TLS("pin = \"" DIGEST "U=\""), PIN "'" DIGEST "U=' is none"},
    {TLS("pin = \"sha256//" DIGEST "U\""), PIN "'sha256//" DIGEST "U' is none"},
    {TLS("pin = \"sha256//" DIGEST "UU\""), PIN "'sha256//" DIGEST "UU' is none"},
    {TLS("pin = \"sha256//" DIGEST "U==\""), PIN "'sha256//" DIGEST "U==' is none"},
    {TLS("pin = \"sha256//" DIGEST "V=\""), PIN "'sha256//" DIGEST "V=' is none"},
    {TLS("pin = \"sha256//" DIGEST "_=\""), PIN "'sha256//" DIGEST "_=' is none"},
    {TLS("pin = { \"sha256//" DIGEST "U=\",\n\"sha256//x\" }"),
     "3" PIN_TAKES "'sha256//x' is none"},
    {RULE("max-rate = 100"), RATE "'100' is none"},
    {RULE("max-rate = \"0/s\""), RATE "'0/s' is none"},
    {RULE("max-rate = \"010/s\""), RATE "'010/s' is none"},
    {RULE("max-rate = \"1000001/h\""), RATE "'1000001/h' is none"},
    {RULE("max-rate = \"5/d\""), RATE "'5/d' is none"},
    {RULE("max-rate = \"/s\""), RATE "'/s' is none"},
    {RULE("max-rate = \"-1/s\""), RATE "'-1/s' is none"},
    {RULE("max-rate = \"1 /s\""), RATE "'1 /s' is none"},
    {RULE("max-lifetime = \"-5\""),
     "4: 'max-lifetime' takes a time like 30, 30s, 5m or 1h, at most a "
     "year, without leading zeros or sign; '-5' is none"},
};

START_TEST(test_mistake)
{
    const char *text = mistakes[_i].text;
    struct config *config = NULL;
    char expected[CONFIG_ERROR_MAX];
    char error[CONFIG_ERROR_MAX] = "";

    snprintf(expected, sizeof expected, "c:%s", mistakes[_i].error);
    ck_assert_msg(config_parse(&config, "c", text, strlen(text), error) == -EINVAL, "accepted: %s",
                  text);
    ck_assert_ptr_null(config);
    ck_assert_str_eq(error, expected);
}
END_TEST

/* What is wrong because of its size, made here. */
START_TEST(test_limits)
{
    static const struct {
        const char *head;
        const char *body; /* repeated */
        unsigned n;
        const char *tail;
        const char *error;
    } sizes[] = {
        {"nameservers = {\n", "'192.0.2.1',\n", CONFIG_LIST_MAX + 1, "}",
         "c:1026: the list of 'nameservers' is too long; at most 1024 values"},
        {"workers = \"", "1", CONFIG_STRING_MAX + 1, "\"",
         "c:1: the value is too long; at most 4096 bytes"},
        {"rule \"", "a", CONFIG_TITLE_MAX + 1, "\" {",
         "c:1: a title has 1 to 64 letters, digits, '.', '_' and '-'"},
        {"", " ", CONFIG_FILE_MAX + 1, "",
         "c: is larger than 1048576 bytes; split it into drop-ins"},
        {"rule \"a\" { client = \"uid:1\" allow = \"tcp://", "a", PATTERN_MAX, ":1\" }", NULL},
    };
    char error[CONFIG_ERROR_MAX];
    struct config *config;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size =
            strlen(sizes[i].head) + sizes[i].n * strlen(sizes[i].body) + strlen(sizes[i].tail) + 1;
        char *text = malloc(size);
        size_t n = (size_t)sprintf(text, "%s", sizes[i].head);

        for (unsigned k = 0; k < sizes[i].n; k++)
            n += (size_t)sprintf(text + n, "%s", sizes[i].body);
        n += (size_t)sprintf(text + n, "%s", sizes[i].tail);
        ck_assert_int_eq(config_parse(&config, "c", text, n, error), -EINVAL);
        if (sizes[i].error)
            ck_assert_str_eq(error, sizes[i].error);
        free(text);
    }
}
END_TEST

START_TEST(test_too_many_sections)
{
    char *text = malloc((CONFIG_SECTIONS_MAX + 1) * 16);
    struct config *config;
    char error[CONFIG_ERROR_MAX];
    size_t n = 0;

    for (unsigned i = 0; i <= CONFIG_SECTIONS_MAX; i++)
        n += (size_t)sprintf(text + n, "tls t%u {}\n", i);
    ck_assert_int_eq(config_parse(&config, "c", text, n, error), -EINVAL);
    ck_assert_str_eq(error, "c:1025: too many sections in one file; at most 1024");
    n = 0;
    for (unsigned i = 0; i <= CONFIG_TLS_MAX; i++)
        n += (size_t)sprintf(text + n, "tls t%u {}\n", i);
    ck_assert_int_eq(config_parse(&config, "c", text, n, error), -EINVAL);
    ck_assert_str_eq(error, "c:65: too many tls sections; at most 64");
    free(text);
}
END_TEST

START_TEST(test_nul_byte)
{
    static const char *const texts[] = {"workers\0= 3", "workers = \"3\0\"", "\0", "workers = 3\0"};
    static const size_t sizes[] = {11, 14, 1, 12};
    struct config *config;
    char error[CONFIG_ERROR_MAX];

    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(config_parse(&config, "c", texts[i], sizes[i], error), -EINVAL);
}
END_TEST

TCase *config_errors_case(void)
{
    TCase *errors = tcase_create("errors");

    tcase_set_timeout(errors, 60);
    tcase_add_loop_test(errors, test_mistake, 0, sizeof mistakes / sizeof mistakes[0]);
    tcase_add_test(errors, test_limits);
    tcase_add_test(errors, test_too_many_sections);
    tcase_add_test(errors, test_nul_byte);
    return errors;
}
