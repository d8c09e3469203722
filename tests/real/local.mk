# What the connections are for: real servers and clients from Debian's packages, each skipped with its
# reason where it is missing.
script_tests += tests/real/protocol.py tests/real/nginx.py tests/real/s-server.py
EXTRA_DIST += tests/real/protocol_client.py tests/real/peers.py

# Not tests themselves, so not among check_PROGRAMS: what the scripts run.
noinst_PROGRAMS += tests/real/library-client
tests_real_library_client_SOURCES = tests/real/library-client.c
tests_real_library_client_LDADD = libfdial.la
