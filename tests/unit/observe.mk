check_PROGRAMS += tests/unit/test-log-record
tests_unit_test_log_record_SOURCES = tests/unit/test-log-record.c
tests_unit_test_log_record_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_log_record_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-stats
tests_unit_test_stats_SOURCES = tests/unit/test-stats.c
tests_unit_test_stats_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_stats_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
