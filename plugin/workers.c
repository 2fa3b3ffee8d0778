#include "workers.h"
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 2000, LOOK_MS = 20, CHECKPOINTED = 75 };

/* ---- starting ------------------------------------------------------------------------------------------------------ */

/* fd[i][j]: worker i's end of its connection to j; the second square is of the watch, which joins the first worker to all others. */
typedef int mesh[2][WORKERS_MOST][WORKERS_MOST];

static void mesh_close(mesh m, int n, int but)
{
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; i != but && j < n; j++)
                if (m[k][i][j] >= 0)
                    close(m[k][i][j]);
}

static bool mesh_open(mesh m, int n)
{
    struct rlimit files;
    rlim_t wanted = 64 + (rlim_t)(n * n + 2 * n);
    bool good = true;

    memset(m, -1, sizeof(mesh));
    if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < wanted) {
        files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n && good; j++) {
                int pair[2];
                if (k && i)
                    continue;
                good = !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
                if (good)
                    m[k][i][j] = pair[0], m[k][j][i] = pair[1];
            }
    if (!good)
        mesh_close(m, n, -1);
    return good;
}

static bool tell(mesh m, int n, int rank)
{
    char text[16 + 2 * WORKERS_MOST * 12];
    size_t used = (size_t)snprintf(text, sizeof text, "%d %d", rank, n);

    for (int k = 0; k < 2; k++)
        for (int j = 0; j < n; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %d", m[k][rank][j]);
    return !setenv("CRYODECO_WORKER", text, 1);
}

int workers_start(pid_t *pid, int n)
{
    static mesh m;
    pid_t parent = getpid();

    if (!mesh_open(m, n))
        return -2;
    for (int i = 0; i < n; i++) {
        pid[i] = fork();
        if (!pid[i]) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would look after it */
            if (getppid() != parent)
                _exit(1);
            mesh_close(m, n, i);
            if (!tell(m, n, i))
                _exit(1);
            return i;
        }
        if (pid[i] < 0) {
            int error = errno;
            for (int k = 0; k < i; k++) {
                kill(pid[k], SIGKILL);
                waitpid(pid[k], NULL, 0);
            }
            mesh_close(m, n, -1);
            errno = error;
            return -2;
        }
    }
    mesh_close(m, n, -1);
    return -1;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

enum { SIGNALS = 4, STOPS = 2 }; /* of the first two a second one kills */

static volatile sig_atomic_t asked[SIGNALS]; /* how often, of these: */
static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

static void on_signal(int number)
{
    for (int i = 0; i < SIGNALS; i++)
        asked[i] = asked[i] + (signals[i] == number);
}

typedef struct flock_of {
    pid_t pid[WORKERS_MOST]; /* 0: ended */
    int n, left;
} flock_of;

static void send_all(const flock_of *f, int number)
{
    for (int i = 0; i < f->n; i++)
        if (f->pid[i])
            kill(f->pid[i], number);
}

/* What came since the last look goes on; a second stop kills. */
static void pass_on(const flock_of *f, int told[SIGNALS])
{
    for (int i = 0; i < SIGNALS; i++)
        if (asked[i] > told[i]) {
            send_all(f, i < STOPS && told[i] ? SIGKILL : signals[i]);
            told[i] = asked[i];
        }
}

int workers_wait(const pid_t *pid, int n, int killed)
{
    struct sigaction pass = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    flock_of f = {.n = n, .left = n};
    int code = killed, told[SIGNALS] = {0}, grace = -1;

    for (int i = 0; i < n; i++)
        f.pid[i] = pid[i];
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &pass, NULL);
    while (f.left) {
        int status;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        pass_on(&f, told);
        if (ended <= 0) {
            if (ended < 0 && errno == ECHILD)
                break;
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
            if (grace > 0 && (grace -= LOOK_MS) <= 0)
                send_all(&f, SIGKILL);
            continue;
        }
        for (int i = 0; i < n; i++)
            if (f.pid[i] == ended) {
                bool well = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CHECKPOINTED);
                f.pid[i] = 0;
                f.left--;
                if (!i && WIFEXITED(status))
                    code = WEXITSTATUS(status);
                if (grace < 0 && (!i || !well))
                    grace = GRACE_MS;
            }
    }
    return code;
}
