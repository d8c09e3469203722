libdaemon_la_SOURCES += \
	daemon/resolve/class.c daemon/resolve/class.h \
	daemon/resolve/own_addresses.c \
	daemon/resolve/resolve.h
