libdaemon_la_SOURCES += \
	daemon/policy/pattern.c daemon/policy/pattern.h
