libdaemon_la_SOURCES += \
	daemon/tls/anchors.c \
	daemon/tls/bio.c daemon/tls/bio.h \
	daemon/tls/certificate.c \
	daemon/tls/ciphers.c \
	daemon/tls/context.c \
	daemon/tls/crl.c \
	daemon/tls/export.c \
	daemon/tls/fault.c \
	daemon/tls/hash.c daemon/tls/hash.h \
	daemon/tls/identity.c \
	daemon/tls/internal.h \
	daemon/tls/kernel.c daemon/tls/kernel.h \
	daemon/tls/memory.c \
	daemon/tls/ocsp.c \
	daemon/tls/queue.c daemon/tls/queue.h \
	daemon/tls/resumption.c \
	daemon/tls/session.c daemon/tls/tls.h \
	daemon/tls/spiffe.c \
	daemon/tls/tickets.c daemon/tls/tickets.h \
	daemon/tls/trust.c \
	daemon/tls/verify.c
