/* The golden set's decoders: a safetensors file of the published names into a model, and tolerances that are no plain array's. */
#ifndef DECO_TESTS_GOLDEN_DECODER_H
#define DECO_TESTS_GOLDEN_DECODER_H

#include "base/file.h"
#include "formats/safetensors.h"
#include "model/model.h"
#include "support/golden.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* All tensors of the decoder from `file`, in the order of the flat vector, as doubles or floats (one may be NULL). */
static inline void golden_decoder_read(double *wide, float *narrow, const deco_hypervolume *h, const char *file)
{
    deco_tensors *t;
    assert_int_equal(deco_safetensors_read(&t, golden_path(file)), DECO_OK);
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        const deco_tensor *x = deco_safetensors_find(t, p.name);
        if (!x || x->count != p.count)
            fail_msg("%s: no tensor %s of %lld numbers", file, p.name, (long long)p.count);
        if (wide && strcmp(x->dtype, "F64") == 0)
            memcpy(wide + p.offset, x->data, (size_t)p.count * sizeof *wide);
        if (narrow)
            assert_int_equal(deco_tensor_floats(narrow + p.offset, x, t->path), DECO_OK);
    }
    deco_safetensors_free(t);
}

/* Weights and frequencies of `file` into the model's memory. */
static inline void golden_decoder_load(deco_model *m, const char *file)
{
    float *flat = calloc((size_t)m->decoder.count, sizeof *flat), *freqs = calloc((size_t)(9 * m->shape.pe_dim), sizeof *freqs);
    deco_tensors *t;
    const deco_tensor *x;

    golden_decoder_read(NULL, flat, &m->shape, file);
    assert_int_equal(deco_safetensors_read(&t, golden_path(file)), DECO_OK);
    assert_non_null(x = deco_safetensors_find(t, "rand_freqs"));
    assert_int_equal(x->count, 9 * m->shape.pe_dim);
    assert_int_equal(deco_tensor_floats(freqs, x, t->path), DECO_OK);
    deco_safetensors_free(t);
    assert_int_equal(deco_device_upload(m->dev, m->decoder.x, flat, (size_t)m->decoder.count * sizeof *flat), DECO_OK);
    assert_int_equal(deco_device_upload(m->dev, m->mean, flat, (size_t)m->decoder.count * sizeof *flat), DECO_OK);
    assert_int_equal(deco_device_upload(m->dev, m->freqs, freqs, (size_t)(9 * m->shape.pe_dim) * sizeof *freqs), DECO_OK);
    free(flat);
    free(freqs);
}

/* The manifest's words about a file's tolerance; to be freed. */
static inline char *golden_words(const char *file)
{
    char *text, *words;
    size_t size;
    assert_int_equal(deco_file_get(&text, &size, golden_path("manifest.json"), 0), DECO_OK);
    cJSON *all = cJSON_ParseWithLength(text, size), *files = cJSON_GetObjectItemCaseSensitive(all, "files");
    cJSON *entry = cJSON_GetObjectItemCaseSensitive(files, file), *tolerance = cJSON_GetObjectItemCaseSensitive(entry, "tolerance");
    if (!cJSON_IsString(tolerance))
        fail_msg("manifest.json has no tolerance for %s", file);
    words = strdup(tolerance->valuestring);
    cJSON_Delete(all);
    free(text);
    return words;
}

#endif
