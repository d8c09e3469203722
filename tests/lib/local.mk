# Not a test itself, so not among check_PROGRAMS: writes certificates for the tests that are scripts.
noinst_PROGRAMS += tests/lib/make-certs
tests_lib_make_certs_SOURCES = tests/lib/make-certs.c tests/lib/certs.c tests/lib/certs-matrix.c \
	tests/lib/certs.h
tests_lib_make_certs_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_lib_make_certs_LDADD = $(OPENSSL_LIBS)

# A worker with its client, and what stands for the kernel's TLS, for tests of the whole daemon.
check_LTLIBRARIES += libtestfront.la
libtestfront_la_SOURCES = \
	tests/lib/fake-ktls.c tests/lib/fake-ktls.h \
	tests/lib/find-secret.c tests/lib/find-secret.h \
	tests/lib/front-rig.c tests/lib/front-rig.h \
	tests/lib/front-walk.c tests/lib/front-walk.h \
	tests/lib/ktls-run.c tests/lib/ktls-run.h \
	tests/lib/tls-origin.c tests/lib/tls-origin.h
libtestfront_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(CHECK_CFLAGS) -DFDIAL_FAULT_INJECTION
libtestfront_la_LIBADD = libtesttls.la
