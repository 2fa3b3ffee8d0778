/* Blocks of bytes over connected sockets, one to each other worker. All that can move is moved, whoever is slow. */
#include "compute/comm_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASK_MS = 100 };

typedef struct sockets {
    deco_transport base;
    int *fd;             /* [size]; -1: oneself */
    struct pollfd *poll; /* [size] */
    size_t *sent, *got;  /* [size] of the blocks under way */
} sockets;

static bool fail(sockets *s, int i, const char *what)
{
    snprintf(s->base.message, sizeof s->base.message, "worker %d: %s", i, what);
    return false;
}

/* *at moves on by what could be moved without waiting. */
static bool move(sockets *s, int i, size_t *at, const deco_parcel *block, bool out)
{
    while (*at < block->bytes) {
        unsigned char *p = (unsigned char *)block->data + *at;
        size_t left = block->bytes - *at;
        ssize_t n = out ? send(s->fd[i], p, left, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(s->fd[i], p, left, MSG_DONTWAIT);
        if (n > 0)
            *at += (size_t)n;
        else if (n == 0)
            return fail(s, i, "closed its connection");
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return true;
        else if (errno != EINTR)
            return fail(s, i, strerror(errno));
    }
    return true;
}

static bool exchange(deco_transport *t, const deco_parcel *out, const deco_parcel *in, bool (*give_up)(void *context), void *context)
{
    sockets *s = (sockets *)t;

    memset(s->sent, 0, (size_t)t->size * sizeof *s->sent);
    memset(s->got, 0, (size_t)t->size * sizeof *s->got);
    t->message[0] = 0;
    for (;;) {
        bool busy = false;
        for (int i = 0; i < t->size; i++) {
            s->poll[i] = (struct pollfd){.fd = -1};
            if (i == t->rank)
                continue;
            if (!move(s, i, &s->sent[i], &out[i], true) || !move(s, i, &s->got[i], &in[i], false))
                return false;
            short events = (short)((s->sent[i] < out[i].bytes ? POLLOUT : 0) | (s->got[i] < in[i].bytes ? POLLIN : 0));
            if (events)
                s->poll[i] = (struct pollfd){.fd = s->fd[i], .events = events};
            busy = busy || events;
        }
        if (!busy)
            return true;
        if (poll(s->poll, (nfds_t)t->size, ASK_MS) < 0 && errno != EINTR)
            return fail(s, t->rank, strerror(errno));
        if (give_up(context))
            return false;
    }
}

static void release(deco_transport *t, bool failed)
{
    sockets *s = (sockets *)t;

    (void)failed; /* the program that started the workers sees how they end */
    for (int i = 0; s->fd && i < t->size; i++)
        if (s->fd[i] >= 0)
            close(s->fd[i]);
    free(s->fd);
    free(s->poll);
    free(s->sent);
    free(s->got);
    free(s);
}

deco_transport *comm_sockets(int rank, int size, const int *fd)
{
    size_t n = (size_t)size;
    sockets *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->base = (deco_transport){.rank = rank, .size = size, .words = "local sockets", .exchange = exchange, .close = release};
    s->fd = calloc(n, sizeof *s->fd);
    s->poll = calloc(n, sizeof *s->poll);
    s->sent = calloc(n, sizeof *s->sent);
    s->got = calloc(n, sizeof *s->got);
    if (s->fd)
        memcpy(s->fd, fd, n * sizeof *fd);
    if (s->fd && s->poll && s->sent && s->got)
        return &s->base;
    release(&s->base, true);
    return NULL;
}
