libdaemon_la_SOURCES +=
