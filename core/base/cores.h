/* How much of the machine the control groups of this process leave it. */
#ifndef DECO_BASE_CORES_H
#define DECO_BASE_CORES_H

/* Cores by CPU quota, rounded up; 0 when there is no limit. `list` is /proc/self/cgroup, `mount` /sys/fs/cgroup: a process
 * has the smallest quota of its group and all groups above, v1 and v2. */
int deco_cores_by_quota(const char *list, const char *mount);

/* Likewise bytes of memory; 0 when there is no limit. */
double deco_memory_by_group(const char *list, const char *mount);

/* Bytes of memory that this process may use: the machine's, or its groups' or its own limits (RLIMIT_DATA, RLIMIT_AS) where they are less. */
double deco_memory_allowed(void);

/* Bytes of it that this process holds now and that are no file's; 0 where the system does not say. */
double deco_memory_held(void);

#endif
