# `make check-vm`: the guest scripts in an emulated machine whose kernel has kernel TLS. Programs named
# in vm_programs are found in the guest's $PATH.
vm_test_programs = tests/vm/heir-test tests/vm/seal-test tests/vm/record-server tests/vm/ktls-client \
	tests/vm/talk-test
vm_programs = $(vm_test_programs) fdiald fdial
EXTRA_PROGRAMS += $(vm_test_programs)
CLEANFILES += $(vm_test_programs)

tests_vm_seal_test_SOURCES = tests/vm/seal-test.c \
	tests/vm/seal-maker.c tests/vm/seal-maker.h \
	tests/vm/attacks.h
tests_vm_heir_test_SOURCES = tests/vm/heir-test.c
tests_vm_talk_test_SOURCES = tests/vm/talk-test.c tests/unit/ktls-talks.h
tests_vm_talk_test_LDADD = libfdial.la
tests_vm_seal_test_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
tests_vm_seal_test_LDADD = $(URING_LIBS)
tests_vm_record_server_SOURCES = tests/vm/record-server.c \
	tests/vm/record-peer.c \
	tests/vm/record-words.c \
	tests/vm/record-server.h \
	tests/vm/records.c tests/vm/records.h
tests_vm_record_server_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
tests_vm_record_server_LDADD = $(OPENSSL_LIBS)
tests_vm_ktls_client_SOURCES = tests/vm/ktls-client.c
tests_vm_ktls_client_LDADD = libfdial.la

check-vm: $(vm_programs)
	$(AM_V_at)FDIAL_VM_PROGRAMS='$(vm_programs)' $(MAKE) $(AM_MAKEFLAGS) check-TESTS \
		TESTS=tests/vm/vm.py TEST_SUITE_LOG=tests/vm/suite.log
.PHONY: check-vm

EXTRA_DIST += tests/vm/vm.py tests/vm/machine.py tests/vm/kernels.py tests/vm/init.sh \
	tests/vm/guest/tap.sh tests/vm/guest/10-seal.sh tests/vm/guest/20-daemon.sh \
	tests/vm/guest/30-no-seal.sh tests/vm/guest/35-talks.sh \
	tests/vm/guest/40-identity.sh \
	tests/vm/guest/ktls.sh \
	tests/vm/guest/50-records.sh \
	tests/vm/guest/60-servers.sh \
	tests/vm/guest/70-handover.sh
clean-local: clean-vm
clean-vm:
	-rm -rf tests/vm/cache tests/vm/vm.log tests/vm/vm.trs tests/vm/suite.log
.PHONY: clean-vm
