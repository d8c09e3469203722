# `make bench`, `make bench-quick`: see tests/bench/RESULTS.md. The client and the origin serve the
# stress test too.
noinst_PROGRAMS += tests/bench/client tests/bench/origin
bench_programs = tests/bench/client tests/bench/origin tests/bench/floor
EXTRA_PROGRAMS += tests/bench/floor
CLEANFILES += $(EXTRA_PROGRAMS)

tests_bench_client_SOURCES = tests/bench/client.c tests/bench/measure.c tests/bench/measure.h
tests_bench_client_LDADD = libfdial.la

tests_bench_origin_SOURCES = tests/bench/origin.c
tests_bench_origin_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_bench_origin_LDADD = $(OPENSSL_LIBS)

tests_bench_floor_SOURCES = tests/bench/floor.c tests/bench/measure.c tests/bench/measure.h
tests_bench_floor_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(URING_CFLAGS)
tests_bench_floor_LDADD = libproto.la $(OPENSSL_LIBS) $(URING_LIBS)

# `make bench-relay`: relays with TLS in user space and in the kernel; by themselves, as they count the
# ticks of an x86 CPU.
relay_programs = tests/bench/relay-crypto tests/bench/relay-ring
EXTRA_PROGRAMS += $(relay_programs)
tests_bench_relay_crypto_SOURCES = tests/bench/relay-crypto.c tests/bench/relay-ways.c \
	tests/bench/relay-rig.c tests/bench/relay-rig.h
tests_bench_relay_crypto_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_bench_relay_crypto_LDADD = libtestcerts.la libdaemon.la $(OPENSSL_LIBS)

tests_bench_relay_ring_SOURCES = tests/bench/relay-ring.c
tests_bench_relay_ring_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_bench_relay_ring_LDADD = $(URING_LIBS)

if HAVE_CURL
bench_programs += tests/bench/curl
EXTRA_PROGRAMS += tests/bench/curl
tests_bench_curl_SOURCES = tests/bench/curl.c tests/bench/measure.c tests/bench/measure.h
tests_bench_curl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
tests_bench_curl_LDADD = $(CURL_LIBS)
endif

# Not as prerequisites: `all` is a make of its own, and the two would build the same at once.
bench-programs:
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) all-am $(bench_programs)
bench: bench-programs
	@$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/tests/bench/bench.py
bench-quick: bench-programs
	@$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/tests/bench/bench.py --quick
bench-relay: $(relay_programs)
	@$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/tests/bench/relay_crypto.py
.PHONY: bench bench-quick bench-programs bench-relay

EXTRA_DIST += tests/bench/relay_crypto.py tests/bench/bench.py tests/bench/by_proxy.py tests/bench/fairness.py tests/bench/series.py tests/bench/RESULTS.md
