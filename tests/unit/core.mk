check_PROGRAMS += tests/unit/test-ring
tests_unit_test_ring_SOURCES = tests/unit/test-ring.c
tests_unit_test_ring_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_ring_LDADD = libring_fault.la libdaemon.la $(CHECK_LIBS)
