check_PROGRAMS += tests/unit/test-ring
tests_unit_test_ring_SOURCES = tests/unit/test-ring.c
tests_unit_test_ring_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(URING_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_ring_LDADD = libring_fault.la libdaemon.la $(CHECK_LIBS) $(URING_LIBS)

check_PROGRAMS += tests/unit/test-target tests/unit/test-message
tests_unit_test_target_SOURCES = tests/unit/test-target.c
tests_unit_test_target_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_target_LDADD = libproto.la $(CHECK_LIBS)

tests_unit_test_message_SOURCES = tests/unit/test-message.c
tests_unit_test_message_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) -DABS_TOP_SRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_message_LDADD = libproto.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-plan
tests_unit_test_plan_SOURCES = tests/unit/test-plan.c
tests_unit_test_plan_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_plan_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-handoff
tests_unit_test_handoff_SOURCES = tests/unit/test-handoff.c
tests_unit_test_handoff_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_handoff_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-faults
tests_unit_test_faults_SOURCES = tests/unit/test-faults.c
tests_unit_test_faults_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(OPENSSL_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_faults_LDADD = libtestfront.la libdaemon.la libring_fault.la $(CHECK_LIBS) $(OPENSSL_LIBS)

check_PROGRAMS += tests/unit/test-session-key
tests_unit_test_session_key_SOURCES = tests/unit/test-session-key.c
tests_unit_test_session_key_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_session_key_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-ktls
tests_unit_test_ktls_SOURCES = tests/unit/test-ktls.c
tests_unit_test_ktls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(OPENSSL_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_ktls_LDADD = libtestfront.la libdaemon.la libring_fault.la $(CHECK_LIBS) $(OPENSSL_LIBS)

check_PROGRAMS += tests/unit/test-ktls-faults
tests_unit_test_ktls_faults_SOURCES = tests/unit/test-ktls-faults.c
tests_unit_test_ktls_faults_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(OPENSSL_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_ktls_faults_LDADD = libtestfront.la libdaemon.la libring_fault.la $(CHECK_LIBS) $(OPENSSL_LIBS)

check_PROGRAMS += tests/unit/test-ktls-refused
tests_unit_test_ktls_refused_SOURCES = tests/unit/test-ktls-refused.c
tests_unit_test_ktls_refused_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(OPENSSL_CFLAGS) -DFDIAL_FAULT_INJECTION
tests_unit_test_ktls_refused_LDADD = libtestfront.la libdaemon.la libring_fault.la $(CHECK_LIBS) $(OPENSSL_LIBS)

check_PROGRAMS += tests/unit/test-escape
tests_unit_test_escape_SOURCES = tests/unit/test-escape.c
tests_unit_test_escape_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_escape_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-holder
tests_unit_test_holder_SOURCES = tests/unit/test-holder.c
tests_unit_test_holder_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_holder_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test-quota
tests_unit_test_quota_SOURCES = tests/unit/test-quota.c
tests_unit_test_quota_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_quota_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-builder
tests_unit_test_builder_SOURCES = tests/unit/test-builder.c
tests_unit_test_builder_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_builder_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-untaken
tests_unit_test_untaken_SOURCES = tests/unit/test-untaken.c
tests_unit_test_untaken_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_untaken_LDADD = libdaemon.la libring.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-heap
tests_unit_test_heap_SOURCES = tests/unit/test-heap.c
tests_unit_test_heap_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_heap_LDADD = libdaemon.la $(CHECK_LIBS) -lpthread

check_PROGRAMS += tests/unit/test-log
tests_unit_test_log_SOURCES = tests/unit/test-log.c
tests_unit_test_log_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_log_LDADD = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test-user
tests_unit_test_user_SOURCES = tests/unit/test-user.c
tests_unit_test_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_user_LDADD = libdaemon.la libring.la $(CHECK_LIBS)
