noinst_LTLIBRARIES += libgssrig.la
libgssrig_la_SOURCES = tests/lib/gss_rig.c tests/lib/gss_rig.h
libgssrig_la_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(GSSAPI_CFLAGS)

check_PROGRAMS += tests/unit/test-gss
tests_unit_test_gss_SOURCES = tests/unit/test-gss.c
tests_unit_test_gss_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(GSSAPI_CFLAGS)
tests_unit_test_gss_LDADD = libgssrig.la libdaemon.la libring.la $(CHECK_LIBS) $(GSSAPI_LIBS)
