/* Golden numbers: files of CRYODECO_GOLDEN (default: the project's own), with the tolerances of its manifest.json, so that any set
 * made by the same recipe can be checked. Every test takes names and sizes from the manifest, never from the sample set. */
#ifndef DECO_TESTS_GOLDEN_H
#define DECO_TESTS_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

/* Any .npy as doubles. */
typedef struct golden_array {
    int dims;
    int64_t shape[8];
    int64_t count;
    double *v;
    float *f; /* the same as floats */
} golden_array;

/* What to check: CRYODECO_GOLDEN_DEVICE, otherwise the CPU. For tests that read no device's memory. */
const char *golden_device(void);

const char *golden_path(const char *name);  /* "<set>/<name>", static buffer of 8 rotating */
golden_array golden_read(const char *name); /* fails the test when it is not there */
void golden_free(golden_array *a);
bool golden_has(const char *name);

/* Manifest names that begin and end so, sorted; returns how many. The list stays; free nothing. */
int golden_list(const char ***names, const char *prefix, const char *suffix);

/* A number of the manifest's "sizes", or its text. */
const char *golden_size(const char *key);

/* Compares with the file and its manifest tolerance ("1e-06·max", "1e-07 abs", "1e-4 relative", "exact"); on failure prints the first
 * element that differs, both values, and the share of the bound used. Always prints that share when CRYODECO_GOLDEN_VERBOSE is set. */
void golden_expect(const char *name, const double *mine, int64_t count);
void golden_expect_f(const char *name, const float *mine, int64_t count);

/* The same with a stated bound: |mine - golden| <= absolute + relative_to_max * max|golden|. */
void golden_compare(const char *what, const double *mine, const double *golden, int64_t count, double absolute, double relative_to_max);

#endif
