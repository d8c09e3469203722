lib_LTLIBRARIES += libfdial.la
include_HEADERS += client/fdial.h
pkgconfig_DATA = client/libfdial.pc

# libc only; whatever else it would need, its users would need too.
libfdial_la_SOURCES = \
	client/fdial.h \
	client/lib_call.c \
	client/lib_io.c \
	client/lib_oneshot.c \
	client/lib_receive.c \
	client/lib_request.c \
	client/lib_result.c \
	client/lib_session.c \
	client/lib_submit.c \
	client/pending.c client/pending.h \
	client/session.h \
	client/where.c client/where.h
libfdial_la_LIBADD = libproto.la
libfdial_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/client/libfdial.map
libfdial_la_DEPENDENCIES = libproto.la client/libfdial.map
EXTRA_DIST += client/libfdial.map
