script_tests += tests/systemd/verify-units.sh

# `make check-systemd`: what `make install` installs, in a container with systemd as PID 1. Its root
# file system is made once, in the build tree; `make clean` removes it.
systemd_destdir = $(abs_builddir)/tests/systemd/destdir

check-systemd: all
	$(AM_V_at)rm -rf tests/systemd/destdir
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) install DESTDIR='$(systemd_destdir)' >/dev/null
	$(AM_V_at)FDIAL_DESTDIR='$(systemd_destdir)' $(MAKE) $(AM_MAKEFLAGS) check-TESTS \
		TESTS=tests/systemd/container.py TEST_SUITE_LOG=tests/systemd/suite.log
.PHONY: check-systemd

EXTRA_DIST += tests/systemd/container.py tests/systemd/guest.sh
clean-local: clean-systemd
clean-systemd:
	-rm -rf --one-file-system tests/systemd/cache tests/systemd/destdir
	-rm -f tests/systemd/container.log tests/systemd/container.trs tests/systemd/suite.log
.PHONY: clean-systemd
