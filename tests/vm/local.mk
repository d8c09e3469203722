# `make check-vm`: the guest scripts in an emulated machine whose kernel has kernel TLS. Programs named
# in VM_PROGRAMS are found in the guest's $PATH.
VM_TEST_PROGRAMS = tests/vm/seal-test
VM_PROGRAMS = $(VM_TEST_PROGRAMS)
EXTRA_PROGRAMS += $(VM_TEST_PROGRAMS)
CLEANFILES += $(VM_TEST_PROGRAMS)

tests_vm_seal_test_SOURCES = tests/vm/seal-test.c
tests_vm_seal_test_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_vm_seal_test_LDADD = $(URING_LIBS)

check-vm: $(VM_PROGRAMS)
	$(AM_V_at)FDIAL_VM_PROGRAMS='$(VM_PROGRAMS)' $(MAKE) $(AM_MAKEFLAGS) check-TESTS \
		TESTS=tests/vm/vm.py TEST_SUITE_LOG=tests/vm/suite.log
.PHONY: check-vm

EXTRA_DIST += tests/vm/vm.py tests/vm/machine.py tests/vm/init.sh \
	tests/vm/guest/tap.sh tests/vm/guest/10-seal.sh
clean-local: clean-vm
clean-vm:
	-rm -rf tests/vm/cache tests/vm/vm.log tests/vm/vm.trs tests/vm/suite.log
.PHONY: clean-vm
