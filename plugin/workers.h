/* Several processes of this program on one machine, joined by sockets: what --workers asks for. */
#ifndef CRYODECO_WORKERS_H
#define CRYODECO_WORKERS_H

#include <sys/types.h>

enum { WORKERS_MOST = 64 };

/* Forks n workers, connected to one another, each told so by CRYODECO_WORKER. Comes back in all of them with the worker's number, and in the
 * process that called with -1 and their ids in pid [n]; -2: failed, and none is left (errno). Call it before there are threads. */
int workers_start(pid_t *pid, int n);

/* Waits for all; signals go on to them, a second one kills them. When the first worker has ended, or another one badly, what is left of them
 * after some seconds is killed. The first one's exit code; `killed` when a signal ended it. */
int workers_wait(const pid_t *pid, int n, int killed);

#endif
