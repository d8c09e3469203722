# The harness tests itself: a limit that does not limit would hide everything else.
script_tests += tests/lib/test-run-test.py tests/lib/test-harness.py
# The order of the layers.
script_tests += tests/lib/test-includes.py
