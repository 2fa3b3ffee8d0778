/* libcryodeco_mpi.so: the workers that mpirun or srun started, joined by MPI. Opened at run time by core/compute/comm_launch.c, so that the
 * program itself runs where there is no MPI. Built once for each MPI, whose binary interfaces differ. */
#include "compute/comm_transport.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Lengths are ints in MPI. */
enum { PIECE = 1 << 28, ABORT_CODE = 1 };

typedef struct mpi {
    deco_transport base;
    MPI_Comm comm; /* our own: the host program's messages, if it has any, are others */
    MPI_Request *request;
    int requests, room;
    bool began; /* MPI_Init was ours */
} mpi;

static bool explain(mpi *m, int error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;

    MPI_Error_string(error, text, &n);
    snprintf(m->base.message, sizeof m->base.message, "%s", text);
    return false;
}

/* Sends or receives a block in pieces; those between two workers keep their order. */
static bool start(mpi *m, const deco_parcel *block, int peer, bool out)
{
    for (size_t at = 0; at < block->bytes; at += PIECE) {
        unsigned char *p = (unsigned char *)block->data + at;
        int n = (int)(block->bytes - at < PIECE ? block->bytes - at : PIECE);
        if (m->requests == m->room) {
            int room = m->room ? 2 * m->room : 64;
            MPI_Request *more = realloc(m->request, (size_t)room * sizeof(MPI_Request));
            if (!more) {
                snprintf(m->base.message, sizeof m->base.message, "no memory for %d messages", room);
                return false;
            }
            m->request = more;
            m->room = room;
        }
        int rc = out ? MPI_Isend(p, n, MPI_BYTE, peer, 0, m->comm, &m->request[m->requests])
                     : MPI_Irecv(p, n, MPI_BYTE, peer, 0, m->comm, &m->request[m->requests]);
        if (rc)
            return explain(m, rc);
        m->requests++;
    }
    return true;
}

/* MPI waits by spinning, which takes the core from a worker beside this one. A short wait is spun through, a longer one slept through. */
static void rest(int turn)
{
    if (turn < 200)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = turn < 2000 ? 50000 : 500000}, NULL);
}

static bool exchange(deco_transport *t, const deco_parcel *out, const deco_parcel *in, bool (*give_up)(void *context), void *context)
{
    mpi *m = (mpi *)t;
    int done = 0;

    m->requests = 0;
    t->message[0] = 0;
    for (int k = 1; k < t->size; k++) {
        int to = (t->rank + k) % t->size, from = (t->rank + t->size - k) % t->size;
        if (!start(m, &in[from], from, false) || !start(m, &out[to], to, true))
            return false;
    }
    for (int turn = 0; !done; turn++) {
        int rc = MPI_Testall(m->requests, m->request, &done, MPI_STATUSES_IGNORE);
        if (rc)
            return explain(m, rc);
        if (done)
            break;
        rest(turn);
        if (turn % 64 == 63 && give_up(context))
            return false;
    }
    return true;
}

/* Until all are here. MPI's own waits, MPI_Finalize's as well, turn in a loop, on the cores that the first worker's analysis could have. */
static void wait_asleep(MPI_Comm comm)
{
    MPI_Request all;
    int done = 0;

    if (MPI_Ibarrier(comm, &all) != MPI_SUCCESS)
        return;
    while (MPI_Test(&all, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* MPI_Finalize waits for all; after a loss it would wait for ever, and the launcher ends what is left. */
static void close_mpi(deco_transport *t, bool failed)
{
    mpi *m = (mpi *)t;

    if (failed)
        MPI_Abort(m->comm, ABORT_CODE);
    wait_asleep(m->comm);
    MPI_Comm_free(&m->comm);
    if (m->began)
        MPI_Finalize();
    free(m->request);
    free(m);
}

__attribute__((visibility("default"))) deco_transport *deco_mpi_open(int version, char *message);

/* NULL, and no message: MPI says that this process is alone. */
deco_transport *deco_mpi_open(int version, char *message)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int begun = 0, ended = 0, given, n;
    mpi *m = calloc(1, sizeof *m);

    *message = 0;
    if (!m || version != DECO_TRANSPORT_VERSION) {
        snprintf(message, 256, "%s", m ? "libcryodeco_mpi.so and libcryodeco.so are of different versions" : "no memory");
        free(m);
        return NULL;
    }
    MPI_Finalized(&ended);
    MPI_Initialized(&begun);
    if (ended || (!begun && MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given))) {
        snprintf(message, 256, "cannot be begun in this process");
        free(m);
        return NULL;
    }
    m->began = !begun;
    MPI_Comm_dup(MPI_COMM_WORLD, &m->comm);
    MPI_Comm_set_errhandler(m->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(m->comm, &m->base.rank);
    MPI_Comm_size(m->comm, &m->base.size);
    MPI_Get_library_version(library, &n);
    library[strcspn(library, ",\n")] = 0;
    snprintf(m->base.words, sizeof m->base.words, "%.60s", library);
    m->base.exchange = exchange;
    m->base.close = close_mpi;
    if (m->base.size > 1)
        return &m->base;
    close_mpi(&m->base, false);
    return NULL;
}
