# The daemon as convenience libraries, which the tests link too. The ring is apart, because tests link
# one that can fail operations on purpose.
noinst_LTLIBRARIES += libdaemon.la libring.la
sbin_PROGRAMS += fdiald

libring_la_SOURCES = \
	daemon/ring/internal.h daemon/ring/memcheck.h \
	daemon/ring/ops.c \
	daemon/ring/ring.c daemon/ring/ring.h \
	daemon/ring/setup.c \
	daemon/ring/timer.c daemon/ring/timer.h
libring_la_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
libring_la_LIBADD = $(URING_LIBS)

# The same, able to fail the n-th operation, and to run under valgrind.
check_LTLIBRARIES += libring_fault.la
libring_fault_la_SOURCES = $(libring_la_SOURCES)
libring_fault_la_CFLAGS = $(libring_la_CFLAGS) -DFDIAL_FAULT_INJECTION $(MEMCHECK_CFLAGS)
libring_fault_la_LIBADD = $(libring_la_LIBADD)

libdaemon_la_SOURCES = \
	daemon/base/address.c daemon/base/address.h \
	daemon/base/base64.c daemon/base/base64.h \
	daemon/base/builder.c daemon/base/builder.h \
	daemon/base/cgroup.c daemon/base/cgroup.h \
	daemon/base/clock.h \
	daemon/base/counters.h \
	daemon/base/escape.c daemon/base/escape.h \
	daemon/base/failure.c daemon/base/failure.h \
	daemon/base/fair.h \
	daemon/base/hash.h \
	daemon/base/heap.c daemon/base/heap.h \
	daemon/base/list.h \
	daemon/base/log.c daemon/base/log.h \
	daemon/base/log_record.c daemon/base/log_record.h \
	daemon/base/quota.c daemon/base/quota.h \
	daemon/base/stats.c daemon/base/stats.h \
	daemon/conn/channel.c daemon/conn/channel.h \
	daemon/conn/conn.c daemon/conn/conn.h \
	daemon/conn/ktls.c daemon/conn/ktls.h \
	daemon/conn/plan.c daemon/conn/plan.h \
	daemon/conn/plan_format.c \
	daemon/conn/seal.c daemon/conn/seal.h \
	daemon/conn/session_key.c daemon/conn/session_key.h \
	daemon/conn/source.c daemon/conn/source.h \
	daemon/conn/step_connect.c \
	daemon/conn/step_dialog.c daemon/conn/step_dialog.h \
	daemon/conn/step_dialog_kinds.c \
	daemon/conn/step_ktls.c \
	daemon/conn/step_resolve.c \
	daemon/conn/step_seal.c \
	daemon/conn/step_tls.c \
	daemon/relay/relay.c daemon/relay/relay.h \
	daemon/front/audit.c daemon/front/audit.h \
	daemon/front/front.h \
	daemon/front/grant.c daemon/front/grant.h \
	daemon/front/handoff.c \
	daemon/front/holder.c daemon/front/holder.h \
	daemon/front/identity.c daemon/front/identity.h \
	daemon/front/inbox.c daemon/front/inbox.h \
	daemon/front/listener.c daemon/front/listener.h \
	daemon/front/metrics.c daemon/front/metrics.h \
	daemon/front/outgoing.c \
	daemon/front/peer.c daemon/front/peer.h \
	daemon/front/relays.c daemon/front/relays.h \
	daemon/front/report.c daemon/front/report.h \
	daemon/front/request.c daemon/front/request.h \
	daemon/front/request_options.c daemon/front/request_options.h \
	daemon/front/status.c \
	daemon/front/untaken.c daemon/front/untaken.h \
	daemon/front/user.c daemon/front/user.h \
	daemon/metrics_server.c daemon/metrics_server.h \
	daemon/sockets.c daemon/sockets.h \
	daemon/worker.c daemon/worker.h \
	daemon/daemon.c daemon/daemon.h
libdaemon_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(CARES_CFLAGS) $(CONFUSE_CFLAGS) $(SYSTEMD_CFLAGS) \
	$(MICROHTTPD_CFLAGS) $(GSSAPI_CFLAGS)
libdaemon_la_LIBADD = libproto.la $(OPENSSL_LIBS) $(CARES_LIBS) $(CONFUSE_LIBS) $(SYSTEMD_LIBS) \
	$(MICROHTTPD_LIBS) $(GSSAPI_LIBS) -lpthread

include daemon/dialog/local.mk
include daemon/gss/local.mk
include daemon/tls/local.mk
include daemon/resolve/local.mk
include daemon/policy/local.mk

fdiald_SOURCES = daemon/main.c
fdiald_LDADD = libdaemon.la libring.la
dist_man_MANS += daemon/fdiald.8
