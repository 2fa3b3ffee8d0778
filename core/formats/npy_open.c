/* From a path to a checked .npy header, with the file's size agreeing. */
#include "base/file.h"
#include "formats/npy_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct prefix {
    bool latin1;
    uint32_t header; /* bytes */
    unsigned begin;  /* of the header */
} prefix;

static deco_status read_prefix(prefix *p, int fd, uint64_t size, const char *path)
{
    deco_status st = DECO_OK;
    unsigned char b[12] = {0};

    if (size < 10)
        return deco_fail(DECO_E_FORMAT, "%s: holds %" PRIu64 " bytes, too few for an .npy header", path, size);
    TRY(deco_read_at(fd, path, b, size < sizeof b ? (size_t)size : sizeof b, 0));
    if (memcmp(b, "\x93NUMPY", 6) != 0)
        st = deco_fail(DECO_E_FORMAT, "%s: is no .npy file (it does not begin with \\x93NUMPY)", path);
    else if (b[6] < 1 || b[6] > 3)
        st = deco_fail(DECO_E_FORMAT, "%s: is in version %d.%d of the .npy format; 1, 2 and 3 are read", path, b[6], b[7]);
    else if (b[6] == 1)
        *p = (prefix){true, b[8] | (uint32_t)b[9] << 8, 10};
    else
        *p = (prefix){b[6] == 2, b[8] | (uint32_t)b[9] << 8 | (uint32_t)b[10] << 16 | (uint32_t)b[11] << 24, 12};
    if (!st && (uint64_t)p->begin + p->header > size)
        st = deco_fail(DECO_E_FORMAT, "%s: its header claims %u bytes, and the file ends after %" PRIu64, path, p->header, size);
out:
    return st;
}

static deco_status check_size(const npy_header *h, uint64_t size, const char *path)
{
    uint64_t held = size - h->data, due;

    if (__builtin_mul_overflow((uint64_t)h->count, (uint64_t)h->row_bytes, &due))
        return deco_fail(DECO_E_FORMAT, "%s: its header claims %lld rows of %zu bytes, more than any file holds", path, (long long)h->count,
                         h->row_bytes);
    if (h->count && !h->row_bytes)
        return deco_fail(DECO_E_FORMAT, "%s: its header claims %lld rows of nothing", path, (long long)h->count);
    if (held < due && h->record)
        return deco_fail(DECO_E_FORMAT,
                         "%s: ends in row %" PRIu64 " of %lld (%" PRIu64 " bytes of rows, and %" PRIu64 " are due); copy it again", path,
                         held / h->row_bytes, (long long)h->count, held, due);
    if (held < due)
        return deco_fail(DECO_E_FORMAT, "%s: ends after %" PRIu64 " of %lld values; copy it again", path, held / h->row_bytes,
                         (long long)h->count);
    if (held > due)
        return deco_fail(DECO_E_FORMAT, "%s: holds %" PRIu64 " bytes more than the %lld rows of its header", path, held - due,
                         (long long)h->count);
    return DECO_OK;
}

deco_status npy_open(npy_header *h, int *fd, const char *path)
{
    deco_status st = DECO_OK;
    uint64_t size = 0;
    prefix p = {0};
    char *text = NULL;

    *h = (npy_header){0};
    TRY(deco_file_open(fd, &size, path));
    TRY(read_prefix(&p, *fd, size, path));
    TRY(deco_alloc(&text, (size_t)p.header + 1, 1, path));
    TRY(deco_read_at(*fd, path, text, p.header, p.begin));
    TRY(npy_header_parse(h, text, p.header, p.latin1, path));
    h->data = (uint64_t)p.begin + p.header;
    TRY(check_size(h, size, path));
out:
    if (st) {
        npy_header_free(h);
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
    }
    free(text);
    return st;
}
