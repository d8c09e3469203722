# The daemon, running, against clients, origins and networks that are not kind to it.
script_tests += \
	tests/daemon/test-breakdown.py \
	tests/daemon/test-client-certificates.py \
	tests/daemon/test-connect.py \
	tests/daemon/test-credentials.py \
	tests/daemon/test-environment.py \
	tests/daemon/test-fairness.py \
	tests/daemon/test-grants.py \
	tests/daemon/test-handoff.py \
	tests/daemon/test-hostile-client.py \
	tests/daemon/test-hostile-daemon.py \
	tests/daemon/test-hostile-limits.py \
	tests/daemon/test-hostile-origin.py \
	tests/daemon/test-identity.py \
	tests/daemon/test-limits.py \
	tests/daemon/test-log.py \
	tests/daemon/test-metrics.py \
	tests/daemon/test-names.py \
	tests/daemon/test-policy.py \
	tests/daemon/test-proxy-digest.py \
	tests/daemon/test-proxy-header.py \
	tests/daemon/test-proxy-hostile.py \
	tests/daemon/test-proxy-secrets.py \
	tests/daemon/test-proxy-targets.py \
	tests/daemon/test-relay.py \
	tests/daemon/test-reload.py \
	tests/daemon/test-resumption.py \
	tests/daemon/test-rules.py \
	tests/daemon/test-seal.py \
	tests/daemon/test-socks4.py \
	tests/daemon/test-starttls.py \
	tests/daemon/test-status.py \
	tests/daemon/test-websocket.py

EXTRA_DIST += tests/daemon/flood.py tests/daemon/metrics.py tests/daemon/rig.py \
	tests/daemon/hostile_proxies.py tests/daemon/starttls_peers.py

noinst_PROGRAMS += tests/lib/key-updater
tests_lib_key_updater_SOURCES = tests/lib/key-updater.c
tests_lib_key_updater_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_lib_key_updater_LDADD = $(OPENSSL_LIBS)

# Has what it needs of the library in itself, being setuid.
noinst_PROGRAMS += tests/daemon/setuid-client
tests_daemon_setuid_client_SOURCES = tests/daemon/setuid-client.c $(libfdial_la_SOURCES)
tests_daemon_setuid_client_CFLAGS = $(AM_CFLAGS)
tests_daemon_setuid_client_LDADD = libproto.la

# To be preloaded, so it has to be a shared one.
check_LTLIBRARIES += tests/daemon/break-ring.la
tests_daemon_break_ring_la_SOURCES = tests/daemon/break-ring.c
tests_daemon_break_ring_la_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_daemon_break_ring_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
