libdaemon_la_SOURCES += \
	daemon/gss/gss.h \
	daemon/gss/helper.c \
	daemon/gss/internal.h \
	daemon/gss/keeper.c \
	daemon/gss/link.c \
	daemon/gss/mechanism.c \
	daemon/gss/message.c daemon/gss/message.h
