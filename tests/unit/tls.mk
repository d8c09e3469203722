# Certificates for tests; the pair of a session of ours and an OpenSSL server in memory.
check_LTLIBRARIES += libtestcerts.la libtesttls.la
libtestcerts_la_SOURCES = tests/lib/certs.c tests/lib/certs-matrix.c tests/lib/certs-ocsp.c tests/lib/certs.h
libtestcerts_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
libtestcerts_la_LIBADD = $(OPENSSL_LIBS)

libtesttls_la_SOURCES = \
	tests/lib/tls-kernel.c tests/lib/tls-kernel.h \
	tests/lib/tls-pair.c tests/lib/tls-pair.h \
	tests/lib/tls-resume.c tests/lib/tls-resume.h \
	tests/lib/tls-wire.c tests/lib/tls-wire.h
libtesttls_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(CHECK_CFLAGS)
libtesttls_la_LIBADD = libtestcerts.la $(OPENSSL_LIBS)

TLS_TEST_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(CHECK_CFLAGS)
TLS_TEST_LIBS = libtesttls.la libdaemon.la $(CHECK_LIBS)
check_PROGRAMS += \
	tests/unit/test-tls \
	tests/unit/test-tls-broken \
	tests/unit/test-tls-client \
	tests/unit/test-tls-context \
	tests/unit/test-tls-crl \
	tests/unit/test-tls-data \
	tests/unit/test-tls-export \
	tests/unit/test-tls-export-refused \
	tests/unit/test-tls-messages \
	tests/unit/test-tls-ocsp \
	tests/unit/test-tls-offer \
	tests/unit/test-tls-resumption \
	tests/unit/test-tls-resumption-limits \
	tests/unit/test-tls-tickets \
	tests/unit/test-tls-trust \
	tests/unit/test-tls-verify
tests_unit_test_tls_SOURCES = tests/unit/test-tls.c
tests_unit_test_tls_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_broken_SOURCES = tests/unit/test-tls-broken.c
tests_unit_test_tls_broken_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_broken_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_context_SOURCES = tests/unit/test-tls-context.c
tests_unit_test_tls_context_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_context_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_client_SOURCES = tests/unit/test-tls-client.c
tests_unit_test_tls_client_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_client_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_crl_SOURCES = tests/unit/test-tls-crl.c
tests_unit_test_tls_crl_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_crl_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_data_SOURCES = tests/unit/test-tls-data.c
tests_unit_test_tls_data_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_data_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_export_SOURCES = tests/unit/test-tls-export.c
tests_unit_test_tls_export_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_export_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_export_refused_SOURCES = tests/unit/test-tls-export-refused.c
tests_unit_test_tls_export_refused_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_export_refused_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_messages_SOURCES = tests/unit/test-tls-messages.c
tests_unit_test_tls_messages_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_messages_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_ocsp_SOURCES = tests/unit/test-tls-ocsp.c
tests_unit_test_tls_ocsp_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_ocsp_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_offer_SOURCES = tests/unit/test-tls-offer.c
tests_unit_test_tls_offer_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_offer_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_resumption_SOURCES = tests/unit/test-tls-resumption.c
tests_unit_test_tls_resumption_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_resumption_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_resumption_limits_SOURCES = tests/unit/test-tls-resumption-limits.c
tests_unit_test_tls_resumption_limits_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_resumption_limits_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_tickets_SOURCES = tests/unit/test-tls-tickets.c
tests_unit_test_tls_tickets_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_tickets_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_trust_SOURCES = tests/unit/test-tls-trust.c
tests_unit_test_tls_trust_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_trust_LDADD = $(TLS_TEST_LIBS)
tests_unit_test_tls_verify_SOURCES = tests/unit/test-tls-verify.c
tests_unit_test_tls_verify_CFLAGS = $(TLS_TEST_CFLAGS)
tests_unit_test_tls_verify_LDADD = $(TLS_TEST_LIBS)

check_PROGRAMS += tests/unit/test-hash
tests_unit_test_hash_SOURCES = tests/unit/test-hash.c
tests_unit_test_hash_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_hash_LDADD = libdaemon.la $(CHECK_LIBS)
