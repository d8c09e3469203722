# Real servers of what is spoken before a connection is handed over.
script_tests += \
	tests/real/starttls.py \
	tests/real/websocket.py

EXTRA_DIST += tests/real/starttls_servers.py tests/real/websocket_echo.py
