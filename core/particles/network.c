/* File systems by the numbers of statfs(2). */
#include "particles/network.h"

#include <stddef.h>
#include <sys/vfs.h>

const char *network_file_system_name(unsigned long type)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {{0x6969, "NFS"},       {0x517B, "SMB"},        {0xFF534D42, "CIFS"},    {0xFE534D42, "SMB"},   {0x0BD00BD0, "Lustre"},
                 {0x47504653, "GPFS"},  {0x19830326, "BeeGFS"}, {0x00C36400, "Ceph"},    {0x5346414F, "AFS"},   {0x6B414653, "AFS"},
                 {0xAAD7AAEA, "PanFS"}, {0x01021997, "9P"},     {0x65735546, "FUSE"},    {0x7461636F, "OCFS2"}, {0x01161970, "GFS2"},
                 {0x73757245, "Coda"},  {0x564C, "NCP"},        {0x20030528, "OrangeFS"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == (type & 0xFFFFFFFF))
            return known[i].name;
    return NULL;
}

const char *network_file_system(const char *path)
{
    struct statfs s;
    return statfs(path, &s) ? NULL : network_file_system_name((unsigned long)s.f_type);
}
