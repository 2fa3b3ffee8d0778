/* The JSON header of a CSDAT file, checked. */
#include "formats/csdat_header.h"
#include "formats/table_build.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* JSON's numbers are doubles: beyond 2^53 they are no longer whole. */
static bool whole(const cJSON *item, int64_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 0x1p53))
        return false;
    *out = (int64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

static deco_status parse_shape(csdat_field *f, const cJSON *shape, int64_t *cells, const char *path)
{
    const cJSON *item;

    if (!cJSON_IsArray(shape))
        return deco_fail(DECO_E_FORMAT, "%s: column '%s' has a shape that is no list", path, f->name);
    cJSON_ArrayForEach(item, shape)
    {
        if (f->dims == DECO_COLUMN_DIMS)
            return deco_fail(DECO_E_FORMAT, "%s: column '%s' has more than %d dimensions", path, f->name, DECO_COLUMN_DIMS);
        if (!whole(item, &f->shape[f->dims]) || __builtin_mul_overflow(*cells, f->shape[f->dims], cells))
            return deco_fail(DECO_E_FORMAT, "%s: column '%s' has an impossible shape", path, f->name);
        f->dims++;
    }
    return DECO_OK;
}

/* ["ctf/df1_A", "<f4"] or ["alignments3D/pose", "<f4", [3]] */
static deco_status parse_field(csdat_field *f, const cJSON *entry, int64_t rows, const char *path)
{
    deco_status st = DECO_OK;
    const cJSON *name = cJSON_GetArrayItem(entry, 0), *type = cJSON_GetArrayItem(entry, 1), *shape = cJSON_GetArrayItem(entry, 2);
    const char *reason;
    int64_t cells = 1;

    if (!cJSON_IsString(name) || !*name->valuestring || !cJSON_IsString(type))
        return deco_fail(DECO_E_FORMAT, "%s: its header has a column without a name or a type", path);
    TRY(deco_table_text(&f->name, name->valuestring));
    reason = deco_dtype_parse(&f->type, type->valuestring);
    if (!reason && f->type.kind == 'V')
        reason = "is of a type without meaning (V)";
    if (reason) {
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' %s (its type is '%.40s')", path, f->name, reason, type->valuestring);
        goto out;
    }
    if (shape)
        TRY(parse_shape(f, shape, &cells, path));
    if (f->type.kind == 'O' && cells != 1)
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' has several strings a row, which is not read", path, f->name);
    else if (__builtin_mul_overflow(cells, rows, &cells) || __builtin_mul_overflow((size_t)cells, f->type.item, &f->bytes))
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' would be larger than any file", path, f->name);
out:
    return st;
}

typedef struct named_field {
    const char *name;
    csdat_field *field;
} named_field;

static int by_name(const void *a, const void *b)
{
    const named_field *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Names stand once, and "compressed_fields" marks its own. */
static deco_status check_names(csdat_header *h, const cJSON *root, const char *path)
{
    deco_status st = DECO_OK;
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(root, "compression");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "compressed_fields"), *item;
    named_field *sorted = NULL;
    bool lz4 = cJSON_IsString(method) && !strcmp(method->valuestring, "lz4");

    if (method && !cJSON_IsNull(method) && !lz4)
        return deco_fail(DECO_E_FORMAT, "%s: is compressed by '%.40s'; only lz4 is read", path,
                         cJSON_IsString(method) ? method->valuestring : "?");
    TRY(deco_alloc(&sorted, h->fields ? (size_t)h->fields : 1, sizeof *sorted, path));
    for (int64_t i = 0; i < h->fields; i++)
        sorted[i] = (named_field){h->field[i].name, &h->field[i]};
    qsort(sorted, (size_t)h->fields, sizeof *sorted, by_name);
    for (int64_t i = 1; i < h->fields; i++)
        if (!strcmp(sorted[i - 1].name, sorted[i].name)) {
            st = deco_fail(DECO_E_FORMAT, "%s: column '%s' stands twice in its header", path, sorted[i].name);
            goto out;
        }
    cJSON_ArrayForEach(item, list)
    {
        named_field key = {.name = cJSON_IsString(item) ? item->valuestring : "?"};
        const named_field *found = bsearch(&key, sorted, (size_t)h->fields, sizeof *sorted, by_name);
        if (!found || !lz4) {
            st = deco_fail(DECO_E_FORMAT, "%s: its header calls '%.60s' compressed, %s", path, key.name,
                           lz4 ? "which is no column" : "but names no compression");
            goto out;
        }
        found->field->packed = true;
    }
out:
    free(sorted);
    return st;
}

deco_status csdat_header_parse(csdat_header *h, const char *json, size_t n, const char *path)
{
    deco_status st = DECO_OK;
    cJSON *root = cJSON_ParseWithLength(json, n);
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(root, "dtype"), *entry;

    *h = (csdat_header){0};
    if (!cJSON_IsObject(root) || !cJSON_IsArray(columns)) {
        st = deco_fail(DECO_E_FORMAT, "%s: its header is no JSON object with a list \"dtype\"", path);
        goto out;
    }
    if (!whole(cJSON_GetObjectItemCaseSensitive(root, "length"), &h->rows)) {
        st = deco_fail(DECO_E_FORMAT, "%s: its header gives no usable number of rows (\"length\")", path);
        goto out;
    }
    TRY(deco_alloc(&h->field, (size_t)cJSON_GetArraySize(columns) + 1, sizeof *h->field, path));
    cJSON_ArrayForEach(entry, columns) TRY(parse_field(&h->field[h->fields++], entry, h->rows, path));
    TRY(check_names(h, root, path));
out:
    cJSON_Delete(root);
    if (st)
        csdat_header_free(h);
    return st;
}

void csdat_header_free(csdat_header *h)
{
    for (int64_t i = 0; i < h->fields; i++)
        free(h->field[i].name);
    free(h->field);
    *h = (csdat_header){0};
}
