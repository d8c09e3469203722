lib_LTLIBRARIES += libfdial.la
bin_PROGRAMS += fdial
include_HEADERS += client/fdial.h
dist_man_MANS += client/fdial.1 client/fdial.3 client/fdial-ktls.7
pkgconfig_DATA = client/libfdial.pc

# libc only; whatever else it would need, its users would need too.
libfdial_la_SOURCES = \
	client/fdial.h \
	client/lib_call.c \
	client/lib_grant.c \
	client/ktls.h \
	client/lib_io.c \
	client/lib_ktls.c \
	client/lib_ktls_row.c \
	client/lib_ktls_wait.c \
	client/lib_oneshot.c \
	client/lib_receive.c \
	client/lib_request.c \
	client/lib_result.c \
	client/lib_peer.c \
	client/lib_session.c \
	client/lib_strerror.c \
	client/lib_submit.c \
	client/pending.c client/pending.h \
	client/session.h \
	client/where.c client/where.h
libfdial_la_LIBADD = libproto.la
libfdial_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/client/libfdial.map
libfdial_la_DEPENDENCIES = libproto.la client/libfdial.map
EXTRA_DIST += client/libfdial.map

fdial_SOURCES = \
	client/certificate.c client/certificate.h \
	client/cmd.h \
	client/cmd_check.c \
	client/cmd_connect.c \
	client/cmd_exec.c \
	client/cmd_explain.c \
	client/cmd_fdpass.c \
	client/cmd_grant.c \
	client/cmd_status.c \
	client/dial.c client/dial.h \
	client/idn.c client/idn.h \
	client/main.c \
	client/options.c client/options.h \
	client/report.c client/report.h \
	client/run.c client/run.h \
	client/where.c client/where.h
fdial_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(IDN2_CFLAGS) $(OPENSSL_CFLAGS)
fdial_LDADD = libfdial.la libproto.la $(JANSSON_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS)

# The completion's file has to be named after the command, which is taken here.
bashcompletiondir = $(datadir)/bash-completion/completions
bashcompletion_DATA = client/completion/fdial
EXTRA_DIST += client/fdial.bash-completion
CLEANFILES += client/completion/fdial

client/completion/fdial: client/fdial.bash-completion
	$(AM_V_GEN)$(MKDIR_P) client/completion && cp $(srcdir)/client/fdial.bash-completion $@
