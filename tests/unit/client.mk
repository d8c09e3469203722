check_PROGRAMS += \
	tests/unit/test-client \
	tests/unit/test-client-grant \
	tests/unit/test-client-io \
	tests/unit/test-client-ktls \
	tests/unit/test-client-ktls-flood \
	tests/unit/test-client-ktls-wait \
	tests/unit/test-client-open \
	tests/unit/test-client-status

tests_unit_test_client_SOURCES = tests/unit/test-client.c tests/unit/fake-daemon.h
tests_unit_test_client_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_LDADD = libfdial.la libproto.la $(CHECK_LIBS)

tests_unit_test_client_grant_SOURCES = tests/unit/test-client-grant.c tests/unit/fake-daemon.h
tests_unit_test_client_grant_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_grant_LDADD = libfdial.la libproto.la $(CHECK_LIBS)

tests_unit_test_client_io_SOURCES = tests/unit/test-client-io.c \
	tests/unit/fake-fd.c tests/unit/fake-fd.h \
	tests/unit/ktls-talks.h
tests_unit_test_client_io_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_io_LDADD = libfdial.la $(CHECK_LIBS)

tests_unit_test_client_ktls_SOURCES = tests/unit/test-client-ktls.c \
	tests/unit/fake-fd.c tests/unit/fake-fd.h \
	tests/unit/ktls-talks.h
tests_unit_test_client_ktls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_ktls_LDADD = libfdial.la $(CHECK_LIBS)

tests_unit_test_client_ktls_flood_SOURCES = tests/unit/test-client-ktls-flood.c \
	tests/unit/fake-fd.c tests/unit/fake-fd.h \
	tests/unit/ktls-drips.h \
	tests/unit/ktls-talks.h
tests_unit_test_client_ktls_flood_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_ktls_flood_LDADD = libfdial.la $(CHECK_LIBS)

tests_unit_test_client_ktls_wait_SOURCES = tests/unit/test-client-ktls-wait.c \
	tests/unit/fake-fd.c tests/unit/fake-fd.h \
	tests/unit/ktls-drips.h \
	tests/unit/ktls-talks.h
tests_unit_test_client_ktls_wait_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_ktls_wait_LDADD = libfdial.la $(CHECK_LIBS)

tests_unit_test_client_open_SOURCES = tests/unit/test-client-open.c tests/unit/fake-daemon.h
tests_unit_test_client_open_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_open_LDADD = libfdial.la libproto.la $(CHECK_LIBS)

tests_unit_test_client_status_SOURCES = tests/unit/test-client-status.c tests/unit/fake-daemon.h
tests_unit_test_client_status_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_client_status_LDADD = libfdial.la libproto.la $(CHECK_LIBS) -lpthread
