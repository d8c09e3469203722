/* The n-th operation of a worker's ring fails: for every n until a run needs fewer, and for each of
 * several errors. Afterwards there are as many fds and as much memory as before. */
#pragma once

#include <stdbool.h>

/* One request, from the session to its end. Returns whether all went well. */
typedef bool rig_run_fn(void *data);

/* At the start of main(): memory can be counted. May start the program anew. */
void rig_walk_prepare(char **argv);
/* Of a worker that was started; a run must need at least ops_min operations. */
void rig_walk(rig_run_fn *run, void *data, unsigned ops_min);
