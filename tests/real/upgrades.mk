# Real servers of what is spoken before a connection is handed over.
script_tests += \
	tests/real/starttls.py

EXTRA_DIST += tests/real/starttls_servers.py
