check_PROGRAMS += tests/unit/test-log-record
tests_unit_test_log_record_SOURCES = tests/unit/test-log-record.c
tests_unit_test_log_record_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_log_record_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
