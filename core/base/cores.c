/* Cores and memory this process may use: the affinity mask and the machine's memory, cut by limits of its control groups and its own. */
#include "base/cores.h"
#include "base/file.h"
#include "base/threads.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int cores_by_affinity(void)
{
    /* The kernel refuses a mask smaller than its own: grow it. */
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        if (!set)
            break;
        int n = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (n > 0)
            return n;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 1 << 20 ? (int)n : 1;
}

/* The number in the file dir/name, its first word; -1 when there is none, or it says "max". */
static long long first_number(const char *dir, const char *name, long long *second)
{
    char *path = deco_path_join(dir, name);
    FILE *f = path ? fopen(path, "re") : NULL;
    long long a = -1;

    if (f) {
        int n = second ? fscanf(f, "%lld %lld", &a, second) : fscanf(f, "%lld", &a);
        if (n != (second ? 2 : 1))
            a = -1;
        fclose(f);
    }
    free(path);
    return a;
}

static long long cores_of_group(const char *dir)
{
    long long period = 0, quota = first_number(dir, "cpu.max", &period);

    if (quota < 0) {
        quota = first_number(dir, "cpu.cfs_quota_us", NULL);
        period = first_number(dir, "cpu.cfs_period_us", NULL);
    }
    if (quota <= 0 || period <= 0 || quota / period > 1 << 20)
        return 0;
    return (quota + period - 1) / period;
}

static long long memory_of_group(const char *dir)
{
    long long bytes = first_number(dir, "memory.max", NULL);

    if (bytes < 0)
        bytes = first_number(dir, "memory.limit_in_bytes", NULL);
    return bytes > 0 ? bytes : 0;
}

static long long smaller(long long a, long long b) { return !a ? b : !b ? a : a < b ? a : b; }

/* What a group's directory says of its limit; 0: nothing. */
typedef long long (*group_limit)(const char *dir);

/* The group `path` under `root` and all above it. In a container the path may not be there, but the root is. */
static long long limit_of_groups(const char *root, const char *path, group_limit limit)
{
    char *dir = deco_format("%s%s", root, path);
    long long least = 0;

    while (dir && strlen(dir) >= strlen(root)) {
        least = smaller(least, limit(dir));
        char *slash = strrchr(dir, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    free(dir);
    return least;
}

static bool has_word(const char *list, size_t n, const char *word)
{
    size_t k = strlen(word);

    for (size_t i = 0; i + k <= n; i++)
        if (!strncmp(list + i, word, k) && (i == 0 || list[i - 1] == ',') && (i + k == n || list[i + k] == ','))
            return true;
    return false;
}

static long long limit_of_process(const char *list, const char *mount, const char *controller, group_limit limit)
{
    long long least = 0;
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen(list, "re");

    while (f && getline(&line, &size, f) > 0) { /* "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1) */
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        size_t n = (size_t)(path - names - 1);
        char *root = n == 0 ? strdup(mount) : has_word(names + 1, n, controller) ? deco_format("%s/%.*s", mount, (int)n, names + 1) : NULL;
        if (root)
            least = smaller(least, limit_of_groups(root, path + 1, limit));
        free(root);
    }
    free(line);
    if (f)
        fclose(f);
    return least;
}

int deco_cores_by_quota(const char *list, const char *mount) { return (int)limit_of_process(list, mount, "cpu", cores_of_group); }

double deco_memory_by_group(const char *list, const char *mount)
{
    return (double)limit_of_process(list, mount, "memory", memory_of_group);
}

int deco_cores_allowed(void) { return (int)smaller(deco_cores_by_quota("/proc/self/cgroup", "/sys/fs/cgroup"), cores_by_affinity()); }

double deco_memory_allowed(void)
{
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double group = deco_memory_by_group("/proc/self/cgroup", "/sys/fs/cgroup");

    double least = group > 0 && group < machine ? group : machine;
    const int own[] = {RLIMIT_DATA, RLIMIT_AS};

    for (int i = 0; i < 2; i++) {
        struct rlimit limit;
        if (!getrlimit(own[i], &limit) && limit.rlim_cur != RLIM_INFINITY && (double)limit.rlim_cur < least)
            least = (double)limit.rlim_cur;
    }
    return least;
}

double deco_memory_held(void)
{
    char text[128];
    long long all, resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    if (sscanf(text, "%lld %lld %lld", &all, &resident, &shared) != 3)
        return 0;
    return (double)(resident - shared) * (double)sysconf(_SC_PAGESIZE);
}
