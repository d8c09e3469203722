# The command, against a daemon in Python.
script_tests += tests/unit/test-cli.py tests/unit/test-client-api.sh

# What the manual shows to programmers.
script_tests += tests/unit/test-manual-examples.py

# Command and library with the real daemon.
script_tests += tests/daemon/test-client-end-to-end.py
