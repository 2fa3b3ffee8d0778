/* Is a directory on another machine? */
#ifndef DECO_PARTICLES_NETWORK_H
#define DECO_PARTICLES_NETWORK_H

/* "NFS", "Lustre" …; NULL when `path` is on a local file system, or not there. */
const char *network_file_system(const char *path);
const char *network_file_system_name(unsigned long type); /* of a statfs f_type */

#endif
