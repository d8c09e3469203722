# A test exits 0 (passed), 77 (skipped, its last line of output being the reason) or anything else.
# tests/lib/run-test runs each, whatever it is, with a time limit, and leaves no process behind. With
# FDIAL_EXPECT_ALL=1 a skip that tests/skips-allowed does not name is a failure.
#
# Fragments add programs to check_PROGRAMS and scripts (.py, .sh) to script_tests.
script_tests =
TESTS += $(check_PROGRAMS) $(script_tests)

# Those of single modules, which are the programs.
check-unit:
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(check_PROGRAMS)'
.PHONY: check-unit

TEST_EXTENSIONS = .py .sh
LOG_COMPILER = $(srcdir)/tests/lib/run-test
PY_LOG_COMPILER = $(LOG_COMPILER)
SH_LOG_COMPILER = $(LOG_COMPILER)
AM_TESTS_FD_REDIRECT = 9>&2
AM_TESTS_ENVIRONMENT = \
	abs_top_srcdir='$(abs_top_srcdir)'; abs_top_builddir='$(abs_top_builddir)'; \
	PYTHONPATH='$(abs_top_srcdir)/tests/lib'; PYTHONDONTWRITEBYTECODE=1; CK_DEFAULT_TIMEOUT=60; \
	export abs_top_srcdir abs_top_builddir PYTHONPATH PYTHONDONTWRITEBYTECODE CK_DEFAULT_TIMEOUT;
if SANITIZERS
AM_TESTS_ENVIRONMENT += FDIAL_SLOW=1; export FDIAL_SLOW;
endif

EXTRA_DIST += $(script_tests) tests/unit/no-check.sh \
	tests/skips-allowed \
	tests/lib/run-test tests/lib/skip.sh tests/lib/suite.h \
	tests/lib/certificates.py \
	tests/lib/fdialtest.py \
	tests/lib/guests.py \
	tests/lib/kdc.py \
	tests/lib/leaks.py \
	tests/lib/origins.py \
	tests/lib/proxies.py \
	tests/lib/websocket_peer.py

include tests/lib/harness.mk
include tests/daemon/local.mk
include tests/demo/local.mk
include tests/systemd/local.mk
include tests/vm/local.mk
include tests/valgrind/local.mk
include tests/daemon/start.mk

include tests/lib/local.mk

include tests/unit/client-scripts.mk

if HAVE_CHECK
include tests/dialog/local.mk
include tests/unit/core.mk
include tests/unit/resolve.mk
include tests/unit/tls.mk
include tests/unit/policy.mk
include tests/unit/client.mk
include tests/unit/gss.mk
include tests/unit/observe.mk
else
script_tests += tests/unit/no-check.sh
endif

include tests/fuzz/local.mk
include tests/real/local.mk
include tests/bench/local.mk
include tests/daemon/stress.mk
