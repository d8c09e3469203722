# Through real proxies.
script_tests += \
	tests/real/http-proxies.py \
	tests/real/kerberos-proxies.py \
	tests/real/proxy-chains.py \
	tests/real/proxy-headers.py \
	tests/real/proxy-names.py \
	tests/real/socks-proxies.py

EXTRA_DIST += tests/real/proxy_case.py tests/real/proxy_peers.py
