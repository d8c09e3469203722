# Fuzz targets. A new one, fuzz-NAME, needs tests/fuzz/fuzz-NAME.c, some files in
# tests/fuzz/corpus/NAME/, and two lines here: its name in fuzz_targets, and its _LDADD.
#
# In an ordinary build they are tests: the corpus and some mutations of it (standalone.c). With
# --enable-fuzzers they are libFuzzer's, and `make fuzz` runs each for FUZZ_SECONDS. In an ordinary
# build `make fuzz` makes such a build in fuzz-build/ first.
FUZZ_SECONDS = 60

fuzz_targets = \
	tests/fuzz/fuzz-config \
	tests/fuzz/fuzz-dns-message \
	tests/fuzz/fuzz-http-head \
	tests/fuzz/fuzz-pattern \
	tests/fuzz/fuzz-proxy-header \
	tests/fuzz/fuzz-target \
	tests/fuzz/fuzz-wire

tests_fuzz_fuzz_config_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_dns_message_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_http_head_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_pattern_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_proxy_header_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_target_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_wire_LDADD = $(FUZZ_LIBS)

# Those of dialogs hold conversations, which libcheck's tests play too.
if HAVE_CHECK
fuzz_targets += \
	tests/fuzz/fuzz-http-connect \
	tests/fuzz/fuzz-socks4 \
	tests/fuzz/fuzz-socks5 \
	tests/fuzz/fuzz-starttls \
	tests/fuzz/fuzz-websocket

FUZZ_DIALOG_LIBS = libconversation.la $(FUZZ_LIBS) $(CHECK_LIBS)
tests_fuzz_fuzz_http_connect_LDADD = $(FUZZ_DIALOG_LIBS)
tests_fuzz_fuzz_socks4_LDADD = $(FUZZ_DIALOG_LIBS)
tests_fuzz_fuzz_socks5_LDADD = $(FUZZ_DIALOG_LIBS)
tests_fuzz_fuzz_starttls_LDADD = $(FUZZ_DIALOG_LIBS)
tests_fuzz_fuzz_websocket_LDADD = $(FUZZ_DIALOG_LIBS)
endif

# With users, groups and tls contexts that do not depend on the machine.
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c tests/unit/fake-tls.c \
	tests/unit/fake-users.c

tests_fuzz_fuzz_proxy_header_SOURCES = tests/fuzz/fuzz-proxy-header.c \
	tests/dialog/proxy_reader.c tests/dialog/proxy_reader.h

libfuzzmain_la_SOURCES = tests/fuzz/standalone.c tests/fuzz/fuzz.h

EXTRA_DIST += tests/fuzz/corpus
CLEANFILES += fuzz-*.log

if FUZZERS
FUZZ_LIBS = libdaemon.la libproto.la $(FUZZER_LDFLAGS)
EXTRA_PROGRAMS += $(fuzz_targets)

# What is found goes to fuzz-found/NAME/; what breaks, to fuzz-found/NAME-crash-…
fuzz: $(fuzz_targets)
	@failed=; for target in $(fuzz_targets); do \
	    name=$${target##*/fuzz-}; \
	    $(MKDIR_P) fuzz-found/$$name; \
	    echo "fuzzing $$name for $(FUZZ_SECONDS) s"; \
	    if ./$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	        -print_final_stats=1 -artifact_prefix=fuzz-found/$$name- \
	        fuzz-found/$$name $(srcdir)/tests/fuzz/corpus/$$name >fuzz-$$name.log 2>&1; then \
	        grep -e number_of_executed_units -e new_units_added fuzz-$$name.log; \
	    else \
	        tail -n 40 fuzz-$$name.log; failed="$$failed $$name"; \
	    fi; \
	done; \
	if test -n "$$failed"; then echo "failed:$$failed"; exit 1; fi
else
check_LTLIBRARIES += libfuzzmain.la
FUZZ_LIBS = libfuzzmain.la libdaemon.la libproto.la
check_PROGRAMS += $(fuzz_targets)

fuzz:
	$(MKDIR_P) fuzz-build
	cd fuzz-build && if test ! -f Makefile; then \
	    $(abs_top_srcdir)/configure --quiet CC=clang --enable-fuzzers; fi
	$(MAKE) -C fuzz-build fuzz FUZZ_SECONDS=$(FUZZ_SECONDS)
endif
.PHONY: fuzz
