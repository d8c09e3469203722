libdaemon_la_SOURCES += \
	daemon/dialog/dialog.c daemon/dialog/dialog.h
