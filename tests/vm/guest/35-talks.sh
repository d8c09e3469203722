# The library's calls, and the plain ones, on kTLS sockets of this kernel.
exec talk-test
