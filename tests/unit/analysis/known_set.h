/* A simulated set with what is true of it: poses, labels, maps. */
#ifndef DECO_TESTS_KNOWN_SET_H
#define DECO_TESTS_KNOWN_SET_H

#include "analysis/backproject.h"
#include "formats/npy.h"
#include "unit/particles/toy_job.h"

typedef struct known_set {
    deco_device *dev;
    deco_particles *p;
    deco_mask *mask;
    int32_t *label;
    float *R, *shift;
    char name[64];
} known_set;

static inline void open_set(known_set *s, const char *path, const char *job, const char *name, int threads)
{
    deco_table *truth = NULL;
    char file[1200], root[1024];

    *s = (known_set){0};
    snprintf(root, sizeof root, "%s", path);
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(file, sizeof file, "%s/project/%s", root, job);
    toy_ok(deco_particles_open(&s->p, file, NULL, DECO_NEED_STACKS, NULL));
    toy_ok(deco_device_create(&s->dev, "cpu", threads));
    toy_ok(deco_mask_create(&s->mask, s->p->D + 1, s->p->D / 2));
    snprintf(file, sizeof file, "%s/truth/particles.npy", root);
    toy_ok(deco_npy_read_table(&truth, file));
    const deco_column *uid = deco_table_find(truth, "uid"), *R = deco_table_find(truth, "R"), *shift = deco_table_find(truth, "shift_px"),
                      *label = deco_table_find(truth, "label");
    s->label = calloc((size_t)s->p->N, sizeof *s->label);
    s->R = calloc(9 * (size_t)s->p->N, sizeof *s->R);
    s->shift = calloc(2 * (size_t)s->p->N, sizeof *s->shift);
    for (int64_t i = 0; i < s->p->N; i++) {
        int64_t row = 0;
        while (row < truth->rows && deco_cell_u64(uid, row, 0) != deco_particles_uid(s->p, i))
            row++;
        assert_true(row < truth->rows);
        for (int c = 0; c < 9; c++)
            s->R[9 * i + c] = (float)deco_cell_real(R, row, c);
        for (int c = 0; c < 2; c++)
            s->shift[2 * i + c] = (float)deco_cell_real(shift, row, c);
        s->label[i] = (int32_t)deco_cell_real(label, row, 0);
    }
    deco_table_free(truth);
}

static inline void close_set(known_set *s)
{
    deco_mask_free(s->mask);
    deco_particles_free(s->p);
    deco_device_free(s->dev);
    free(s->label);
    free(s->R);
    free(s->shift);
}

static inline int64_t rows_of(int64_t *row, const known_set *s, int32_t k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->p->N; i++)
        if (s->label[i] == k)
            row[n++] = i;
    return n;
}

static inline void back_project(deco_back_projection *b, const known_set *s, int32_t k, const uint8_t *half)
{
    int64_t *row = calloc((size_t)s->p->N, sizeof *row), n = rows_of(row, s, k);
    toy_ok(deco_back_project(b, &(deco_back_projection_input){s->p, s->mask, s->R, s->shift, NULL, half, row, n, NULL}, s->dev, NULL));
    free(row);
}

static inline double *read_truth(const char *root, int k, int64_t D)
{
    char path[1200];
    deco_mrc *m = NULL;
    float *map = calloc((size_t)(D * D * D), sizeof *map);
    double *out = calloc((size_t)(D * D * D), sizeof *out);

    snprintf(path, sizeof path, "%s/truth/maps/class_%d.mrc", root, k);
    toy_ok(deco_mrc_open(&m, path));
    toy_ok(deco_mrc_read(m, map, 0, D));
    for (int64_t i = 0; i < D * D * D; i++)
        out[i] = map[i];
    deco_mrc_close(m);
    free(map);
    return out;
}

#endif
