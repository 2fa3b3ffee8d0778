/* The header of an .npy file: {'descr': ..., 'fortran_order': False, 'shape': (3,), }, by recursive descent. */
#include "formats/npy_header.h"
#include "base/file.h"
#include "formats/literal.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    literal text;
    npy_header *h;
    int64_t room;
} reader;

/* (), (3,), (3, 4) or a bare 3, with their product. */
static deco_status read_shape(reader *r, int *dims, int64_t *shape, int64_t *product)
{
    deco_status st = DECO_OK;

    *dims = 0;
    *product = 1;
    if (!literal_accept(&r->text, '(')) {
        TRY(literal_size(&r->text, &shape[0]));
        *product = shape[0];
        *dims = 1;
        return st;
    }
    if (literal_accept(&r->text, ')'))
        return st;
    do {
        if (*dims == DECO_NPY_DIMS)
            return deco_fail(DECO_E_FORMAT, "%s: its header gives a shape of more than %d dimensions", r->text.path, DECO_NPY_DIMS);
        TRY(literal_size(&r->text, &shape[*dims]));
        if (__builtin_mul_overflow(*product, shape[*dims], product))
            return deco_fail(DECO_E_FORMAT, "%s: its header gives a shape of more than 2^63 values", r->text.path);
        ++*dims;
    } while (literal_another(&r->text, ')', &st));
out:
    return st;
}

/* `column` NULL: the type of a plain array. Padding is a type of a column without a name only. */
static deco_status read_type(reader *r, deco_dtype *out, const char *column)
{
    deco_status st = DECO_OK;
    char *text = NULL, *subject = column ? deco_format("column '%s'", column) : deco_format("the array");
    const char *reason;

    if (!subject)
        return deco_fail_memory(0, r->text.path);
    if (literal_peek(&r->text) == '[' || literal_peek(&r->text) == '(') {
        st =
            deco_fail(DECO_E_FORMAT, "%s: %s is a record of its own, which is not read; write its parts as columns", r->text.path, subject);
        goto out;
    }
    TRY(literal_string(&r->text, &text, "a type such as '<f4'"));
    reason = deco_dtype_parse(out, text);
    if (!reason && out->kind == 'O')
        reason = deco_dtype_refusal;
    if (!reason && out->kind == 'V' && (!column || *column))
        reason = "is of a type without meaning (V)";
    if (reason)
        st = deco_fail(DECO_E_FORMAT, "%s: %s %s (its type is '%.40s')", r->text.path, subject, reason, text);
out:
    free(subject);
    free(text);
    return st;
}

/* NULL without memory. */
static npy_field *add_field(reader *r)
{
    npy_header *h = r->h;

    if (h->fields == r->room) {
        int64_t room = 2 * r->room + 8;
        npy_field *grown = realloc(h->field, (size_t)room * sizeof *grown);
        if (!grown) {
            deco_fail_memory((size_t)room * sizeof *grown, r->text.path);
            return NULL;
        }
        h->field = grown;
        r->room = room;
    }
    h->field[h->fields] = (npy_field){.cells = 1};
    return &h->field[h->fields++];
}

/* ('ctf/df1_A', '<f4') or ('alignments3D/pose', '<f4', (3,)); ('', '|V4') is padding. */
static deco_status read_column(reader *r)
{
    deco_status st = DECO_OK;
    npy_field *f = add_field(r);
    size_t bytes;

    if (!f)
        return DECO_E_MEMORY;
    if (!literal_accept(&r->text, '(')) {
        st = literal_expected(&r->text, "a column, ('name', 'type')");
        goto out;
    }
    if (literal_peek(&r->text) == '(') {
        st = deco_fail(DECO_E_FORMAT, "%s: column %lld of its header has a title beside its name, which is not read", r->text.path,
                       (long long)r->h->fields);
        goto out;
    }
    TRY(literal_string(&r->text, &f->name, "a column's name"));
    if (!literal_accept(&r->text, ',')) {
        st = literal_expected(&r->text, "a comma");
        goto out;
    }
    TRY(read_type(r, &f->type, f->name));
    if (literal_another(&r->text, ')', &st)) {
        TRY(read_shape(r, &f->dims, f->shape, &f->cells));
        if (literal_another(&r->text, ')', &st))
            st = literal_expected(&r->text, "a closing parenthesis");
    }
    TRY(st);
    f->offset = r->h->row_bytes;
    if (__builtin_mul_overflow(f->type.item, f->cells, &bytes) || __builtin_add_overflow(r->h->row_bytes, bytes, &r->h->row_bytes)) {
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' makes its rows longer than 2^64 bytes", r->text.path, f->name);
        goto out;
    }
    if (f->type.kind == 'V') {
        free(f->name);
        r->h->fields--;
    } else if (!*f->name) {
        st = deco_fail(DECO_E_FORMAT, "%s: column %lld of its header has no name", r->text.path, (long long)r->h->fields);
    }
out:
    return st;
}

static deco_status read_descr(reader *r)
{
    deco_status st = DECO_OK;
    npy_header *h = r->h;
    npy_field *f = NULL;

    h->record = literal_accept(&r->text, '[');
    if (!h->record) {
        if (!(f = add_field(r)))
            return DECO_E_MEMORY;
        TRY(read_type(r, &f->type, NULL));
        h->row_bytes = f->type.item;
        goto out;
    }
    if (literal_accept(&r->text, ']'))
        goto out;
    do
        TRY(read_column(r));
    while (literal_another(&r->text, ']', &st));
out:
    return st;
}

static deco_status read_entry(reader *r, unsigned *seen)
{
    deco_status st = DECO_OK;
    char *key = NULL;
    unsigned this;

    TRY(literal_string(&r->text, &key, "a key such as 'descr'"));
    this = !strcmp(key, "descr") ? 1 : !strcmp(key, "fortran_order") ? 2 : !strcmp(key, "shape") ? 4 : 0;
    if (!this || (*seen & this)) {
        st = deco_fail(DECO_E_FORMAT, "%s: its header has %s key '%.60s'", r->text.path, this ? "twice the" : "an unknown", key);
        goto out;
    }
    *seen |= this;
    if (!literal_accept(&r->text, ':')) {
        st = literal_expected(&r->text, "a colon");
        goto out;
    }
    if (this == 1) {
        TRY(read_descr(r));
    } else if (this == 4) {
        TRY(read_shape(r, &r->h->dims, r->h->shape, &r->h->count));
    } else {
        r->h->fortran = literal_accept_word(&r->text, "True");
        if (!r->h->fortran && !literal_accept_word(&r->text, "False"))
            st = literal_expected(&r->text, "True or False");
    }
out:
    free(key);
    return st;
}

deco_status npy_header_parse(npy_header *h, const char *text, size_t n, bool latin1, const char *path)
{
    deco_status st = DECO_OK;
    reader r = {.text = {text, text, text + n, latin1, path}, .h = h};
    unsigned seen = 0;

    *h = (npy_header){0};
    if (!literal_accept(&r.text, '{')) {
        st = literal_expected(&r.text, "{");
        goto out;
    }
    do
        TRY(read_entry(&r, &seen));
    while (literal_another(&r.text, '}', &st));
    TRY(st);
    if (seen != 7)
        st = deco_fail(DECO_E_FORMAT, "%s: its header lacks one of descr, fortran_order and shape", path);
    else if (literal_peek(&r.text) || r.text.at < r.text.end)
        st = literal_expected(&r.text, "the end");
out:
    if (st)
        npy_header_free(h);
    return st;
}

void npy_header_free(npy_header *h)
{
    for (int64_t i = 0; i < h->fields; i++)
        free(h->field[i].name);
    free(h->field);
    *h = (npy_header){0};
}
