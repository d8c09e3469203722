# Names and addresses.
check_PROGRAMS += \
	tests/unit/test-address-class

tests_unit_test_address_class_SOURCES = tests/unit/test-address-class.c
tests_unit_test_address_class_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_address_class_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
