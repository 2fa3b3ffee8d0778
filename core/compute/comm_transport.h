/* How blocks of bytes get from worker to worker: what sockets and MPI provide, and libcryodeco_mpi.so exports. */
#ifndef DECO_COMPUTE_COMM_TRANSPORT_H
#define DECO_COMPUTE_COMM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

enum { DECO_TRANSPORT_VERSION = 1 };

typedef struct deco_parcel {
    void *data;
    size_t bytes; /* may be 0 */
} deco_parcel;

typedef struct deco_transport deco_transport;
struct deco_transport {
    int rank, size;
    char words[64];    /* "local sockets", "Open MPI 4.1.4" */
    char message[256]; /* of a failure */
    /* Sends out[i] to worker i and receives in[i] from it, [size] each; a worker's own are left out. Blocks between two workers arrive in the
     * order of the calls. Asks give_up(context) at least ten times a second while it waits. False: failed, or given up with an empty message. */
    bool (*exchange)(deco_transport *t, const deco_parcel *out, const deco_parcel *in, bool (*give_up)(void *context), void *context);
    void (*close)(deco_transport *t, bool failed); /* frees it; after a failure the launcher is asked to end all workers */
};

/* libcryodeco_mpi.so: NULL with a message [256] where MPI cannot be begun. */
typedef deco_transport *deco_transport_open(int version, char *message);

#endif
