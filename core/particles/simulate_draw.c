/* The views: classes, poses, microscope and names, each a function of the seed and the particle's number. */
#include "base/philox.h"
#include "formulas/rotation.h"
#include "particles/simulate_parts.h"

#include <math.h>
#include <stdlib.h>

#define MICROGRAPHS ((uint64_t)1 << 48) /* their numbers in the random stream begin here, past any particle's */

static double between(deco_random *r, double a, double b) { return a + (b - a) * deco_random_uniform(r); }

static void draw_micrograph(sim_micrograph *m, int64_t i, const sim_settings *s)
{
    deco_random r = deco_random_at(s->seed, DECO_STREAM_SIMULATE, MICROGRAPHS + (uint64_t)i);
    m->uid = (uint64_t)deco_random_u32(&r) << 32 | deco_random_u32(&r);
    m->defocus_A = between(&r, s->o->defocus_min_A, s->o->defocus_max_A);
    m->astigmatism_A = s->o->astigmatism_A * deco_random_uniform(&r);
    m->astig_rad = between(&r, -M_PI / 2, M_PI / 2);
    m->noise_sigma = fmax(1 + 0.05 * deco_random_normal(&r), 0.8);
    m->group = i * s->o->exposure_groups / s->micrographs;
}

/* Uniform, or for a share of the views gathered around the map's z axis: tilted by a Rayleigh angle of 15°, rot and psi free. */
static void draw_rotation(double R[9], deco_random *r, const sim_settings *s)
{
    if (deco_random_uniform(r) >= s->o->views_fraction) {
        double u[3], q[4];
        for (int i = 0; i < 3; i++)
            u[i] = deco_random_uniform(r);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        return;
    }
    double rot = DECO_TWO_PI * deco_random_uniform(r), psi = DECO_TWO_PI * deco_random_uniform(r);
    double tilt = fmin(M_PI / 12 * sqrt(-2 * log(1 - deco_random_uniform(r))), M_PI);
    double a = cos(rot), b = sin(rot), c = cos(tilt), d = sin(tilt), e = cos(psi), f = sin(psi);
    R[0] = e * c * a - f * b, R[1] = e * c * b + f * a, R[2] = -e * d;
    R[3] = -f * c * a - e * b, R[4] = -f * c * b + e * a, R[5] = f * d;
    R[6] = d * a, R[7] = d * b, R[8] = c;
}

/* Normal about 0, drawn again while it is longer than allowed; after 64 tries (a wide spread, a small limit) uniform in the circle. */
static void draw_shift(float shift[2], deco_random *r, const sim_settings *s)
{
    double sigma = s->o->shift_sigma_px, limit = s->o->shift_max_px, x = 0, y = 0;
    bool inside = sigma == 0 || limit == 0;
    for (int i = 0; i < 64 && !inside; i++) {
        x = sigma * deco_random_normal(r), y = sigma * deco_random_normal(r);
        inside = x * x + y * y <= limit * limit;
    }
    if (!inside) {
        double radius = limit * sqrt(deco_random_uniform(r)), angle = DECO_TWO_PI * deco_random_uniform(r);
        x = radius * cos(angle), y = radius * sin(angle);
    }
    shift[0] = (float)x, shift[1] = (float)y;
}

static void draw_state(sim_particle *p, deco_random *r, const sim_settings *s)
{
    double u = deco_random_uniform(r);
    int64_t k = 0;
    if (s->continuous) {
        p->t = (float)u;
        k = (int64_t)(u * (double)s->maps); /* the map nearest to t: they stand at (k + 1/2) / maps */
        p->map = (int32_t)(k < s->maps ? k : s->maps - 1);
        return;
    }
    while (k < s->maps - 1 && u >= s->share[k])
        k++;
    p->label = p->map = (int32_t)k;
}

static deco_ctf_row ctf_of(const sim_micrograph *m, deco_random *r, const sim_settings *s)
{
    const deco_options *o = s->o;
    /* the micrograph's, with a particle's own height in the ice */
    double defocus = fmin(fmax(m->defocus_A + between(r, -250, 250), o->defocus_min_A), o->defocus_max_A);
    return (deco_ctf_row){.defocus_u_A = (float)(defocus + m->astigmatism_A / 2),
                          .defocus_v_A = (float)(defocus - m->astigmatism_A / 2),
                          .astig_rad = (float)m->astig_rad,
                          .amp_contrast = (float)o->amp_contrast,
                          .psize_A = (float)s->psize_A,
                          .cs_A = (float)o->cs_mm * 1e7f,
                          .lambda_A = deco_wavelength_A((float)o->accel_kV)};
}

static void draw_particle(sim_particle *p, int64_t i, const sim_micrograph *micrograph, const sim_settings *s)
{
    deco_random r = deco_random_at(s->seed, DECO_STREAM_SIMULATE, (uint64_t)i);
    double v[3];

    *p = (sim_particle){.micrograph = i * s->micrographs / s->N};
    p->uid = (uint64_t)deco_random_u32(&r) << 32 | deco_random_u32(&r);
    draw_state(p, &r, s);
    draw_rotation(p->R, &r, s);
    deco_axis_angle_from_rotation(v, p->R);
    for (int c = 0; c < 3; c++)
        v[c] = p->pose[c] = (float)v[c];
    deco_rotation_from_axis_angle(p->R, v); /* the image is made with what the file will say */
    p->ctf = ctf_of(&micrograph[p->micrograph], &r, s);
    p->contrast = (float)fmax(1 + s->o->contrast_sigma * deco_random_normal(&r), 0.1);
    p->noise_sigma = (float)micrograph[p->micrograph].noise_sigma;
    p->split = (int32_t)(deco_random_u32(&r) & 1);
    for (int c = 0; c < 2; c++)
        p->centre_frac[c] = (float)between(&r, 0.05, 0.95);
    draw_shift(p->shift, &r, s);
}

typedef struct numbered {
    uint64_t uid;
    int64_t row;
} numbered;

static int by_uid_then_row(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Two of the random names may be the same: the later one then takes the next number. */
static deco_status make_unique(sim_particle *particle, int64_t *by_uid, int64_t n)
{
    numbered *order = NULL;
    deco_status st = deco_alloc(&order, (size_t)n, sizeof *order, "uids");
    if (st)
        return st;
    for (int64_t i = 0; i < n; i++)
        order[i] = (numbered){particle[i].uid, i};
    qsort(order, (size_t)n, sizeof *order, by_uid_then_row);
    for (int64_t i = 0; i < n; i++) {
        if (i && order[i].uid <= order[i - 1].uid)
            order[i].uid = order[i - 1].uid + 1;
        particle[order[i].row].uid = order[i].uid;
        by_uid[i] = order[i].row;
    }
    free(order);
    return DECO_OK;
}

deco_status sim_draw(sim_particle *particle, sim_micrograph *micrograph, int64_t *by_uid, const sim_settings *s)
{
    for (int64_t i = 0; i < s->micrographs; i++)
        draw_micrograph(&micrograph[i], i, s);
    for (int64_t i = 0; i < s->N; i++)
        draw_particle(&particle[i], i, micrograph, s);
    return make_unique(particle, by_uid, s->N);
}
