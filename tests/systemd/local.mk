script_tests += tests/systemd/verify-units.sh
