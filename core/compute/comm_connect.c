/* Connections of the watch over TCP: every other worker comes to the first, which told its addresses over the transport. */
#include "compute/comm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESSES = 16, CONNECT_MS = 3000, ALL_MS = 30000 };

/* Where the first worker listens, and a word that only its own know. */
typedef struct meeting {
    int count;
    struct sockaddr_in6 address[ADDRESSES]; /* IPv4 as ::ffff:a.b.c.d */
    uint64_t word[2];
} meeting;

typedef struct greeting {
    uint64_t word[2];
    int64_t rank;
} greeting;

static void add_address(meeting *m, const struct sockaddr *a, in_port_t port)
{
    struct sockaddr_in6 *to = &m->address[m->count];

    if (m->count == ADDRESSES || !a)
        return;
    memset(to, 0, sizeof *to);
    if (a->sa_family == AF_INET6) {
        memcpy(to, a, sizeof *to);
    } else if (a->sa_family == AF_INET) {
        to->sin6_family = AF_INET6;
        to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to->sin6_addr.s6_addr[12], &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    } else
        return;
    to->sin6_port = port;
    m->count++;
}

/* -1: there is no listening here. */
static int listen_somewhere(meeting *m)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in any4 = {.sin_family = AF_INET};
    socklen_t n = sizeof any;
    int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ifaddrs *all = NULL;
    in_port_t port;

    if (fd >= 0) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 1024) || getsockname(fd, (struct sockaddr *)&any, &n)) {
            close(fd);
            return -1;
        }
        port = any.sin6_port;
    } else { /* a kernel without IPv6 */
        n = sizeof any4;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&any4, sizeof any4) || listen(fd, 1024) ||
            getsockname(fd, (struct sockaddr *)&any4, &n)) {
            if (fd >= 0)
                close(fd);
            return -1;
        }
        port = any4.sin_port;
    }
    if (!getifaddrs(&all)) {
        for (struct ifaddrs *a = all; a; a = a->ifa_next)
            add_address(m, a->ifa_addr, port);
        freeifaddrs(all);
    }
    return fd;
}

/* A connection within some seconds, or -1. */
static int connect_to(const struct sockaddr_in6 *to)
{
    bool four = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = to->sin6_port};
    int error = 0, fd = socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t n = sizeof error;

    if (fd < 0)
        return -1;
    memcpy(&to4.sin_addr, &to->sin6_addr.s6_addr[12], 4);
    int rc = four ? connect(fd, (struct sockaddr *)&to4, sizeof to4) : connect(fd, (const struct sockaddr *)to, sizeof *to);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if ((rc && errno != EINPROGRESS) || (rc && poll(&p, 1, CONNECT_MS) != 1) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) || error) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

/* Says who it is, and is known when the answer comes: another program may listen at the same address of this host. */
static int meet_first(const deco_comm *c, const meeting *m)
{
    greeting g = {.rank = c->rank}, answer;
    struct timeval limit = {.tv_sec = ALL_MS / 1000}, none = {0};

    memcpy(g.word, m->word, sizeof g.word);
    for (int i = 0; i < m->count; i++) {
        int fd = connect_to(&m->address[i]);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (send(fd, &g, sizeof g, MSG_NOSIGNAL) == sizeof g && recv(fd, &answer, sizeof answer, MSG_WAITALL) == sizeof answer &&
            !memcmp(&answer, &g, sizeof g)) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
            return fd;
        }
        close(fd);
    }
    return -1;
}

/* The first worker waits for all others; strangers are sent away. */
static deco_status meet_others(int *fd, const deco_comm *c, const meeting *m, int listening)
{
    double until = deco_seconds() + 1e-3 * ALL_MS;
    struct timeval limit = {.tv_sec = 2}, none = {0};

    for (int missing = c->size - 1; missing;) {
        struct pollfd p = {.fd = listening, .events = POLLIN};
        double left = until - deco_seconds();
        if (left <= 0)
            return deco_fail(DECO_E_DEVICE, "%d of %d workers cannot reach the first one over TCP: a firewall between the hosts?", missing,
                             c->size);
        if (poll(&p, 1, (int)(1000 * left) + 1) <= 0)
            continue;
        int one = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        greeting g;
        if (one < 0)
            continue;
        setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (recv(one, &g, sizeof g, MSG_WAITALL) == sizeof g && !memcmp(g.word, m->word, sizeof g.word) && g.rank > 0 && g.rank < c->size &&
            fd[g.rank] < 0 && send(one, &g, sizeof g, MSG_NOSIGNAL) == sizeof g) {
            setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
            fd[g.rank] = one;
            missing--;
        } else
            close(one);
    }
    return DECO_OK;
}

deco_status comm_connect(int *fd, deco_comm *c)
{
    deco_status st = DECO_OK;
    meeting m = {0};
    int listening = -1, on = 1;

    for (int i = 0; i < c->size; i++)
        fd[i] = -1;
    if (!c->rank) {
        listening = listen_somewhere(&m);
        if (getrandom(m.word, sizeof m.word, 0) != sizeof m.word)
            TRY(deco_fail_errno(DECO_E_DEVICE, "no random number from the system"));
    }
    TRY(deco_comm_share(c, &m, sizeof m, "where the first worker is"));
    if (!c->rank)
        TRY(listening < 0 ? deco_fail(DECO_E_DEVICE, "the first worker cannot listen for the others over TCP")
                          : meet_others(fd, c, &m, listening));
    else if ((fd[0] = meet_first(c, &m)) < 0)
        TRY(deco_fail(DECO_E_DEVICE, "worker %d of %d cannot reach the first one over TCP at any of its %d addresses", c->rank, c->size,
                      m.count));
    for (int i = 0; i < c->size; i++)
        if (fd[i] >= 0)
            setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
out:
    if (listening >= 0)
        close(listening);
    return st;
}
