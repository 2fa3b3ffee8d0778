/* Writing safetensors: the header, then each tensor straight from the caller's memory. */
#include "formats/safetensors.h"
#include "base/file.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64 /* where the data begin: a cache line, so that a reader may use a mapped file as it lies */

/* Bytes of a tensor. Fails: ARGUMENT. */
static deco_status tensor_bytes(int64_t *bytes, const deco_tensor_out *t, const char *path)
{
    *bytes = (int64_t)deco_safetensors_item(t->dtype);
    if (!*bytes || t->dims < 0 || t->dims > DECO_TENSOR_DIMS)
        return deco_fail(DECO_E_ARGUMENT, "%s: tensor '%s' of dtype %s with %d dimensions cannot be written", path, t->name, t->dtype,
                         t->dims);
    for (int i = 0; i < t->dims; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(*bytes, t->shape[i], bytes))
            return deco_fail(DECO_E_ARGUMENT, "%s: the shape of tensor '%s' is negative or overflows", path, t->name);
    return DECO_OK;
}

/* Numbers go in as text: cJSON writes large ones in exponent form, which other readers refuse for offsets. */
static bool add_list(cJSON *entry, const char *name, const int64_t *number, int count)
{
    char text[32 * DECO_TENSOR_DIMS] = "[";
    size_t n = 1;
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld", i ? "," : "", (long long)number[i]);
    snprintf(text + n, sizeof text - n, "]");
    return cJSON_AddRawToObject(entry, name, text);
}

static bool add_metadata(cJSON *header, const char *const *key, const char *const *value, int64_t count)
{
    cJSON *metadata = count ? cJSON_AddObjectToObject(header, "__metadata__") : NULL;
    for (int64_t i = 0; i < count; i++)
        if (!cJSON_AddStringToObject(metadata, key[i], value[i]))
            return false;
    return true;
}

static deco_status header_text(char **out, const char *path, const deco_tensor_out *tensor, int64_t count, const char *const *key,
                               const char *const *value, int64_t metadata_count)
{
    deco_status st = DECO_OK;
    cJSON *header = cJSON_CreateObject();
    int64_t place[2] = {0, 0}, bytes;

    *out = NULL;
    if (!add_metadata(header, key, value, metadata_count))
        TRY(deco_fail_memory(0, "safetensors header"));
    for (int64_t i = 0; i < count; i++) {
        cJSON *entry = cJSON_AddObjectToObject(header, tensor[i].name);
        TRY(tensor_bytes(&bytes, &tensor[i], path));
        if (__builtin_add_overflow(place[0], bytes, &place[1]))
            TRY(deco_fail(DECO_E_ARGUMENT, "%s: its tensors are larger together than any file", path));
        if (!cJSON_AddStringToObject(entry, "dtype", tensor[i].dtype) || !add_list(entry, "shape", tensor[i].shape, tensor[i].dims) ||
            !add_list(entry, "data_offsets", place, 2))
            TRY(deco_fail_memory(0, "safetensors header"));
        place[0] = place[1];
    }
    *out = cJSON_PrintUnformatted(header);
    if (!*out)
        TRY(deco_fail_memory(0, "safetensors header"));
out:
    cJSON_Delete(header);
    return st;
}

deco_status deco_safetensors_write(const char *path, const deco_tensor_out *tensor, int64_t count, const char *const *metadata_key,
                                   const char *const *metadata_value, int64_t metadata_count)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    char *text = NULL;
    unsigned char length[8];
    char blank[ALIGNMENT];
    int64_t bytes;

    TRY(header_text(&text, path, tensor, count, metadata_key, metadata_value, metadata_count));
    size_t n = strlen(text), padding = (ALIGNMENT - (n + 8) % ALIGNMENT) % ALIGNMENT;
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)(n + padding) >> (8 * i));
    memset(blank, ' ', sizeof blank);
    TRY(deco_file_create(&f, path));
    TRY(deco_file_write(f, length, sizeof length));
    TRY(deco_file_write(f, text, n));
    TRY(deco_file_write(f, blank, padding));
    for (int64_t i = 0; i < count; i++) {
        TRY(tensor_bytes(&bytes, &tensor[i], path));
        TRY(deco_file_write(f, tensor[i].data, (size_t)bytes));
    }
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    cJSON_free(text);
    return st;
}
