# What the connections are for: real servers and clients from Debian's packages, each skipped with its
# reason where it is missing.
script_tests += tests/real/protocol.py
EXTRA_DIST += tests/real/protocol_client.py
