libdaemon_la_SOURCES += \
	daemon/resolve/cache.c daemon/resolve/cache.h \
	daemon/resolve/class.c daemon/resolve/class.h \
	daemon/resolve/dns.c daemon/resolve/dns.h \
	daemon/resolve/dns_message.c daemon/resolve/dns_message.h \
	daemon/resolve/dns_servers.c daemon/resolve/dns_servers.h \
	daemon/resolve/dns_sockets.c daemon/resolve/dns_sockets.h \
	daemon/resolve/file_stamp.h \
	daemon/resolve/hosts.c daemon/resolve/hosts.h \
	daemon/resolve/names.h \
	daemon/resolve/own_addresses.c \
	daemon/resolve/question.c daemon/resolve/question.h \
	daemon/resolve/resolve.h \
	daemon/resolve/resolver.c
