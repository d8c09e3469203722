# What the connections are for: real servers and clients from Debian's packages, each skipped with its
# reason where it is missing.
script_tests += tests/real/protocol.py tests/real/nginx.py tests/real/s-server.py \
	tests/real/ssh.py tests/real/rsync.py tests/real/ucspi.py tests/real/curl-adopt.py \
	tests/real/sandbox.py tests/real/bare-tcp.py tests/real/bad-certificates.py \
	tests/real/endings.py \
	tests/real/kerberos.py \
	tests/real/grant.py
EXTRA_DIST += tests/real/protocol_client.py tests/real/peers.py

include tests/real/proxies.mk
include tests/real/upgrades.mk

# Not tests themselves, so not among check_PROGRAMS: what the scripts run.
noinst_PROGRAMS += tests/real/library-client tests/real/no-sockets
tests_real_no_sockets_SOURCES = tests/real/no-sockets.c
tests_real_library_client_SOURCES = tests/real/library-client.c
tests_real_library_client_LDADD = libfdial.la

if HAVE_CURL
noinst_PROGRAMS += tests/real/curl-adopt-client
tests_real_curl_adopt_client_SOURCES = tests/real/curl-adopt-client.c
tests_real_curl_adopt_client_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
tests_real_curl_adopt_client_LDADD = $(CURL_LIBS)
endif

if HAVE_CHECK
noinst_PROGRAMS += tests/real/kerberos-asker
tests_real_kerberos_asker_SOURCES = tests/real/kerberos-asker.c
tests_real_kerberos_asker_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(GSSAPI_CFLAGS)
tests_real_kerberos_asker_LDADD = libgssrig.la libdaemon.la libring.la $(CHECK_LIBS) $(GSSAPI_LIBS)
endif
