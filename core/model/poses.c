/* The pose table as its users see it, in matrices: rotations are stored as the first two rows of theirs, the third is their product. */
#include "model/model.h"

#include "formulas/rotation.h"
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 }; /* rows on their way between host and device at a time */

/* Some rows of the table, on the host and on the device. */
typedef struct pose_block {
    float *six, *dev_six, *dev_shift; /* [BLOCK,6], [BLOCK,6], [BLOCK,2] */
    int64_t *dev_row;                 /* [BLOCK] */
} pose_block;

static deco_status block_create(pose_block *b, deco_device *dev)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&b->six, BLOCK, 6 * sizeof(float), "poses"));
    TRY(deco_device_alloc(dev, &b->dev_six, BLOCK * 6 * sizeof(float), "poses"));
    TRY(deco_device_alloc(dev, &b->dev_shift, BLOCK * 2 * sizeof(float), "poses"));
    TRY(deco_device_alloc(dev, &b->dev_row, BLOCK * sizeof(int64_t), "poses"));
out:
    return st;
}

static void block_free(pose_block *b, deco_device *dev)
{
    free(b->six);
    deco_device_release(dev, b->dev_six);
    deco_device_release(dev, b->dev_shift);
    deco_device_release(dev, b->dev_row);
}

/* b->six and `shift` [n,2] of rows row[0..n). */
static deco_status take_rows(pose_block *b, float *shift, deco_model *m, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_array rows = deco_i64_1(b->dev_row, n);

    TRY(deco_device_upload(m->dev, b->dev_row, row, (size_t)n * sizeof *row));
    TRY(deco_rows_gather(m->dev, deco_f32_2(b->dev_six, n, 6), deco_f32_2(m->rotations.x, m->N, 6), rows));
    TRY(deco_rows_gather(m->dev, deco_f32_2(b->dev_shift, n, 2), deco_f32_2(m->shifts.x, m->N, 2), rows));
    TRY(deco_device_download(m->dev, b->six, b->dev_six, (size_t)n * 6 * sizeof(float)));
    TRY(deco_device_download(m->dev, shift, b->dev_shift, (size_t)n * 2 * sizeof(float)));
out:
    return st;
}

/* The same of rows first .. first + n - 1. */
static deco_status take_run(pose_block *b, float *shift, deco_model *m, int64_t first, int64_t n)
{
    deco_status st = deco_device_download(m->dev, b->six, m->rotations.x + 6 * first, (size_t)n * 6 * sizeof(float));
    return st ? st : deco_device_download(m->dev, shift, m->shifts.x + 2 * first, (size_t)n * 2 * sizeof(float));
}

static deco_status put_rows(pose_block *b, const float *shift, deco_model *m, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_array rows = deco_i64_1(b->dev_row, n);

    TRY(deco_device_upload(m->dev, b->dev_row, row, (size_t)n * sizeof *row));
    TRY(deco_device_upload(m->dev, b->dev_six, b->six, (size_t)n * 6 * sizeof(float)));
    TRY(deco_device_upload(m->dev, b->dev_shift, shift, (size_t)n * 2 * sizeof(float)));
    TRY(deco_rows_put(m->dev, deco_f32_2(m->rotations.x, m->N, 6), deco_f32_2(b->dev_six, n, 6), rows));
    TRY(deco_rows_put(m->dev, deco_f32_2(m->shifts.x, m->N, 2), deco_f32_2(b->dev_shift, n, 2), rows));
out:
    return st;
}

static deco_status put_run(pose_block *b, const float *shift, deco_model *m, int64_t first, int64_t n)
{
    deco_status st = deco_device_upload(m->dev, m->rotations.x + 6 * first, b->six, (size_t)n * 6 * sizeof(float));
    return st ? st : deco_device_upload(m->dev, m->shifts.x + 2 * first, shift, (size_t)n * 2 * sizeof(float));
}

static deco_status check_rows(const deco_model *m, const int64_t *row, int64_t n)
{
    if (!m->rotations.count || (!row && n > m->N))
        return deco_fail(DECO_E_ARGUMENT, "%lld poses are asked for; the table has %lld", (long long)n,
                         m->rotations.count ? (long long)m->N : 0LL);
    return DECO_OK;
}

deco_status deco_poses_get(float *R, float *shift, deco_model *m, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    pose_block b = {0};

    TRY(check_rows(m, row, n));
    TRY(block_create(&b, m->dev));
    for (int64_t first = 0; first < n; first += BLOCK) {
        int64_t some = n - first < BLOCK ? n - first : BLOCK;
        TRY(row ? take_rows(&b, shift + 2 * first, m, row + first, some) : take_run(&b, shift + 2 * first, m, first, some));
        for (int64_t i = 0; i < some; i++) {
            double six[6], matrix[9];
            for (int c = 0; c < 6; c++)
                six[c] = b.six[6 * i + c];
            deco_rotation_from_six(matrix, six);
            for (int c = 0; c < 9; c++)
                R[9 * (first + i) + c] = (float)matrix[c];
        }
    }
out:
    block_free(&b, m->dev);
    return st;
}

deco_status deco_poses_put(deco_model *m, const int64_t *row, int64_t n, const float *R, const float *shift)
{
    deco_status st = DECO_OK;
    pose_block b = {0};

    TRY(check_rows(m, row, n));
    TRY(block_create(&b, m->dev));
    for (int64_t first = 0; first < n; first += BLOCK) {
        int64_t some = n - first < BLOCK ? n - first : BLOCK;
        for (int64_t i = 0; i < some; i++)
            memcpy(b.six + 6 * i, R + 9 * (first + i), 6 * sizeof *b.six);
        TRY(row ? put_rows(&b, shift + 2 * first, m, row + first, some) : put_run(&b, shift + 2 * first, m, first, some));
    }
out:
    block_free(&b, m->dev);
    return st;
}
