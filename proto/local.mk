noinst_LTLIBRARIES += libproto.la
libproto_la_SOURCES = \
	proto/cleanup.h \
	proto/error.c proto/error.h \
	proto/fdmsg.c proto/fdmsg.h \
	proto/host.c proto/host.h \
	proto/message.c proto/message_answer.c proto/message_request.c proto/message.h \
	proto/target.c proto/target.h \
	proto/walk.c proto/walk.h \
	proto/wire.c proto/wire.h
# Who writes a client of his own works from this.
dist_doc_DATA += proto/PROTOCOL.md
