# `make check-valgrind`: the test programs, and the daemon with a few requests, under memcheck. The fuzz
# targets are the sanitizers' job, and so are test-holder, as valgrind 3.19 knows no pidfd_open(2);
# test-gss, whose processes end while threads of theirs are in libraries that lose memory; and
# test-ktls…, which search all memory and run a whole daemon in time.
VALGRIND_COMMAND = $(abs_top_builddir)/libtool --mode=execute valgrind --quiet --error-exitcode=99 \
	--leak-check=full --errors-for-leak-kinds=definite,indirect,possible --num-callers=30 \
	--suppressions=$(abs_top_srcdir)/tests/valgrind/valgrind.supp

# The daemon with the ring that knows of valgrind.
EXTRA_PROGRAMS += tests/valgrind/fdiald
CLEANFILES += tests/valgrind/fdiald
tests_valgrind_fdiald_SOURCES = daemon/main.c
tests_valgrind_fdiald_LDADD = libdaemon.la libring_fault.la

# Not as prerequisites: `all` is a make of its own, and the two would build the same at once.
check-valgrind:
	@test -n '$(MEMCHECK_CFLAGS)' || { echo 'no valgrind/memcheck.h when configure ran' >&2; exit 1; }
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) all-am tests/valgrind/fdiald
	$(AM_V_at)FDIAL_VALGRIND='$(VALGRIND_COMMAND)' FDIAL_SLOW=1 \
		$(MAKE) $(AM_MAKEFLAGS) check TEST_SUITE_LOG=tests/valgrind/suite.log \
		TESTS='$(filter-out %/test-holder %/test-gss %/test-ktls %/test-ktls-refused %/test-ktls-faults,$(filter tests/unit/%,$(check_PROGRAMS))) tests/valgrind/daemon.py'
.PHONY: check-valgrind

EXTRA_DIST += tests/lib/valgrind.h tests/valgrind/daemon.py tests/valgrind/valgrind.supp
clean-local: clean-valgrind
clean-valgrind:
	-rm -f tests/valgrind/daemon.log tests/valgrind/daemon.trs tests/valgrind/suite.log
.PHONY: clean-valgrind
