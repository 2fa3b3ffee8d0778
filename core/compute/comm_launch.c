/* Who started this process as one of several, and what its share of the cores is. */
#include "base/cores.h"
#include "compute/comm_parts.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- `cryodeco run --workers N` ------------------------------------------------------------------------------------ */

/* CRYODECO_WORKER is "RANK SIZE", then the sockets to each worker, then those of the watch; -1 where there is none. */
static deco_status find_started(deco_transport **transport, int **watch, const char *text)
{
    deco_status st = DECO_OK;
    int rank, size, used, *fd = NULL;

    if (sscanf(text, "%d %d%n", &rank, &size, &used) != 2 || size < 1 || size > 1024 || rank < 0 || rank >= size)
        return deco_fail(DECO_E_DEVICE, "CRYODECO_WORKER: \"%s\" is not what the program sets itself; unset it", text);
    if (size == 1)
        return DECO_OK;
    TRY(deco_alloc(&fd, 2 * (size_t)size, sizeof *fd, "the workers"));
    for (int i = 0; i < 2 * size; i++) {
        text += used;
        if (sscanf(text, "%d%n", &fd[i], &used) != 1)
            TRY(deco_fail(DECO_E_DEVICE, "CRYODECO_WORKER: not what the program sets itself; unset it"));
    }
    TRY(deco_alloc(watch, (size_t)size, sizeof **watch, "the workers"));
    memcpy(*watch, fd + size, (size_t)size * sizeof *fd);
    if (!(*transport = comm_sockets(rank, size, fd)))
        TRY(deco_fail_memory((size_t)size * sizeof *fd, "the workers"));
out:
    free(fd);
    return st;
}

/* ---- mpirun, srun -------------------------------------------------------------------------------------------------- */

static int number_in(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* What launchers set for each process: how many there are. Slurm's own count stands in batch scripts too, where the process is one; a step that
 * srun starts can use MPI only with PMI behind it, and the step's tasks are counted apart. */
static bool is_launched(void)
{
    return number_in("OMPI_COMM_WORLD_SIZE") > 1 || number_in("PMI_SIZE") > 1 ||
           (getenv("PMIX_RANK") && number_in("SLURM_STEP_NUM_TASKS") > 1);
}

/* "RANK SIZE ..." of CRYODECO_WORKER as well. */
bool deco_comm_speaks(void)
{
    static const char *const rank[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};

    if (number_in("CRYODECO_WORKER"))
        return false;
    for (size_t i = 0; is_launched() && i < sizeof rank / sizeof *rank; i++)
        if (number_in(rank[i]))
            return false;
    return true;
}

static deco_status find_mpi(deco_transport **transport)
{
    char message[256] = "";
    const char *path = getenv("CRYODECO_MPI");
    deco_transport_open *begin = NULL;

    void *library = dlopen(path && *path ? path : "libcryodeco_mpi.so", RTLD_NOW | RTLD_GLOBAL);
    void *symbol = library ? dlsym(library, "deco_mpi_open") : NULL;
    if (!symbol)
        return deco_fail(DECO_E_UNSUPPORTED,
                         "this process was started as one of several by an MPI launcher, but %s; build with mpicc installed, or use "
                         "--workers on one machine",
                         library ? "libcryodeco_mpi.so is of another version" : dlerror());
    memcpy(&begin, &symbol, sizeof begin);
    *transport = begin(DECO_TRANSPORT_VERSION, message);
    if (!*transport && *message)
        return deco_fail(DECO_E_DEVICE, "MPI: %s", message);
    return DECO_OK; /* or MPI says that it is alone */
}

deco_status comm_find(deco_transport **transport, int **fd)
{
    const char *started = getenv("CRYODECO_WORKER");

    *transport = NULL;
    *fd = NULL;
    if (started)
        return find_started(transport, fd, started);
    return is_launched() ? find_mpi(transport) : DECO_OK;
}

/* ---- cores --------------------------------------------------------------------------------------------------------- */

void comm_place_mine(comm_place *p)
{
    enum { CPUS = 8 * sizeof p->cpu };
    cpu_set_t *set = CPU_ALLOC(CPUS);
    size_t bytes = CPU_ALLOC_SIZE(CPUS);

    memset(p, 0, sizeof *p);
    if (gethostname(p->host, sizeof p->host - 1))
        snprintf(p->host, sizeof p->host, "unknown");
    p->pid = getpid();
    p->quota = deco_cores_by_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (set && !sched_getaffinity(0, bytes, set))
        for (int i = 0; i < CPUS; i++)
            if (CPU_ISSET_S((size_t)i, bytes, set))
                p->cpu[i / 8] |= (unsigned char)(1 << i % 8);
    CPU_FREE(set);
}

/* A core that k workers of a host may use counts 1/k for each; a group's quota is shared by all of the host. */
int comm_threads(const comm_place *all, int size, int rank)
{
    const comm_place *me = &all[rank];
    double cores = 0;
    int here = 0;

    for (int i = 0; i < size; i++)
        here += !strcmp(all[i].host, me->host);
    for (int cpu = 0; cpu < (int)(8 * sizeof me->cpu); cpu++) {
        int users = 0;
        for (int i = 0; i < size; i++)
            users += !strcmp(all[i].host, me->host) && all[i].cpu[cpu / 8] >> cpu % 8 & 1;
        if (me->cpu[cpu / 8] >> cpu % 8 & 1)
            cores += 1.0 / users;
    }
    if (me->quota && me->quota < cores * here)
        cores = (double)me->quota / here;
    return cores < 2 ? 1 : (int)(cores + 1e-6);
}
