# Through real proxies.
script_tests += \
	tests/real/http-proxies.py

EXTRA_DIST += tests/real/proxy_case.py tests/real/proxy_peers.py
