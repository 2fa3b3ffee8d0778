#include "formats/npy_map.h"
#include "formats/npy_header.h"

#include <sys/mman.h>
#include <unistd.h>

static deco_status check_layout(const npy_header *h, const char *path)
{
    const deco_dtype *type = &h->field->type;

    if (h->record)
        return deco_fail(DECO_E_FORMAT, "%s: holds records; a plain array is expected", path);
    if (h->fortran && h->dims > 1)
        return deco_fail(DECO_E_FORMAT, "%s: is in Fortran order; save it again in C order", path);
    if (type->swapped && type->item > 1)
        return deco_fail(DECO_E_FORMAT, "%s: is in the other byte order; save it again in this machine's", path);
    if (h->data % (type->item ? type->item : 1))
        return deco_fail(DECO_E_FORMAT, "%s: its data begin at byte %llu, which is no multiple of %zu; save it again", path,
                         (unsigned long long)h->data, type->item);
    return DECO_OK;
}

deco_status deco_npy_map_open(deco_npy_map *out, const char *path)
{
    deco_status st = DECO_OK;
    npy_header h = {0};
    int fd = -1;

    *out = (deco_npy_map){0};
    TRY(npy_open(&h, &fd, path));
    TRY(check_layout(&h, path));
    size_t bytes = (size_t)h.data + (size_t)h.count * h.row_bytes; /* with the header, so that an empty array has an address too */
    void *base = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be mapped into memory", path));
    *out = (deco_npy_map){.dims = h.dims, .base = base, .bytes = bytes};
    deco_dtype_print(out->descr, h.field->type.kind, h.row_bytes);
    out->data = (const char *)base + h.data;
    for (int d = 0; d < h.dims; d++)
        out->shape[d] = h.shape[d];
out:
    if (fd >= 0)
        close(fd);
    npy_header_free(&h);
    return st;
}

void deco_npy_map_close(deco_npy_map *a)
{
    if (a->base)
        munmap(a->base, a->bytes);
    *a = (deco_npy_map){0};
}
