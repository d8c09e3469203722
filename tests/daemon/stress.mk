# Uses the client and the origin of tests/bench.
script_tests += tests/daemon/stress.py
