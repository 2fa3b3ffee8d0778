/* Reading safetensors: every claim of the header is checked against the file before it is believed. */
#include "formats/safetensors.h"
#include "base/file.h"
#include "formats/mrc_half.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The data begin at byte `at` of the file, `bytes` before its end, and in memory at `data`, if not NULL. */
static deco_status read_tensor(deco_tensor *t, const cJSON *entry, const unsigned char *data, uint64_t at, uint64_t bytes, const char *path)
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
    t->place = at + (uint64_t)begin;
    t->data = data ? data + begin : NULL;
    return DECO_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const deco_tensor *)a)->name, ((const deco_tensor *)b)->name); }

static int by_place(const void *a, const void *b)
{
    const deco_tensor *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count; /* the empty ones of a place first */
}

/* No byte in two tensors, no name twice. Leaves them sorted by name. */
static deco_status sort_distinct(deco_tensors *t)
{
    if (t->count)
        qsort(t->tensor, (size_t)t->count, sizeof *t->tensor, by_place);
    for (int64_t i = 1; i < t->count; i++) {
        const deco_tensor *a = &t->tensor[i - 1], *b = &t->tensor[i];
        if (b->count && b->place < a->place + (uint64_t)a->count * a->item)
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

static deco_status read_header(deco_tensors *t, const cJSON *header, const unsigned char *data, uint64_t at, uint64_t bytes)
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
        TRY(read_tensor(one, entry, data, at, bytes, t->path));
    }
    TRY(sort_distinct(t));
out:
    return st;
}

/* Length of the header's JSON, from the file's first 8 bytes. */
static deco_status header_length(uint64_t *n, const unsigned char *b, uint64_t size, const char *path)
{
    *n = 0;
    if (size < 8)
        return deco_fail(DECO_E_FORMAT, "%s: ends at byte %llu; a safetensors file begins with 8 bytes of header length", path,
                         (unsigned long long)size);
    for (int i = 7; i >= 0; i--)
        *n = *n << 8 | b[i];
    if (*n > size - 8 || *n > HEADER_LIMIT)
        return deco_fail(DECO_E_FORMAT, "%s: the header's length is given as %llu bytes, the file has %llu: truncated, or not safetensors",
                         path, (unsigned long long)*n, (unsigned long long)size);
    return DECO_OK;
}

/* The header's JSON: `n` bytes from byte 8 on, behind which the data begin. */
static deco_status parse_json(cJSON **out, const char *text, uint64_t n, const char *path)
{
    const char *end = NULL;
    *out = cJSON_ParseWithLengthOpts(text, (size_t)n, &end, false);
    if (!cJSON_IsObject(*out))
        return deco_fail(DECO_E_FORMAT, "%s: the header (bytes 8 to %llu) is not a JSON object", path, (unsigned long long)n + 8);
    for (; end < text + n; end++)
        if (*end != ' ')
            return deco_fail(DECO_E_FORMAT, "%s: byte %zu, behind the header's JSON, is not the space that fills it up", path,
                             (size_t)(end - text) + 8);
    return DECO_OK;
}

static deco_status begin(deco_tensors **out, const char *path)
{
    deco_status st = deco_alloc(out, 1, sizeof **out, "tensors");
    if (st)
        return st;
    (*out)->fd = -1;
    (*out)->path = deco_path_is_directory(path) ? deco_path_join(path, "model.safetensors") : strdup(path);
    return (*out)->path ? DECO_OK : deco_fail_memory(strlen(path), "path");
}

deco_status deco_safetensors_read(deco_tensors **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_tensors *t = NULL;
    cJSON *header = NULL;
    uint64_t n;

    *out = NULL;
    TRY(begin(&t, path));
    /* Read, not mapped: a mapped file that is cut short while in use kills the process. */
    TRY(deco_file_get((char **)&t->buffer, &t->size, t->path, 0));
    TRY(header_length(&n, t->buffer, t->size, t->path));
    TRY(parse_json(&header, (const char *)t->buffer + 8, n, t->path));
    TRY(read_header(t, header, (const unsigned char *)t->buffer + 8 + n, 8 + n, t->size - 8 - n));
    *out = t;
    t = NULL;
out:
    cJSON_Delete(header);
    deco_safetensors_free(t);
    return st;
}

deco_status deco_safetensors_open(deco_tensors **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_tensors *t = NULL;
    cJSON *header = NULL;
    unsigned char first[8] = {0};
    uint64_t size = 0, n;

    *out = NULL;
    TRY(begin(&t, path));
    TRY(deco_file_open(&t->fd, &size, t->path));
    if (size >= sizeof first)
        TRY(deco_read_at(t->fd, t->path, first, sizeof first, 0));
    TRY(header_length(&n, first, size, t->path));
    TRY(deco_alloc(&t->buffer, (size_t)n + 1, 1, "a header"));
    t->size = (size_t)n;
    TRY(deco_read_at(t->fd, t->path, t->buffer, (size_t)n, 8));
    TRY(parse_json(&header, t->buffer, n, t->path));
    TRY(read_header(t, header, NULL, 8 + n, size - 8 - n));
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
    if (t->fd >= 0)
        close(t->fd);
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

/* n values at d, as f32. */
static deco_status floats_of(float *out, const unsigned char *d, int64_t n, const deco_tensor *t, const char *path)
{
    if (!strcmp(t->dtype, "F32")) {
        if (n)
            memcpy(out, d, (size_t)n * sizeof *out);
        return DECO_OK;
    }
    bool f64 = !strcmp(t->dtype, "F64"), f16 = !strcmp(t->dtype, "F16");
    if (!f64 && !f16 && strcmp(t->dtype, "BF16") != 0)
        return deco_fail(DECO_E_FORMAT, "%s: tensor '%s' is %s; a floating type was expected (F32, F16, BF16, F64)", path, t->name,
                         t->dtype);
    for (int64_t i = 0; i < n; i++) {
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

deco_status deco_tensor_floats(float *out, const deco_tensor *t, const char *path) { return floats_of(out, t->data, t->count, t, path); }

deco_status deco_tensor_read(float *out, const deco_tensors *file, const deco_tensor *t, int64_t first, int64_t n)
{
    deco_status st = DECO_OK;
    unsigned char *raw = NULL;
    uint64_t at = t->place + (uint64_t)first * t->item;

    if (!strcmp(t->dtype, "F32"))
        return deco_read_at(file->fd, file->path, out, (size_t)n * sizeof *out, at);
    TRY(deco_alloc(&raw, (size_t)n + 1, t->item, t->name));
    TRY(deco_read_at(file->fd, file->path, raw, (size_t)n * t->item, at));
    TRY(floats_of(out, raw, n, t, file->path));
out:
    free(raw);
    return st;
}
