/* CryoSPARC datasets: which of the two forms a file is in. */
#include "formats/cs.h"
#include "base/file.h"
#include "formats/csdat.h"
#include "formats/npy.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

deco_status deco_cs_read(deco_table **out, const char *path)
{
    deco_status st = DECO_OK;
    static const char npy[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'}, csdat[6] = {'\x95', 'C', 'S', 'D', 'A', 'T'};
    char magic[6] = "";
    uint64_t size = 0;
    int fd = -1;

    *out = NULL;
    TRY(deco_file_open(&fd, &size, path));
    if (size < sizeof magic) {
        st = deco_fail(DECO_E_FORMAT, "%s: holds %" PRIu64 " bytes and is no CryoSPARC dataset", path, size);
        goto out;
    }
    TRY(deco_read_at(fd, path, magic, sizeof magic, 0));
    if (!memcmp(magic, npy, sizeof magic))
        st = deco_npy_read_table(out, path);
    else if (!memcmp(magic, csdat, sizeof magic))
        st = csdat_read(out, path);
    else
        st = deco_fail(DECO_E_FORMAT, "%s: is no CryoSPARC dataset (it begins neither with \\x93NUMPY nor with \\x95CSDAT)", path);
out:
    if (fd >= 0)
        close(fd);
    return st;
}

deco_status deco_cs_write(const char *path, const deco_table *t) { return deco_npy_write_table(path, t); }

deco_status deco_cs_write_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n)
{
    return deco_npy_write_rows(path, t, row, n);
}
