# A test program exits 0 (passed), 77 (skipped, with the reason on stdout) or anything else.
# With FDIAL_EXPECT_ALL=1 a skip that is not named in tests/skips-allowed is a failure.
TESTS += $(check_PROGRAMS)

include tests/lib/local.mk

if HAVE_CHECK
include tests/unit/core.mk
include tests/unit/resolve.mk
include tests/unit/tls.mk
include tests/unit/policy.mk
endif

include tests/fuzz/local.mk
