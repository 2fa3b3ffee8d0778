/* The exact engine's scores: each candidate slice through the decoder, then the best shift of each candidate. METHOD.md section 6. */
#include "formulas/rotation.h"
#include "training/pose_search_exact.h"

#include <string.h>

static deco_array decoder_params(const deco_search_exact *s) { return deco_f32_1(s->m->decoder.x, s->m->decoder.count); }
static deco_array decoder_freqs(const deco_search_exact *s) { return deco_f32_2(s->m->freqs, 3 * s->m->shape.pe_dim, 3); }
static deco_array numbers_i32(int32_t *p, int64_t a, int64_t b) { return deco_array_of(p, DECO_I32, 2, a, b, 1, 1); }

static deco_array latents(const deco_search_exact *s, float *p, int64_t n) { return s->Z ? deco_f32_2(p, n, s->Z) : deco_none(); }

static deco_array shifts_of(const deco_search_exact *s, const deco_search_input *in, const search_exact_level *l)
{
    return in->shift ? deco_f32_2(s->none, 1, 2) : deco_f32_2(l->shifts, deco_shift_grid_count(l->offsets), 2);
}

void search_exact_shift(float shift[2], const deco_search_exact *s, const deco_search_input *in, int64_t level, const float *centre,
                        int32_t t)
{
    double offset[2] = {0};

    if (!in->shift)
        deco_shift_grid_at(offset, s->level[level].offsets, t);
    for (int a = 0; a < 2; a++)
        shift[a] = (float)((double)centre[a] + offset[a]);
}

deco_status search_exact_batch(deco_search_exact *s, const deco_search_input *in)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)in->B, f = sizeof(float);

    if (s->Z)
        TRY(deco_device_upload(s->dev, s->z, in->z, B * (size_t)s->Z * f));
    if (in->shift)
        TRY(deco_device_upload(s->dev, s->centre, in->shift, B * 2 * f));
    else
        TRY(deco_clear(s->dev, deco_f32_2(s->centre, in->B, 2)));
out:
    return st;
}

/* The points of a level out of vectors of the training mask. */
static deco_status load_points(deco_search_exact *s, float *to, const float *from, int64_t B, const search_exact_level *l)
{
    for (int64_t b = 0; b < B; b++)
        for (int64_t p = 0; p < l->P; p++)
            s->host_points[b * l->P + p] = from[b * s->mask_points + l->place[p]];
    return deco_device_upload(s->dev, to, s->host_points, (size_t)(B * l->P) * sizeof *to);
}

deco_status search_exact_load(deco_search_exact *s, const deco_search_input *in, int64_t level)
{
    deco_status st = DECO_OK;
    const search_exact_level *l = &s->level[level];
    int64_t B = in->B, P = l->P;
    deco_array rows = {s->ctf_row, DECO_BYTES, 1, {B, 1, 1, 1}, sizeof *s->ctf_row}, k = deco_f32_2(l->k, P, 2);

    TRY(load_points(s, s->images, in->images, B, l));
    if (in->ctf_values) {
        TRY(load_points(s, s->ctf, in->ctf_values, B, l));
    } else {
        TRY(deco_device_upload(s->dev, s->ctf_row, in->ctf, (size_t)B * sizeof *s->ctf_row));
        TRY(deco_ctf_values(s->dev, deco_f32_2(s->ctf, B, P), rows, k));
    }
    if (level == 0)
        TRY(deco_shift(s->dev, deco_f32_2(s->shifted, B, P), deco_f32_2(s->images, B, P), deco_f32_2(s->centre, B, 2), k));
out:
    return st;
}

static void matrix_of(float R[9], const double q[4])
{
    double wide[9];

    deco_rotation_from_quaternion(wide, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)wide[i];
}

static deco_status upload_rotations(deco_search_exact *s, int64_t n)
{
    return deco_device_upload(s->dev, s->R, s->host_R, (size_t)(9 * n) * sizeof *s->R);
}

static deco_status download_scores(deco_search_exact *s, int64_t n)
{
    deco_status st = deco_device_download(s->dev, s->host_score, s->score, (size_t)n * sizeof *s->score);
    return st ? st : deco_device_download(s->dev, s->host_best, s->best, (size_t)n * sizeof *s->best);
}

/* ---- level 0 ---------------------------------------------------------------------------------------------------- */

int64_t search_exact_base_count(const deco_search_exact *s) { return deco_so3_directions(s->level->order) * s->angles; }

/* Without a latent, all images read the same slices. */
static deco_status share_slices(deco_search_exact *s, int64_t B, int64_t n)
{
    for (int64_t i = 0; i < B * n; i++)
        s->host_numbers[i] = (int32_t)(i % n);
    return deco_device_upload(s->dev, s->numbers, s->host_numbers, (size_t)(B * n) * sizeof *s->numbers);
}

deco_status search_exact_base(deco_search_exact *s, const deco_search_input *in, int64_t first, int64_t n)
{
    deco_status st = DECO_OK;
    const search_exact_level *l = s->level;
    int64_t B = in->B, P = l->P, latent = s->Z ? B : 1, Q = SEARCH_TURNS;
    deco_array k = deco_f32_2(l->k, P, 2), slices = deco_f32_2(s->values, latent * n, P), row = deco_none();
    deco_array turn = deco_array_of(s->turn, DECO_I32, 1, P, 1, 1, 1);

    for (int64_t i = 0; i < n; i++) {
        double q[4];
        deco_so3_quaternion(q, l->order, search_exact_rotation(s, first + i, 0));
        matrix_of(s->host_R + 9 * i, q);
    }
    TRY(upload_rotations(s, n));
    TRY(deco_hypervolume_bank(s->dev, &s->m->shape, deco_f32_3(s->values, latent, n, P), decoder_params(s), decoder_freqs(s), k,
                              deco_f32_3(s->R, n, 3, 3), latents(s, s->z, latent)));
    if (!s->Z) {
        TRY(share_slices(s, B, n));
        row = numbers_i32(s->numbers, B, n);
    }
    TRY(deco_pose_score(s->dev, deco_f32_3(s->score, B, n, Q), deco_array_of(s->best, DECO_I32, 3, B, n, Q, 1), slices, row,
                        deco_f32_2(s->ctf, B, P), deco_f32_2(s->shifted, B, P), shifts_of(s, in, l), k, turn));
    TRY(download_scores(s, B * n * Q));
out:
    return st;
}

/* ---- levels 1 and on ---------------------------------------------------------------------------------------------- */

/* What the decoder is to make and what it is compared with, on the host. Returns the number of slices; *groups that of parents. */
static int64_t list_children(deco_search_exact *s, int64_t level, const deco_search_best *parent, int64_t b0, int64_t b1, int64_t *distinct,
                             int64_t *groups)
{
    int64_t slices = 0, group = 0;

    for (int64_t b = b0; b < b1; b++) {
        const deco_search_best *p = &parent[b - b0];
        int32_t(*which)[DECO_SO3_NEIGHBOURS] = (int32_t(*)[DECO_SO3_NEIGHBOURS])(s->host_numbers + DECO_SO3_NEIGHBOURS * group);
        int64_t n = deco_search_children(s->host_rotation + slices, s->host_q + slices, which, p->pose, p->kept, s->level[level].order - 1);
        for (int64_t i = slices; i < slices + n; i++) {
            matrix_of(s->host_R + 9 * i, s->host_q[i]);
            s->host_slice_image[i] = b;
        }
        for (int64_t i = 0; i < p->kept; i++, group++) {
            s->host_group_image[group] = b;
            memcpy(s->host_group_shift + 2 * group, p->pose[i].shift, sizeof p->pose[i].shift);
            for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++)
                s->host_numbers[DECO_SO3_NEIGHBOURS * group + c] += (int32_t)slices;
        }
        distinct[b - b0] = n;
        slices += n;
    }
    *groups = group;
    return slices;
}

/* A parent's image, shifted to where the parent's children are searched around, and its CTF. */
static deco_status load_groups(deco_search_exact *s, int64_t B, int64_t groups, const search_exact_level *l)
{
    deco_status st = DECO_OK;
    int64_t P = l->P;
    deco_array of = deco_i64_1(s->group_image, groups), shape = deco_f32_2(NULL, groups, P), y = shape, ctf = shape, shifted = shape;

    y.data = s->group_y, ctf.data = s->group_ctf, shifted.data = s->shifted;
    TRY(deco_device_upload(s->dev, s->group_image, s->host_group_image, (size_t)groups * sizeof *s->group_image));
    TRY(deco_device_upload(s->dev, s->group_shift, s->host_group_shift, (size_t)(2 * groups) * sizeof *s->group_shift));
    TRY(deco_device_upload(s->dev, s->numbers, s->host_numbers, (size_t)(DECO_SO3_NEIGHBOURS * groups) * sizeof *s->numbers));
    TRY(deco_rows_gather(s->dev, y, deco_f32_2(s->images, B, P), of));
    TRY(deco_rows_gather(s->dev, ctf, deco_f32_2(s->ctf, B, P), of));
    TRY(deco_shift(s->dev, shifted, y, deco_f32_2(s->group_shift, groups, 2), deco_f32_2(l->k, P, 2)));
out:
    return st;
}

static deco_status decode_slices(deco_search_exact *s, int64_t B, int64_t n, const search_exact_level *l)
{
    deco_status st = DECO_OK;
    int64_t P = l->P;

    TRY(upload_rotations(s, n));
    if (s->Z) {
        TRY(deco_device_upload(s->dev, s->slice_image, s->host_slice_image, (size_t)n * sizeof *s->slice_image));
        TRY(deco_rows_gather(s->dev, latents(s, s->slice_z, n), latents(s, s->z, B), deco_i64_1(s->slice_image, n)));
    }
    TRY(deco_hypervolume_values(s->dev, &s->m->shape, deco_f32_2(s->values, n, P), deco_none(), decoder_params(s), decoder_freqs(s),
                                deco_f32_2(l->k, P, 2), deco_f32_3(s->R, n, 3, 3), latents(s, s->slice_z, n)));
out:
    return st;
}

deco_status search_exact_children(deco_search_exact *s, const deco_search_input *in, int64_t level, const deco_search_best *parent,
                                  int64_t b0, int64_t b1, int64_t *distinct)
{
    deco_status st = DECO_OK;
    const search_exact_level *l = &s->level[level];
    int64_t P = l->P, C = DECO_SO3_NEIGHBOURS, G, n = list_children(s, level, parent, b0, b1, distinct, &G);

    TRY(decode_slices(s, in->B, n, l));
    TRY(load_groups(s, in->B, G, l));
    TRY(deco_pose_score(s->dev, deco_f32_3(s->score, G, C, 1), deco_array_of(s->best, DECO_I32, 3, G, C, 1, 1), deco_f32_2(s->values, n, P),
                        numbers_i32(s->numbers, G, C), deco_f32_2(s->group_ctf, G, P), deco_f32_2(s->shifted, G, P), shifts_of(s, in, l),
                        deco_f32_2(l->k, P, 2), deco_none()));
    TRY(download_scores(s, G * C));
out:
    return st;
}
