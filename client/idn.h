/* Names in other scripts become A-labels before the library sees them (IDNA 2008,
 * non-transitional). What is all ASCII is passed on as it is. */
#pragma once

/* The host in the target is converted; malloc'd. -EINVAL with a sentence, -ENOMEM. */
int idn_convert_target(const char *target, char **ret, const char **ret_error);
/* A host alone. */
int idn_convert_host(const char *host, char **ret, const char **ret_error);
