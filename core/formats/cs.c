/* CryoSPARC datasets: which of the two forms a file is in. */
#include "formats/cs.h"
#include "base/file.h"
#include "formats/csdat.h"
#include "formats/npy_join.h"
#include "formats/table_rows.h"
#include "formats/npy.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef enum form { FORM_NPY, FORM_CSDAT } form;

/* Told by the first bytes. */
static deco_status form_of(form *out, const char *path)
{
    deco_status st = DECO_OK;
    static const char npy[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'}, csdat[6] = {'\x95', 'C', 'S', 'D', 'A', 'T'};
    char magic[6] = "";
    uint64_t size = 0;
    int fd = -1;

    TRY(deco_file_open(&fd, &size, path));
    if (size < sizeof magic)
        TRY(deco_fail(DECO_E_FORMAT, "%s: holds %" PRIu64 " bytes and is no CryoSPARC dataset", path, size));
    TRY(deco_read_at(fd, path, magic, sizeof magic, 0));
    *out = memcmp(magic, npy, sizeof magic) ? FORM_CSDAT : FORM_NPY;
    if (*out == FORM_CSDAT && memcmp(magic, csdat, sizeof magic) != 0)
        st = deco_fail(DECO_E_FORMAT, "%s: is no CryoSPARC dataset (it begins neither with \\x93NUMPY nor with \\x95CSDAT)", path);
out:
    if (fd >= 0)
        close(fd);
    return st;
}

deco_status deco_cs_read(deco_table **out, const char *path)
{
    deco_status st = DECO_OK;
    form f;

    *out = NULL;
    TRY(form_of(&f, path));
    st = f == FORM_NPY ? deco_npy_read_table(out, path) : csdat_read(out, path);
out:
    return st;
}

deco_status deco_cs_join(deco_table *t, const char *path, const char *key)
{
    deco_status st = DECO_OK;
    deco_table *other = NULL;
    form f;

    TRY(form_of(&f, path));
    if (f == FORM_NPY) {
        TRY(npy_join(t, path, key));
    } else {
        TRY(csdat_read(&other, path));
        TRY(table_join_taking(t, other, key));
    }
out:
    deco_table_free(other);
    return st;
}

deco_status deco_cs_write(const char *path, const deco_table *t) { return deco_npy_write_table(path, t); }

deco_status deco_cs_write_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n)
{
    return deco_npy_write_rows(path, t, row, n);
}
