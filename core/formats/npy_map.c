#include "formats/npy_map.h"
#include "base/file.h"
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

static deco_status read_whole(void *base, size_t bytes, int fd, const char *path)
{
    deco_status st = deco_read_at(fd, path, base, bytes, 0);

    if (!st && mprotect(base, bytes, PROT_READ)) /* as a mapped one */
        st = deco_fail_errno(DECO_E_MEMORY, "%s", path);
    return st;
}

deco_status deco_npy_map_open(deco_npy_map *out, const char *path, bool copy)
{
    deco_status st = DECO_OK;
    npy_header h = {0};
    int fd = -1;

    *out = (deco_npy_map){0};
    TRY(npy_open(&h, &fd, path));
    TRY(check_layout(&h, path));
    size_t bytes = (size_t)h.data + (size_t)h.count * h.row_bytes; /* with the header, so that an empty array has an address too */
    copy |= bytes <= DECO_NPY_SMALL;
    void *base = copy ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      : mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        TRY(copy ? deco_fail_memory(bytes, path) : deco_fail_errno(DECO_E_FILE, "%s: cannot be mapped into memory", path));
    *out = (deco_npy_map){.dims = h.dims, .base = base, .bytes = bytes};
    if (copy)
        TRY(read_whole(base, bytes, fd, path));
    deco_dtype_print(out->descr, h.field->type.kind, h.row_bytes);
    out->data = (const char *)base + h.data;
    for (int d = 0; d < h.dims; d++)
        out->shape[d] = h.shape[d];
out:
    if (st)
        deco_npy_map_close(out);
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
