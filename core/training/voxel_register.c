/* Registration of densities in Fourier space: every rotation of a coarse grid with every displacement of a coarse grid, then the best of them
 * step by step finer. */
#include "training/voxel_register.h"

#include "formulas/rotation.h"
#include "geometry/so3_grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID_ORDER = 2, COARSE_RADIUS = 8, FINALISTS = 16, ROTATIONS_A_TASK = 64, MOST_STEPS_AXIS = 9 };

static const double coarse_step_px = 3, finest_rad = 0.005;

typedef struct point {
    double k[3];
    float even, odd; /* of a, over its shell's amplitude in both maps */
    int32_t shell;
} point;

typedef struct registering {
    const deco_voxel_map *a, *b;
    point *point; /* half of a ball, by rising distance */
    int64_t points, coarse;
    double *scale_b;         /* by shell */
    int64_t axis;            /* displacements an axis of the coarse grid */
    float *phase;            /* [axis,2·COARSE_RADIUS + 1,2] cos and sin */
    deco_registration *best; /* [tasks] */
} registering;

static double distance(const double k[3]) { return sqrt(k[0] * k[0] + k[1] * k[1] + k[2] * k[2]); }

static float value_at(const deco_voxel_map *v, int64_t x, int64_t y, int64_t z)
{
    return v->map[((z + v->reach) * v->side + y + v->reach) * v->side + x + v->reach];
}

/* Even and odd part of b at any point inside the ball, trilinear. */
static void parts_at(double out[2], const deco_voxel_map *v, const double k[3])
{
    double f[3], here = 0, there = 0;
    int64_t i[3];

    for (int d = 0; d < 3; d++) {
        i[d] = (int64_t)floor(k[d]);
        f[d] = k[d] - (double)i[d];
    }
    for (int c = 0; c < 8; c++) {
        int64_t x = i[0] + (c & 1), y = i[1] + (c >> 1 & 1), z = i[2] + (c >> 2);
        double w = (c & 1 ? f[0] : 1 - f[0]) * (c & 2 ? f[1] : 1 - f[1]) * (c & 4 ? f[2] : 1 - f[2]);
        here += w * value_at(v, x, y, z);
        there += w * value_at(v, -x, -y, -z);
    }
    out[0] = 0.5 * (here + there);
    out[1] = 0.5 * (here - there);
}

static int by_distance(const void *a, const void *b)
{
    const point *p = a, *q = b;
    if (p->shell != q->shell)
        return p->shell < q->shell ? -1 : 1;
    for (int i = 2; i >= 0; i--)
        if (p->k[i] != q->k[i])
            return p->k[i] < q->k[i] ? -1 : 1;
    return 0;
}

/* Amplitude by shell, so that all shells count by their points. */
static void shell_scales(double *scale, const deco_voxel_map *v, int64_t radius)
{
    double power[2] = {0};
    for (int64_t r = 0; r <= radius; r++) {
        power[0] = power[1] = 0;
        for (int64_t z = -r - 1; z <= r + 1; z++)
            for (int64_t y = -r - 1; y <= r + 1; y++)
                for (int64_t x = -r - 1; x <= r + 1; x++)
                    if (lrint(sqrt((double)(x * x + y * y + z * z))) == r && llabs(x) <= v->reach && llabs(y) <= v->reach &&
                        llabs(z) <= v->reach) {
                        power[0] += (double)value_at(v, x, y, z) * value_at(v, x, y, z);
                        power[1] += 1;
                    }
        scale[r] = power[0] > 0 ? 1 / sqrt(power[0] / power[1]) : 0;
    }
}

static deco_status list_points(registering *s, int64_t radius)
{
    deco_status st = DECO_OK;
    double *scale_a = NULL;
    int64_t side = 2 * radius + 1;

    TRY(deco_alloc(&scale_a, (size_t)radius + 2, sizeof *scale_a, "a registration"));
    TRY(deco_alloc(&s->scale_b, (size_t)radius + 2, sizeof *s->scale_b, "a registration"));
    TRY(deco_alloc(&s->point, (size_t)(side * side * side), sizeof *s->point, "a registration"));
    shell_scales(scale_a, s->a, radius);
    shell_scales(s->scale_b, s->b, radius);
    for (int64_t z = 0; z <= radius; z++)
        for (int64_t y = -radius; y <= radius; y++)
            for (int64_t x = -radius; x <= radius; x++) {
                point p = {.k = {(double)x, (double)y, (double)z}};
                bool half = z > 0 || y > 0 || (y == 0 && x > 0);
                if (!half || distance(p.k) > (double)radius)
                    continue;
                p.shell = (int32_t)lrint(distance(p.k));
                double here = value_at(s->a, x, y, z), there = value_at(s->a, -x, -y, -z), by = scale_a[p.shell] * s->scale_b[p.shell];
                p.even = (float)(by * 0.5 * (here + there)), p.odd = (float)(by * 0.5 * (here - there));
                s->point[s->points++] = p;
            }
    qsort(s->point, (size_t)s->points, sizeof *s->point, by_distance);
    while (s->coarse < s->points && s->point[s->coarse].shell <= COARSE_RADIUS)
        s->coarse++;
out:
    free(scale_a);
    return st;
}

/* Sum over the first n points of a(k) times b(k @ M), displaced by t: a·b of even and odd parts, turned by the phase. Divided by n: 1 where they are alike. */
static double correlate(const registering *s, const double M[9], const double t[3], int64_t n)
{
    double sum = 0, per = 6.283185307179586476925 / (double)s->a->D;

    for (int64_t i = 0; i < n; i++) {
        const point *p = &s->point[i];
        double k[3], b[2], phase = per * (p->k[0] * t[0] + p->k[1] * t[1] + p->k[2] * t[2]);
        for (int j = 0; j < 3; j++)
            k[j] = p->k[0] * M[j] + p->k[1] * M[3 + j] + p->k[2] * M[6 + j];
        parts_at(b, s->b, k);
        sum += cos(phase) * (p->even * b[0] + p->odd * b[1]) + sin(phase) * (p->odd * b[0] - p->even * b[1]);
    }
    return sum / (double)n;
}

/* ---- coarse ------------------------------------------------------------------------------------------------------ */

/* All displacements of the grid for the products of one rotation: phases are products of those along x, y and z. */
static void best_displacement(const registering *s, const double M[9], deco_registration *best)
{
    int64_t n = s->axis, cells = n * n * n;
    double sum[MOST_STEPS_AXIS * MOST_STEPS_AXIS * MOST_STEPS_AXIS] = {0};

    for (int64_t i = 0; i < s->coarse; i++) {
        const point *p = &s->point[i];
        double k[3], b[2];
        for (int j = 0; j < 3; j++)
            k[j] = p->k[0] * M[j] + p->k[1] * M[3 + j] + p->k[2] * M[6 + j];
        parts_at(b, s->b, k);
        double re = p->even * b[0] + p->odd * b[1], im = p->odd * b[0] - p->even * b[1];
        const float *px = s->phase + 2 * n * ((int64_t)p->k[0] + COARSE_RADIUS),
                    *py = s->phase + 2 * n * ((int64_t)p->k[1] + COARSE_RADIUS),
                    *pz = s->phase + 2 * n * ((int64_t)p->k[2] + COARSE_RADIUS);
        for (int64_t z = 0; z < n; z++) {
            double rz = re * pz[2 * z] + im * pz[2 * z + 1], iz = im * pz[2 * z] - re * pz[2 * z + 1];
            for (int64_t y = 0; y < n; y++) {
                double ry = rz * py[2 * y] + iz * py[2 * y + 1], iy = iz * py[2 * y] - rz * py[2 * y + 1];
                double *row = sum + (z * n + y) * n;
                for (int64_t x = 0; x < n; x++)
                    row[x] += ry * px[2 * x] + iy * px[2 * x + 1];
            }
        }
    }
    for (int64_t c = 0; c < cells; c++) {
        double correlation = sum[c] / (double)s->coarse;
        if (correlation > best->correlation) {
            best->correlation = correlation;
            memcpy(best->M, M, sizeof best->M);
            const int64_t at[3] = {c % n - n / 2, c / n % n - n / 2, c / n / n - n / 2};
            for (int d = 0; d < 3; d++)
                best->t[d] = coarse_step_px * (double)at[d];
        }
    }
}

static deco_status search_task(void *context, int64_t task, int worker)
{
    registering *s = context;
    int64_t count = deco_so3_count(GRID_ORDER), tasks = (count + ROTATIONS_A_TASK - 1) / ROTATIONS_A_TASK,
            first = task % tasks * ROTATIONS_A_TASK;
    bool mirrored = task >= tasks;

    (void)worker;
    s->best[task] = (deco_registration){.correlation = -INFINITY, .mirrored = mirrored};
    for (int64_t i = first; i < count && i < first + ROTATIONS_A_TASK; i++) {
        double q[4], M[9];
        deco_so3_quaternion(q, GRID_ORDER, i);
        deco_rotation_from_quaternion(M, q);
        for (int j = 6; j < 9 && mirrored; j++)
            M[j] = -M[j];
        best_displacement(s, M, &s->best[task]);
    }
    return DECO_OK;
}

/* ---- fine -------------------------------------------------------------------------------------------------------- */

/* M turned by the small angles w about the axes of a. */
static void turn(double out[9], const double M[9], const double w[3])
{
    double E[9];

    deco_rotation_from_axis_angle(E, w);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = E[3 * i] * M[j] + E[3 * i + 1] * M[3 + j] + E[3 * i + 2] * M[6 + j];
}

/* Steps along each of six unknowns, halved when none of them helps. */
static void refine(const registering *s, deco_registration *r)
{
    double angle = 0.13, step = coarse_step_px / 2;

    r->correlation = correlate(s, r->M, r->t, s->points);
    while (angle > finest_rad) {
        bool better = false;
        for (int u = 0; u < (s->axis > 1 ? 12 : 6); u++) {
            double w[3] = {0}, M[9], t[3] = {r->t[0], r->t[1], r->t[2]}, sign = u % 2 ? -1 : 1;
            if (u < 6)
                w[u / 2] = sign * angle;
            else
                t[u / 2 - 3] += sign * step;
            turn(M, r->M, w);
            double c = correlate(s, M, t, s->points);
            if (c > r->correlation) {
                r->correlation = c;
                memcpy(r->M, M, sizeof M);
                memcpy(r->t, t, sizeof t);
                better = true;
            }
        }
        if (!better)
            angle /= 2, step /= 2;
    }
}

static deco_status refine_task(void *context, int64_t task, int worker)
{
    registering *s = context;
    (void)worker;
    refine(s, &s->best[task]);
    return DECO_OK;
}

static int by_correlation(const void *a, const void *b)
{
    double x = ((const deco_registration *)a)->correlation, y = ((const deco_registration *)b)->correlation;
    return (x < y) - (x > y);
}

deco_status deco_voxel_register(deco_registration *out, const deco_voxel_map *a, const deco_voxel_map *b, int64_t radius, double reach_px)
{
    deco_status st = DECO_OK;
    registering s = {.a = a, .b = b};
    deco_pool *pool = deco_device_pool(a->dev);
    int64_t tasks = 2 * ((deco_so3_count(GRID_ORDER) + ROTATIONS_A_TASK - 1) / ROTATIONS_A_TASK);

    TRY(list_points(&s, radius));
    s.axis = 2 * (int64_t)(reach_px / coarse_step_px) + 1;
    s.axis = s.axis > MOST_STEPS_AXIS ? MOST_STEPS_AXIS : s.axis;
    TRY(deco_alloc(&s.phase, (size_t)(2 * s.axis * (2 * COARSE_RADIUS + 1)), sizeof *s.phase, "a registration"));
    for (int64_t k = -COARSE_RADIUS; k <= COARSE_RADIUS; k++)
        for (int64_t i = 0; i < s.axis; i++) {
            int64_t steps = i - s.axis / 2;
            double phase = 6.283185307179586476925 * (double)(k * steps) * coarse_step_px / (double)a->D;
            s.phase[2 * (s.axis * (k + COARSE_RADIUS) + i)] = (float)cos(phase);
            s.phase[2 * (s.axis * (k + COARSE_RADIUS) + i) + 1] = (float)sin(phase);
        }
    TRY(deco_alloc(&s.best, (size_t)tasks, sizeof *s.best, "a registration"));
    TRY(deco_pool_run(pool, search_task, &s, tasks));
    qsort(s.best, (size_t)tasks, sizeof *s.best, by_correlation);
    TRY(deco_pool_run(pool, refine_task, &s, FINALISTS));
    qsort(s.best, FINALISTS, sizeof *s.best, by_correlation);
    *out = s.best[0];
out:
    free(s.point);
    free(s.scale_b);
    free(s.phase);
    free(s.best);
    return st;
}

/* b(c @ R) = a(c @ R') with R' = R Mᵀ; a mirror is no rotation, but the image's plane does not see diag(1, 1, -1) in front of one. */
void deco_registration_apply(float R[9], float shift[2], const deco_registration *r)
{
    double next[9];

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            next[3 * i + j] = R[3 * i] * r->M[3 * j] + R[3 * i + 1] * r->M[3 * j + 1] + R[3 * i + 2] * r->M[3 * j + 2];
    for (int j = 6; j < 9 && r->mirrored; j++)
        next[j] = -next[j];
    for (int i = 0; i < 2; i++)
        shift[i] = (float)(shift[i] + (next[3 * i] * r->t[0] + next[3 * i + 1] * r->t[1] + next[3 * i + 2] * r->t[2]));
    for (int i = 0; i < 9; i++)
        R[i] = (float)next[i];
}

double deco_registration_angle_deg(const deco_registration *r)
{
    double trace = r->M[0] + r->M[4] + (r->mirrored ? -r->M[8] : r->M[8]);
    return acos(fmax(-1, fmin(1, (trace - 1) / 2))) * 180 / 3.14159265358979323846;
}
