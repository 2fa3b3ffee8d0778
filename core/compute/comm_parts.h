/* What the files of the communicator share: comm.c has the sums, comm_watch.c looks after the other workers, comm_launch.c finds them. */
#ifndef DECO_COMPUTE_COMM_PARTS_H
#define DECO_COMPUTE_COMM_PARTS_H

#include "compute/comm.h"
#include "compute/comm_transport.h"
#include <pthread.h>
#include <stdatomic.h>

/* One frame of the watch: always whole, or the other end is gone. */
typedef struct comm_frame {
    char kind;    /* one of enum comm_kind */
    char waiting; /* it waits for others, and may be idle */
    char wrote;
    char stops;     /* of a beat: it was asked to stop */
    int status;     /* deco_status, of LEAVES and FAILED */
    double cpu_s;   /* processor time of the process */
    char at[120];   /* what it does */
    char text[880]; /* of FAILED: what with */
} comm_frame;

enum comm_kind {
    COMM_BEAT = 'b',   /* a sign of life */
    COMM_LEAVES = 'l', /* all is well and it leaves; or all are to leave, and say nothing */
    COMM_FAILED = 'f'  /* and nobody has said so yet */
};

/* Another worker, as the watch sees it. The first watches all, all watch the first. */
typedef struct comm_peer {
    int fd; /* -1: none, or it left */
    int rank;
    bool left;      /* as it should */
    char name[120]; /* "process 123 on host abc" */
    char at[120];
    double heard, worked, cpu_s; /* when last: a sign of life, processor time taken or waiting; what it had then */
} comm_peer;

typedef struct comm_watch {
    comm_peer *peer;
    int peers;
    double silent_s;
    pthread_t thread;
    bool running;
    int wake[2]; /* closes the thread */
} comm_watch;

struct deco_comm {
    int rank, size, threads, here; /* here: workers on this host */
    char words[96];
    deco_transport *transport;
    comm_watch watch;
    deco_monitor *m;
    double sent;
    void *room; /* of a call's parts; and of numbers that a device holds: both kept, so that a step allocates nothing */
    float *host;
    size_t room_bytes, host_size;
    deco_parcel *parcel; /* [2,size] of an exchange: what goes out, what comes in */
    size_t *first;       /* [size + 1] of a gather */

    pthread_mutex_t lock;      /* of what follows */
    char at[120], before[120]; /* what it does; and did before it began to wait */
    bool waiting;
    bool lost, said, wrote; /* said: by someone, so that nobody says it again */
    deco_status status;
    char why[DECO_MESSAGE_SIZE];
};

/* Where the workers are: the transport, and a connection of the watch to each peer of this one (fd [size], -1 where there is none; the watch's
 * from here on). *transport NULL: this process is alone. */
deco_status comm_find(deco_transport **transport, int **fd);

/* The transport over connected sockets, [size] each, which it owns from here on. NULL: no memory. */
deco_transport *comm_sockets(int rank, int size, const int *fd);

/* Connections between the first worker and each other one over TCP, for workers that have a transport only. fd [size]. */
deco_status comm_connect(int *fd, deco_comm *c);

/* Names and threads of everyone are known; `fd` [size]. */
deco_status comm_watch_begin(deco_comm *c, const int *fd, const char *names, size_t name_size, double silent_s);
/* Tells the others how this worker ends, and waits for the thread. */
void comm_watch_end(deco_comm *c, deco_status st, bool wrote);

/* This worker's share of the cores, by the masks and hosts of all. */
typedef struct comm_place {
    char host[64];
    long long pid;
    int quota;              /* cores of its control group; 0: no limit */
    unsigned char cpu[512]; /* bits of its affinity */
} comm_place;
void comm_place_mine(comm_place *p);
int comm_threads(const comm_place *all, int size, int rank);

#endif
