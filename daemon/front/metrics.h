/* The counters as text for Prometheus and the like. */
#pragma once

#include "daemon/front/front.h"

/* Renders a text of OpenMetrics 1.0 that the older Prometheus text format (0.0.4) reads alike.
 * Without has_counters only what everybody may know. From any thread; *ret_text is malloc'd.
 * Returns 0 or -ENOMEM. */
int metrics_render(const struct status_source *source, bool has_counters, char **ret_text,
                   size_t *ret_n);
