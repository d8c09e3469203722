# Each dialog has a table of conversations, tests/dialog/test-NAME.c, and a fuzzer (tests/fuzz).
check_LTLIBRARIES += libconversation.la
libconversation_la_SOURCES = tests/dialog/conversation.c tests/dialog/conversation.h
libconversation_la_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)

DIALOG_LIBS = libconversation.la libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/dialog/test-dialog
tests_dialog_test_dialog_SOURCES = tests/dialog/test-dialog.c
tests_dialog_test_dialog_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_dialog_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-socks4
tests_dialog_test_socks4_SOURCES = tests/dialog/test-socks4.c tests/dialog/long-texts.h
tests_dialog_test_socks4_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_socks4_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-socks5
tests_dialog_test_socks5_SOURCES = tests/dialog/test-socks5.c tests/dialog/long-texts.h
tests_dialog_test_socks5_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_socks5_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-socks5-bytes
tests_dialog_test_socks5_bytes_SOURCES = tests/dialog/test-socks5-bytes.c
tests_dialog_test_socks5_bytes_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_socks5_bytes_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-socks5-gssapi
tests_dialog_test_socks5_gssapi_SOURCES = tests/dialog/test-socks5-gssapi.c
tests_dialog_test_socks5_gssapi_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_socks5_gssapi_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-http-head
tests_dialog_test_http_head_SOURCES = tests/dialog/test-http-head.c
tests_dialog_test_http_head_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_http_head_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-auth-digest
tests_dialog_test_auth_digest_SOURCES = tests/dialog/test-auth-digest.c
tests_dialog_test_auth_digest_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_auth_digest_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-auth
tests_dialog_test_auth_SOURCES = tests/dialog/test-auth.c
tests_dialog_test_auth_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_auth_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-http-connect-rounds
tests_dialog_test_http_connect_rounds_SOURCES = tests/dialog/test-http-connect-rounds.c \
	tests/dialog/http-connect-setups.h
tests_dialog_test_http_connect_rounds_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_http_connect_rounds_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-http-connect
tests_dialog_test_http_connect_SOURCES = tests/dialog/test-http-connect.c \
	tests/dialog/http-connect-setups.h
tests_dialog_test_http_connect_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_http_connect_LDADD = $(DIALOG_LIBS)
check_PROGRAMS += tests/dialog/test-proxy-header
tests_dialog_test_proxy_header_SOURCES = tests/dialog/test-proxy-header.c \
	tests/dialog/proxy_reader.c tests/dialog/proxy_reader.h
tests_dialog_test_proxy_header_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_proxy_header_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-websocket
tests_dialog_test_websocket_SOURCES = tests/dialog/test-websocket.c
tests_dialog_test_websocket_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_websocket_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-websocket-options
tests_dialog_test_websocket_options_SOURCES = tests/dialog/test-websocket-options.c
tests_dialog_test_websocket_options_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_websocket_options_LDADD = libdaemon.la $(CHECK_LIBS)
check_PROGRAMS += tests/dialog/test-starttls-lines
tests_dialog_test_starttls_lines_SOURCES = tests/dialog/test-starttls-lines.c tests/dialog/starttls.h
tests_dialog_test_starttls_lines_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_starttls_lines_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-starttls-packets
tests_dialog_test_starttls_packets_SOURCES = tests/dialog/test-starttls-packets.c tests/dialog/starttls.h
tests_dialog_test_starttls_packets_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_starttls_packets_LDADD = $(DIALOG_LIBS)

check_PROGRAMS += tests/dialog/test-starttls-xmpp
tests_dialog_test_starttls_xmpp_SOURCES = tests/dialog/test-starttls-xmpp.c tests/dialog/starttls.h
tests_dialog_test_starttls_xmpp_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_dialog_test_starttls_xmpp_LDADD = $(DIALOG_LIBS)
