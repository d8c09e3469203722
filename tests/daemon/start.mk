script_tests += tests/daemon/test-start.py
