/* The two halves of the configuration's tests. */
#pragma once

#include <check.h>

#include "daemon/policy/config.h"

TCase *config_errors_case(void);
