# `make demo`: the main job on loopback. It is a test too: what it shows must stay true.
script_tests += tests/demo/demo.py

demo: all
	@$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/tests/demo/demo.py
.PHONY: demo
