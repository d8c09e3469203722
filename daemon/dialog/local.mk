libdaemon_la_SOURCES += \
	daemon/dialog/auth/auth.c daemon/dialog/auth/auth.h \
	daemon/dialog/auth/challenge.c daemon/dialog/auth/challenge.h \
	daemon/dialog/auth/digest.c daemon/dialog/auth/digest.h \
	daemon/dialog/auth/leak.c daemon/dialog/auth/leak.h \
	daemon/dialog/auth/mechanism.c daemon/dialog/auth/mechanism.h \
	daemon/dialog/auth/rounds.c daemon/dialog/auth/rounds.h \
	daemon/dialog/auth/settings.c \
	daemon/dialog/dialog.c daemon/dialog/dialog.h \
	daemon/dialog/http_body.c daemon/dialog/http_body.h \
	daemon/dialog/http_connect.c daemon/dialog/http_connect.h \
	daemon/dialog/http_connect_header.c \
	daemon/dialog/http_head.c daemon/dialog/http_head.h \
	daemon/dialog/http_refusal.c daemon/dialog/http_refusal.h \
	daemon/dialog/proxy_header.c daemon/dialog/proxy_header.h \
	daemon/dialog/question.h \
	daemon/dialog/socks.c daemon/dialog/socks.h \
	daemon/dialog/socks4.c daemon/dialog/socks4.h \
	daemon/dialog/socks5.c daemon/dialog/socks5.h \
	daemon/dialog/socks5_gssapi.c daemon/dialog/socks5_gssapi.h \
	daemon/dialog/starttls.c daemon/dialog/starttls.h \
	daemon/dialog/starttls_ftp.c \
	daemon/dialog/starttls_imap.c \
	daemon/dialog/starttls_ldap.c \
	daemon/dialog/starttls_lines.c \
	daemon/dialog/starttls_mysql.c \
	daemon/dialog/starttls_pop3.c \
	daemon/dialog/starttls_postgres.c \
	daemon/dialog/starttls_protocols.h \
	daemon/dialog/starttls_smtp.c \
	daemon/dialog/starttls_xmpp.c \
	daemon/dialog/websocket.c daemon/dialog/websocket.h \
	daemon/dialog/websocket_options.c
