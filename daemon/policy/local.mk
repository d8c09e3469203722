libdaemon_la_SOURCES += \
	daemon/policy/config.c daemon/policy/config.h \
	daemon/policy/config_auth.c \
	daemon/policy/config_gss.c \
	daemon/policy/config_client.c \
	daemon/policy/config_file.c \
	daemon/policy/config_key.c \
	daemon/policy/config_proxy.c \
	daemon/policy/config_rule.c \
	daemon/policy/config_scan.c daemon/policy/config_scan.h \
	daemon/policy/config_text.c \
	daemon/policy/config_tls.c \
	daemon/policy/config_tree.c daemon/policy/config_tree.h \
	daemon/policy/config_value.c \
	daemon/policy/credential.c daemon/policy/credential.h \
	daemon/policy/config_via.c \
	daemon/policy/handoff.c daemon/policy/handoff.h \
	daemon/policy/narrowing.c daemon/policy/narrowing.h \
	daemon/policy/no_proxy.c daemon/policy/no_proxy.h \
	daemon/policy/pattern.c daemon/policy/pattern.h \
	daemon/policy/policy.c daemon/policy/policy.h \
	daemon/policy/proxy.h
dist_man_MANS += daemon/fdiald.conf.5
