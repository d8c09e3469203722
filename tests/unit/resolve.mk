# Names and addresses. The scripted name server is also a program, for tests in other languages.
noinst_PROGRAMS += tests/lib/dns-server
tests_lib_dns_server_SOURCES = \
	tests/lib/dns_server.c tests/lib/dns_server.h \
	tests/lib/dns_server_main.c
tests_lib_dns_server_LDADD = -lpthread

check_PROGRAMS += \
	tests/unit/test-address-class \
	tests/unit/test-cache \
	tests/unit/test-dns-message \
	tests/unit/test-hosts \
	tests/unit/test-resolve \
	tests/unit/test-resolve-life

tests_unit_test_address_class_SOURCES = tests/unit/test-address-class.c
tests_unit_test_address_class_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_address_class_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

tests_unit_test_cache_SOURCES = tests/unit/test-cache.c
tests_unit_test_cache_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_cache_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

tests_unit_test_dns_message_SOURCES = tests/unit/test-dns-message.c
tests_unit_test_dns_message_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_dns_message_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

tests_unit_test_hosts_SOURCES = tests/unit/test-hosts.c
tests_unit_test_hosts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_hosts_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

tests_unit_test_resolve_SOURCES = \
	tests/lib/dns_server.c tests/lib/dns_server.h \
	tests/lib/resolve_rig.c tests/lib/resolve_rig.h \
	tests/unit/test-resolve.c
tests_unit_test_resolve_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_resolve_LDADD = libdaemon.la libring_fault.la $(CHECK_LIBS) -lpthread

tests_unit_test_resolve_life_SOURCES = \
	tests/lib/dns_server.c tests/lib/dns_server.h \
	tests/lib/resolve_rig.c tests/lib/resolve_rig.h \
	tests/unit/test-resolve-life.c
tests_unit_test_resolve_life_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_resolve_life_LDADD = libdaemon.la libring_fault.la $(CHECK_LIBS) -lpthread
