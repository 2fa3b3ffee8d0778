/* MRC2014 stacks and volumes: modes 0, 1, 2, 6, 12, both byte orders. FORMATS.md section 6. */
#ifndef DECO_FORMATS_MRC_H
#define DECO_FORMATS_MRC_H

#include "base/status.h"
#include "formats/mrc_half.h"

typedef struct deco_mrc {
    char *path;
    int fd;
    int64_t nx, ny, nz;
    int mode;
    bool swapped;        /* data of the other byte order */
    bool unsigned_bytes; /* mode 0 of old IMOD files */
    size_t item;         /* bytes a value */
    uint64_t data;       /* byte where the data begin */
    double psize_A;      /* xlen / mx; 0 when the header does not say */
} deco_mrc;

/* Header read and checked against the file's size. Fails: FILE; FORMAT (unknown mode, sizes, truncated: which images are whole). */
deco_status deco_mrc_open(deco_mrc **out, const char *path);
void deco_mrc_close(deco_mrc *m); /* takes NULL */

/* Images first .. first+n-1 as f32, [n, ny, nx]. Thread-safe (pread), allocates nothing. Fails: ARGUMENT (out of range, with nz),
 * FILE, FORMAT (the file was cut since it was opened). */
deco_status deco_mrc_read(const deco_mrc *m, float *out, int64_t first, int64_t n);

/* A map [nz,ny,nx], z slowest: mode 2, ispg 1, cell, origin 0, statistics, one label. Whole or absent. */
deco_status deco_mrc_write_volume(const char *path, const float *values, int64_t nx, int64_t ny, int64_t nz, double psize_A,
                                  const char *label);

/* A stack of images written one after another: mode 2 or 12 (float16), ispg 0; statistics in the header at commit. Whole or absent.
 * Commit fails with ARGUMENT when other than `images` images were appended. */
typedef struct deco_mrc_writer deco_mrc_writer;
deco_status deco_mrc_stack_create(deco_mrc_writer **out, const char *path, int64_t nx, int64_t ny, int64_t images, double psize_A,
                                  int mode);
deco_status deco_mrc_stack_append(deco_mrc_writer *w, const float *image);
deco_status deco_mrc_stack_commit(deco_mrc_writer *w); /* w is gone afterwards, also on failure */
void deco_mrc_stack_abandon(deco_mrc_writer *w);       /* takes NULL */

#endif
