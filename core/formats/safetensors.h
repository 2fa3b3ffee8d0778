/* safetensors: tensors by name behind a JSON header. FORMATS.md section 1. */
#ifndef DECO_FORMATS_SAFETENSORS_H
#define DECO_FORMATS_SAFETENSORS_H

#include "base/status.h"

#define DECO_TENSOR_DIMS 8

/* dtype as in the file: "F32" "F64" "F16" "BF16" "I64" "I32" "U8" "U64" "BOOL" ... */
typedef struct deco_tensor {
    char *name;
    char dtype[8];
    size_t item;
    int dims;
    int64_t shape[DECO_TENSOR_DIMS];
    int64_t count;
    uint64_t place;   /* byte of the file where it begins */
    const void *data; /* in the file's buffer, may be unaligned to its item; NULL when only the header was read */
} deco_tensor;

typedef struct deco_tensors {
    char *path;
    int64_t count;
    deco_tensor *tensor; /* sorted by name */
    int64_t metadata_count;
    char **metadata_key, **metadata_value;
    void *buffer; /* the file, or its header */
    size_t size;
    int fd; /* opened: the file, for deco_tensor_read; else -1 */
} deco_tensors;

/* A file, or a directory with model.safetensors. Hostile headers are refused: sizes, overlaps, offsets, nesting. */
deco_status deco_safetensors_read(deco_tensors **out, const char *path);
/* The header alone, for files that are much larger than what is wanted of them: tensors are read one by one with deco_tensor_read. */
deco_status deco_safetensors_open(deco_tensors **out, const char *path);
void deco_safetensors_free(deco_tensors *t);
const deco_tensor *deco_safetensors_find(const deco_tensors *t, const char *name);
const char *deco_safetensors_metadata(const deco_tensors *t, const char *key); /* NULL when there is none */

/* Bytes a value of a dtype; 0 when it is not known. */
size_t deco_safetensors_item(const char *dtype);

/* Values as f32 (from F32, F16, BF16, F64). Fails: FORMAT. */
deco_status deco_tensor_floats(float *out, const deco_tensor *t, const char *path);
/* Values first .. first + n - 1 of a tensor of an opened file, as f32 likewise. Fails: FILE, FORMAT. */
deco_status deco_tensor_read(float *out, const deco_tensors *file, const deco_tensor *t, int64_t first, int64_t n);

/* Written tensor by tensor: the caller's memory is used as it is. Metadata may be 0. Whole or absent. `data` [count] little-endian. */
typedef struct deco_tensor_out {
    const char *name, *dtype;
    int dims;
    int64_t shape[DECO_TENSOR_DIMS];
    const void *data;
} deco_tensor_out;
deco_status deco_safetensors_write(const char *path, const deco_tensor_out *tensor, int64_t count, const char *const *metadata_key,
                                   const char *const *metadata_value, int64_t metadata_count);

#endif
