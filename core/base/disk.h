/* Room on disks. */
#ifndef DECO_BASE_DISK_H
#define DECO_BASE_DISK_H

/* Bytes that this user may still write at `path`, of which the last parts need not exist yet; INFINITY where the system does not say. */
double deco_disk_free(const char *path);

/* Bytes that files under a directory take, as the disk counts them; links are not followed. */
double deco_disk_used(const char *directory);

#endif
