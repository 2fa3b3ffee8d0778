/* Reading safetensors: every claim of the header is checked against the file before it is believed. */
#include "formats/safetensors.h"
#include "base/file.h"
#include "formats/mrc_half.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT ((uint64_t)100 << 20) /* the reference library's */

size_t deco_safetensors_item(const char *dtype)
{
    static const struct {
        const char *name;
        size_t item;
    } known[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},  {"U64", 8},     {"I32", 4},    {"U32", 4},
                 {"I16", 2}, {"U16", 2}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, dtype))
            return known[i].item;
    return 0;
}

/* A whole number from 0 that a double holds exactly. */
static bool count_of(int64_t *out, const cJSON *number)
{
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0) || number->valuedouble > 0x1p53 ||
        number->valuedouble != floor(number->valuedouble))
        return false;
    *out = (int64_t)number->valuedouble;
    return true;
}

static deco_status read_shape(deco_tensor *t, const cJSON *shape, const char *path)
{
    const cJSON *size;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > DECO_TENSOR_DIMS)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': its shape must be a list of at most %d sizes", path, t->name, DECO_TENSOR_DIMS);
    t->count = 1;
    cJSON_ArrayForEach(size, shape)
    {
        int64_t n;
        if (!count_of(&n, size))
            return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': size %d of its shape is not a whole number from 0", path, t->name, t->dims);
        if (__builtin_mul_overflow(t->count, n, &t->count))
            return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': the product of its shape overflows", path, t->name);
        t->shape[t->dims++] = n;
    }
    return DECO_OK;
}

/* `data` begins `bytes` bytes before the end of the file. */
static deco_status read_tensor(deco_tensor *t, const cJSON *entry, const unsigned char *data, uint64_t bytes, const char *path)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype"),
                *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    int64_t begin, end, size;
    deco_status st;

    if (!cJSON_IsObject(entry) || !cJSON_IsString(dtype) || !(t->item = deco_safetensors_item(dtype->valuestring)))
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': dtype %s is not known", path, t->name,
                         cJSON_IsString(dtype) ? dtype->valuestring : "(none)");
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype->valuestring);
    st = read_shape(t, cJSON_GetObjectItemCaseSensitive(entry, "shape"), path);
    if (st)
        return st;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !count_of(&begin, cJSON_GetArrayItem(offsets, 0)) ||
        !count_of(&end, cJSON_GetArrayItem(offsets, 1)) || end < begin)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': data_offsets must be [begin, end], whole numbers from 0, begin first", path,
                         t->name);
    if ((uint64_t)end > bytes)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s' ends at byte %lld of the data, but the file holds %llu: truncated; copy it again",
                         path, t->name, (long long)end, (unsigned long long)bytes);
    if (__builtin_mul_overflow(t->count, (int64_t)t->item, &size) || size != end - begin)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s': its shape has %lld values of %zu bytes, its data_offsets span %lld bytes", path,
                         t->name, (long long)t->count, t->item, (long long)(end - begin));
    t->data = data + begin;
    return DECO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const deco_tensor *)a)->name, ((const deco_tensor *)b)->name); }

static int by_place(const void *a, const void *b)
{
    const deco_tensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count; /* the empty ones of a place first */
}

/* No byte in two tensors, no name twice. Leaves them sorted by name. */
static deco_status sort_distinct(deco_tensors *t)
{
    if (t->count)
        qsort(t->tensor, (size_t)t->count, sizeof *t->tensor, by_place);
    for (int64_t i = 1; i < t->count; i++) {
        const deco_tensor *a = &t->tensor[i - 1], *b = &t->tensor[i];
        if (b->count && (const char *)b->data < (const char *)a->data + (size_t)a->count * a->item)
            return deco_fail(DECO_E_FORMAT, "%s: tensors '%s' and '%s' overlap", t->path, a->name, b->name);
    }
    if (t->count)
        qsort(t->tensor, (size_t)t->count, sizeof *t->tensor, by_name);
    for (int64_t i = 1; i < t->count; i++)
        if (!strcmp(t->tensor[i - 1].name, t->tensor[i].name))
            return deco_fail(DECO_E_FORMAT, "%s: tensor '%s' stands twice in the header", t->path, t->tensor[i].name);
    return DECO_OK;
}

static deco_status read_metadata(deco_tensors *t, const cJSON *metadata)
{
    deco_status st = DECO_OK;
    const cJSON *item;
    size_t n;

    if (!cJSON_IsObject(metadata))
        return deco_fail(DECO_E_FORMAT, "%s: __metadata__ is not an object of strings", t->path);
    n = (size_t)cJSON_GetArraySize(metadata);
    TRY(deco_alloc(&t->metadata_key, n, sizeof *t->metadata_key, "metadata"));
    TRY(deco_alloc(&t->metadata_value, n, sizeof *t->metadata_value, "metadata"));
    cJSON_ArrayForEach(item, metadata)
    {
        if (!cJSON_IsString(item))
            TRY(deco_fail(DECO_E_FORMAT, "%s: __metadata__ '%s' is not a string", t->path, item->string));
        t->metadata_key[t->metadata_count] = strdup(item->string);
        t->metadata_value[t->metadata_count] = strdup(item->valuestring);
        if (!t->metadata_key[t->metadata_count] || !t->metadata_value[t->metadata_count++])
            TRY(deco_fail_memory(strlen(item->valuestring), "metadata"));
    }
out:
    return st;
}

static deco_status read_header(deco_tensors *t, const cJSON *header, const unsigned char *data, uint64_t bytes)
{
    deco_status st = DECO_OK;
    const cJSON *entry;

    TRY(deco_alloc(&t->tensor, (size_t)cJSON_GetArraySize(header), sizeof *t->tensor, "tensors"));
    cJSON_ArrayForEach(entry, header)
    {
        if (!strcmp(entry->string, "__metadata__")) {
            if (t->metadata_key)
                TRY(deco_fail(DECO_E_FORMAT, "%s: __metadata__ stands twice in the header", t->path));
            TRY(read_metadata(t, entry));
            continue;
        }
        deco_tensor *one = &t->tensor[t->count];
        one->name = strdup(entry->string);
        if (!one->name)
            TRY(deco_fail_memory(strlen(entry->string), "tensor name"));
        t->count++;
        TRY(read_tensor(one, entry, data, bytes, t->path));
    }
    TRY(sort_distinct(t));
out:
    return st;
}

/* The header's JSON, which ends where the data begin. */
static deco_status parse_json(cJSON **out, uint64_t *data, const deco_tensors *t)
{
    const unsigned char *b = t->buffer;
    uint64_t n = 0;

    if (t->size < 8)
        return deco_fail(DECO_E_FORMAT, "%s: ends at byte %zu; a safetensors file begins with 8 bytes of header length", t->path, t->size);
    for (int i = 7; i >= 0; i--)
        n = n << 8 | b[i];
    if (n > t->size - 8 || n > HEADER_LIMIT)
        return deco_fail(DECO_E_FORMAT, "%s: the header's length is given as %llu bytes, the file has %zu: truncated, or not safetensors",
                         t->path, (unsigned long long)n, t->size);
    const char *text = (const char *)b + 8, *end = NULL;
    *out = cJSON_ParseWithLengthOpts(text, (size_t)n, &end, false);
    if (!cJSON_IsObject(*out))
        return deco_fail(DECO_E_FORMAT, "%s: the header (bytes 8 to %llu) is not a JSON object", t->path, (unsigned long long)n + 8);
    for (; end < text + n; end++)
        if (*end != ' ')
            return deco_fail(DECO_E_FORMAT, "%s: byte %zu, behind the header's JSON, is not the space that fills it up", t->path,
                             (size_t)(end - text) + 8);
    *data = n + 8;
    return DECO_OK;
}

deco_status deco_safetensors_read(deco_tensors **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_tensors *t = NULL;
    cJSON *header = NULL;
    uint64_t data = 0;

    *out = NULL;
    TRY(deco_alloc(&t, 1, sizeof *t, "tensors"));
    t->path = deco_path_is_directory(path) ? deco_path_join(path, "model.safetensors") : strdup(path);
    if (!t->path)
        TRY(deco_fail_memory(strlen(path), "path"));
    /* Read, not mapped: a mapped file that is cut short while in use kills the process. */
    TRY(deco_file_get((char **)&t->buffer, &t->size, t->path, 0));
    TRY(parse_json(&header, &data, t));
    TRY(read_header(t, header, (const unsigned char *)t->buffer + data, t->size - data));
    *out = t;
    t = NULL;
out:
    cJSON_Delete(header);
    deco_safetensors_free(t);
    return st;
}

void deco_safetensors_free(deco_tensors *t)
{
    if (!t)
        return;
    for (int64_t i = 0; i < t->count; i++)
        free(t->tensor[i].name);
    for (int64_t i = 0; i < t->metadata_count; i++) {
        free(t->metadata_key[i]);
        free(t->metadata_value[i]);
    }
    free(t->tensor);
    free(t->metadata_key);
    free(t->metadata_value);
    free(t->buffer);
    free(t->path);
    free(t);
}

const deco_tensor *deco_safetensors_find(const deco_tensors *t, const char *name)
{
    deco_tensor key = {.name = (char *)name};
    return t->count ? bsearch(&key, t->tensor, (size_t)t->count, sizeof key, by_name) : NULL;
}

const char *deco_safetensors_metadata(const deco_tensors *t, const char *key)
{
    for (int64_t i = 0; i < t->metadata_count; i++)
        if (!strcmp(t->metadata_key[i], key))
            return t->metadata_value[i];
    return NULL;
}

deco_status deco_tensor_floats(float *out, const deco_tensor *t, const char *path)
{
    const unsigned char *d = t->data;
    if (!strcmp(t->dtype, "F32")) {
        memcpy(out, d, (size_t)t->count * sizeof *out);
        return DECO_OK;
    }
    bool f64 = !strcmp(t->dtype, "F64"), f16 = !strcmp(t->dtype, "F16");
    if (!f64 && !f16 && strcmp(t->dtype, "BF16") != 0)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s' is %s; a floating type was expected (F32, F16, BF16, F64)", path, t->name,
                         t->dtype);
    for (int64_t i = 0; i < t->count; i++) {
        double wide;
        uint16_t narrow;
        if (f64)
            memcpy(&wide, d + 8 * i, sizeof wide);
        else
            memcpy(&narrow, d + 2 * i, sizeof narrow);
        out[i] = f64 ? (float)wide : f16 ? deco_float_from_half(narrow) : deco_float_from_bits((uint32_t)narrow << 16);
    }
    return DECO_OK;
}
