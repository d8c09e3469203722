/* Hashes for those who cannot see OpenSSL. */
#pragma once

#include "daemon/base/hash.h"

hash_function tls_hash;
