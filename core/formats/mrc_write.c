/* Writing MRC maps and stacks in this machine's byte order, statistics included. */
#include "formats/mrc.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>

#define HEADER         1024
#define HOST_IS_LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* Running minimum, maximum, mean and sum of squares about the mean; one block of values at a time (Chan, Golub, LeVeque). */
typedef struct statistics {
    double min, max, mean, squares;
    uint64_t count;
} statistics;

static void statistics_add(statistics *s, const float *v, int64_t n)
{
    double sum = 0, squares = 0, min = s->count ? s->min : HUGE_VAL, max = s->count ? s->max : -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    double mean = sum / (double)n, all = (double)s->count + (double)n, apart = mean - s->mean;
    for (int64_t i = 0; i < n; i++)
        squares += (v[i] - mean) * (v[i] - mean);
    s->squares += squares + apart * apart * (double)s->count * (double)n / all;
    s->mean += apart * (double)n / all;
    s->count += (uint64_t)n;
    s->min = min, s->max = max;
}

static void put_int(unsigned char *h, int byte, int64_t v)
{
    int32_t i = (int32_t)v;
    memcpy(h + byte, &i, sizeof i);
}

static void put_real(unsigned char *h, int byte, double v)
{
    float f = (float)v;
    memcpy(h + byte, &f, sizeof f);
}

/* A volume when `ispg` is 1: its cell is nz sections deep; a stack's is one. */
static void fill_header(unsigned char h[HEADER], int64_t nx, int64_t ny, int64_t nz, int mode, int ispg, double psize_A,
                        const statistics *s, const char *label)
{
    int64_t mz = ispg ? nz : 1;
    memset(h, 0, HEADER);
    put_int(h, 0, nx), put_int(h, 4, ny), put_int(h, 8, nz), put_int(h, 12, mode);
    put_int(h, 28, nx), put_int(h, 32, ny), put_int(h, 36, mz);
    put_real(h, 40, psize_A * (double)nx), put_real(h, 44, psize_A * (double)ny), put_real(h, 48, psize_A * (double)mz);
    for (int i = 0; i < 3; i++) {
        put_real(h, 52 + 4 * i, 90);
        put_int(h, 64 + 4 * i, i + 1);
    }
    put_real(h, 76, s->min), put_real(h, 80, s->max), put_real(h, 84, s->mean);
    put_int(h, 88, ispg);
    put_int(h, 108, 20141); /* MRC2014, revision 1 */
    memcpy(h + 208, (const char[4]){'M', 'A', 'P', ' '}, 4);
    h[212] = h[213] = HOST_IS_LITTLE ? 0x44 : 0x11;
    put_real(h, 216, s->count ? sqrt(s->squares / (double)s->count) : 0);
    put_int(h, 220, 1);
    memset(h + 224, ' ', 80);
    memcpy(h + 224, label, strnlen(label, 80));
}

static deco_status check_sizes(const char *path, int64_t nx, int64_t ny, int64_t nz, double psize_A)
{
    if (nx <= 0 || ny <= 0 || nz <= 0 || nx > INT32_MAX || ny > INT32_MAX || nz > INT32_MAX || nx * ny > INT64_MAX / 4 / nz)
        return deco_fail(DECO_E_ARGUMENT, "%s: an MRC file of %lld×%lld×%lld values cannot be written", path, (long long)nx, (long long)ny,
                         (long long)nz);
    if (!(psize_A > 0))
        return deco_fail(DECO_E_ARGUMENT, "%s: a pixel size of %g Å cannot be written; it must be above 0", path, psize_A);
    return DECO_OK;
}

deco_status deco_mrc_write_volume(const char *path, const float *values, int64_t nx, int64_t ny, int64_t nz, double psize_A,
                                  const char *label)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    unsigned char header[HEADER];
    statistics s = {0};

    TRY(check_sizes(path, nx, ny, nz, psize_A));
    for (int64_t z = 0; z < nz; z++)
        statistics_add(&s, values + z * nx * ny, nx * ny);
    fill_header(header, nx, ny, nz, 2, 1, psize_A, &s, label);
    TRY(deco_file_create(&f, path));
    TRY(deco_file_write(f, header, sizeof header));
    TRY(deco_file_write(f, values, (size_t)(nx * ny * nz) * sizeof *values));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}

struct deco_mrc_writer {
    deco_file *file;
    char *path;
    int64_t nx, ny, images, written;
    double psize_A;
    int mode;
    statistics stats; /* of the values as stored */
    float *rounded;   /* mode 12: one image as the file holds it */
    uint16_t *half;
};

deco_status deco_mrc_stack_create(deco_mrc_writer **out, const char *path, int64_t nx, int64_t ny, int64_t images, double psize_A, int mode)
{
    deco_status st = DECO_OK;
    deco_mrc_writer *w = NULL;
    unsigned char blank[HEADER] = {0};

    *out = NULL;
    TRY(check_sizes(path, nx, ny, images, psize_A));
    if (mode != 2 && mode != 12)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: stacks are written in MRC mode 2 or 12, not %d", path, mode));
    TRY(deco_alloc(&w, 1, sizeof *w, "stack writer"));
    w->nx = nx, w->ny = ny, w->images = images, w->psize_A = psize_A, w->mode = mode;
    w->path = strdup(path);
    if (!w->path)
        TRY(deco_fail_memory(strlen(path) + 1, "path"));
    if (mode == 12) {
        TRY(deco_alloc(&w->rounded, (size_t)(nx * ny), sizeof *w->rounded, "image"));
        TRY(deco_alloc(&w->half, (size_t)(nx * ny), sizeof *w->half, "image"));
    }
    TRY(deco_file_create(&w->file, path));
    TRY(deco_file_write(w->file, blank, sizeof blank)); /* the true header needs the statistics */
    *out = w;
    w = NULL;
out:
    deco_mrc_stack_abandon(w);
    return st;
}

deco_status deco_mrc_stack_append(deco_mrc_writer *w, const float *image)
{
    int64_t n = w->nx * w->ny;
    if (w->written == w->images)
        return deco_fail(DECO_E_ARGUMENT, "%s: more than the %lld images announced", w->path, (long long)w->images);
    w->written++;
    if (w->mode == 2) {
        statistics_add(&w->stats, image, n);
        return deco_file_write(w->file, image, (size_t)n * sizeof *image);
    }
    for (int64_t i = 0; i < n; i++) {
        w->half[i] = deco_half_from_float(image[i]);
        w->rounded[i] = deco_float_from_half(w->half[i]);
    }
    statistics_add(&w->stats, w->rounded, n);
    return deco_file_write(w->file, w->half, (size_t)n * sizeof *w->half);
}

deco_status deco_mrc_stack_commit(deco_mrc_writer *w)
{
    deco_status st = DECO_OK;
    unsigned char header[HEADER];

    if (w->written != w->images)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: %lld images were announced and %lld written", w->path, (long long)w->images,
                      (long long)w->written));
    fill_header(header, w->nx, w->ny, w->images, w->mode, 0, w->psize_A, &w->stats, "cryodeco: particle images");
    TRY(deco_file_seek(w->file, 0));
    TRY(deco_file_write(w->file, header, sizeof header));
    st = deco_file_commit(w->file);
    w->file = NULL;
out:
    deco_mrc_stack_abandon(w);
    return st;
}

void deco_mrc_stack_abandon(deco_mrc_writer *w)
{
    if (!w)
        return;
    deco_file_abandon(w->file);
    free(w->path);
    free(w->rounded);
    free(w->half);
    free(w);
}
