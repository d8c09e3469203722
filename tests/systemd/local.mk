TEST_SCRIPTS += tests/systemd/verify-units.sh
