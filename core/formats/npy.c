/* Plain .npy arrays, read and written. */
#include "formats/npy.h"
#include "base/file.h"
#include "formats/npy_header.h"
#include "formats/npy_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fortran order to C order: the first index is the fastest in `from`, the last in `to`. */
static void reorder(unsigned char *to, const unsigned char *from, const deco_npy *a)
{
    int64_t index[DECO_NPY_DIMS] = {0}, step[DECO_NPY_DIMS] = {0}, at = 0, s = 1;

    for (int d = 0; d < a->dims; d++) {
        step[d] = s;
        s *= a->shape[d];
    }
    for (int64_t i = 0; i < a->count; i++) {
        memcpy(to + (size_t)i * a->item, from + (size_t)at * a->item, a->item);
        for (int d = a->dims - 1; d >= 0; d--) {
            at += step[d];
            if (++index[d] < a->shape[d])
                break;
            at -= step[d] * a->shape[d];
            index[d] = 0;
        }
    }
}

static deco_status to_c_order(deco_npy *a, const char *path)
{
    deco_status st = DECO_OK;
    unsigned char *c = NULL;

    TRY(deco_alloc(&c, (size_t)a->count, a->item, path));
    reorder(c, a->data, a);
    free(a->data);
    a->data = c;
out:
    return st;
}

deco_status deco_npy_read(deco_npy *out, const char *path)
{
    deco_status st = DECO_OK;
    npy_header h = {0};
    int fd = -1;
    size_t bytes;

    *out = (deco_npy){0};
    TRY(npy_open(&h, &fd, path));
    if (h.record) {
        st = deco_fail(DECO_E_FORMAT, "%s: holds a table of %lld columns; a plain array is wanted", path, (long long)h.fields);
        goto out;
    }
    *out = (deco_npy){.kind = h.field[0].type.kind, .item = h.row_bytes, .dims = h.dims, .count = h.count};
    memcpy(out->shape, h.shape, sizeof out->shape);
    bytes = (size_t)h.count * h.row_bytes;
    TRY(deco_alloc(&out->data, bytes ? bytes : 1, 1, path));
    TRY(deco_read_at(fd, path, out->data, bytes, h.data));
    if (h.field[0].type.swapped)
        deco_dtype_swap(out->data, h.field[0].type, h.count);
    if (h.fortran && h.dims > 1 && h.count)
        TRY(to_c_order(out, path));
out:
    if (st)
        deco_npy_free(out);
    if (fd >= 0)
        close(fd);
    npy_header_free(&h);
    return st;
}

void deco_npy_free(deco_npy *a)
{
    free(a->data);
    *a = (deco_npy){0};
}

deco_status deco_npy_write(const char *path, const char *descr, int dims, const int64_t *shape, const void *data)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    npy_text text = {0};
    deco_dtype type;
    const char *reason = deco_dtype_parse(&type, descr);
    size_t count = 1, bytes;

    if (reason || type.swapped || type.kind == 'O' || type.kind == 'V')
        return deco_fail(DECO_E_ARGUMENT, "%s: an array of type '%s' cannot be written", path, descr);
    npy_text_add(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int d = 0; d < dims; d++) {
        if (shape[d] < 0 || __builtin_mul_overflow(count, (size_t)shape[d], &count)) {
            st = deco_fail(DECO_E_ARGUMENT, "%s: an array cannot have %lld elements", path, (long long)shape[d]);
            goto out;
        }
        npy_text_add(&text, dims == 1 ? "%lld," : d ? ", %lld" : "%lld", (long long)shape[d]);
    }
    npy_text_add(&text, "), }");
    if (__builtin_mul_overflow(count, type.item, &bytes)) {
        st = deco_fail_memory(SIZE_MAX, path);
        goto out;
    }
    TRY(deco_file_create(&f, path));
    TRY(npy_text_write(f, &text, path));
    TRY(deco_file_write(f, data, bytes));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    npy_text_free(&text);
    return st;
}
