# The configuration's tests bring their own users, groups and tls contexts: what the machine has is
# not theirs to know, and parsing the system's trust store hundreds of times would take minutes.
policy_fakes = tests/unit/fake-tls.c tests/unit/fake-users.c

check_PROGRAMS += tests/unit/test-pattern tests/unit/test-policy tests/unit/test-config
tests_unit_test_pattern_SOURCES = tests/unit/test-pattern.c
tests_unit_test_pattern_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pattern_LDADD = libdaemon.la $(CHECK_LIBS)
tests_unit_test_policy_SOURCES = tests/unit/test-policy.c $(policy_fakes)
tests_unit_test_policy_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_policy_LDADD = libdaemon.la $(CHECK_LIBS)
tests_unit_test_config_SOURCES = tests/unit/test-config.c tests/unit/test-config-errors.c \
	tests/unit/test-config.h $(policy_fakes)
tests_unit_test_config_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_config_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-narrowing
tests_unit_test_narrowing_SOURCES = tests/unit/test-narrowing.c
tests_unit_test_narrowing_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_narrowing_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-config-proxy
tests_unit_test_config_proxy_SOURCES = tests/unit/test-config-proxy.c $(policy_fakes)
tests_unit_test_config_proxy_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_config_proxy_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-config-via
tests_unit_test_config_via_SOURCES = tests/unit/test-config-via.c $(policy_fakes)
tests_unit_test_config_via_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_config_via_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-credential
tests_unit_test_credential_SOURCES = tests/unit/test-credential.c
tests_unit_test_credential_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_credential_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-config-tls
tests_unit_test_config_tls_SOURCES = tests/unit/test-config-tls.c
tests_unit_test_config_tls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_config_tls_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-cgroup
tests_unit_test_cgroup_SOURCES = tests/unit/test-cgroup.c
tests_unit_test_cgroup_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_cgroup_LDADD = libdaemon.la $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test-absent-tls
tests_unit_test_absent_tls_SOURCES = tests/unit/test-absent-tls.c tests/unit/fake-users.c
tests_unit_test_absent_tls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_absent_tls_LDADD = libdaemon.la $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test-absent
tests_unit_test_absent_SOURCES = tests/unit/test-absent.c $(policy_fakes)
tests_unit_test_absent_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_absent_LDADD = libdaemon.la $(CHECK_LIBS)


check_PROGRAMS += tests/unit/test-identity
tests_unit_test_identity_SOURCES = tests/unit/test-identity.c
tests_unit_test_identity_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_identity_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
