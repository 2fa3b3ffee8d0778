/* Registration of densities in Fourier space: every rotation of a coarse grid with every displacement of a coarse grid, then the best of them
 * step by step finer. */
#include "training/voxel_register.h"

#include "formulas/rotation.h"
#include "geometry/so3_grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID_ORDER = 2, COARSE_RADIUS = 8, ROTATIONS_A_TASK = 64, MOST_STEPS_AXIS = 9 };
enum { COARSE_FINALISTS = 16, FINALISTS = 4 }; /* taken on from the grid, on the coarse shells; of those, on all shells */

static const double coarse_step_px = 3, widest_rad = 0.13, middle_rad = 0.03, finest_rad = 0.005;

typedef struct point {
    int32_t k[3];
    float even, odd; /* of a, over its shell's amplitude in both maps */
    int32_t shell;
    int32_t mirror; /* coarse points: where (x, y, -z) or the point opposite to it stands ... */
    float sign;     /* ... and -1 where it is the opposite */
} point;

typedef struct registering {
    const deco_voxel_map *a, *b;
    float *parts; /* [side³,2] even and odd part of b */
    point *point; /* half of a ball, the coarse shells' points first, both by z, y, x */
    int64_t points, coarse, radius;
    double *scale_b;         /* by shell */
    int64_t axis;            /* displacements an axis of the coarse grid */
    float *phase;            /* [2·COARSE_RADIUS + 1,2,axis] cos and sin */
    deco_registration *best; /* [tasks] */
} registering;

static double distance(const int32_t k[3]) { return sqrt((double)(k[0] * k[0] + k[1] * k[1] + k[2] * k[2])); }

static float value_at(const deco_voxel_map *v, int64_t x, int64_t y, int64_t z)
{
    return v->map[((z + v->reach) * v->side + y + v->reach) * v->side + x + v->reach];
}

/* The point opposite to cell i is cell side³ - 1 - i. */
static deco_status list_parts(registering *s)
{
    int64_t cells = s->b->side * s->b->side * s->b->side;
    deco_status st = deco_alloc(&s->parts, (size_t)cells, 2 * sizeof *s->parts, "a registration");

    for (int64_t i = 0; !st && i < cells; i++) {
        float here = s->b->map[i], there = s->b->map[cells - 1 - i];
        s->parts[2 * i] = 0.5F * (here + there), s->parts[2 * i + 1] = 0.5F * (here - there);
    }
    return st;
}

/* Even and odd part of b at k @ M, trilinear. */
static void parts_at(float out[2], const registering *s, const int32_t k[3], const float M[9])
{
    int64_t n = s->b->side, at[3];
    float f[3], mix[4];

    for (int j = 0; j < 3; j++) {
        float v = (float)k[0] * M[j] + (float)k[1] * M[3 + j] + (float)k[2] * M[6 + j] + (float)s->b->reach;
        at[j] = (int64_t)v;
        f[j] = v - (float)at[j];
    }
    const float *p = s->parts + 2 * ((at[2] * n + at[1]) * n + at[0]), *q = p + 2 * n * n;
    float low = (1 - f[2]) * (1 - f[1]), low_y = (1 - f[2]) * f[1], high = f[2] * (1 - f[1]), high_y = f[2] * f[1];
    for (int i = 0; i < 4; i++)
        mix[i] = low * p[i] + low_y * p[2 * n + i] + high * q[i] + high_y * q[2 * n + i];
    out[0] = mix[0] + f[0] * (mix[2] - mix[0]);
    out[1] = mix[1] + f[0] * (mix[3] - mix[1]);
}

static int by_place(const void *a, const void *b)
{
    const point *p = a, *q = b;
    int far = p->shell > COARSE_RADIUS, other = q->shell > COARSE_RADIUS;
    if (far != other)
        return far - other;
    for (int i = 2; i >= 0; i--)
        if (p->k[i] != q->k[i])
            return p->k[i] < q->k[i] ? -1 : 1;
    return 0;
}

static bool in_half(const int32_t k[3]) { return k[2] > 0 || (k[2] == 0 && (k[1] > 0 || (k[1] == 0 && k[0] > 0))); }

/* The mirror looks at (x, y, -z), whose parts are those of a point of this half ball. */
static void find_mirrors(registering *s)
{
    for (int64_t i = 0; i < s->coarse; i++) {
        point *p = &s->point[i], wanted = {.k = {p->k[0], p->k[1], -p->k[2]}, .shell = p->shell};
        p->sign = in_half(wanted.k) ? 1 : -1;
        for (int j = 0; j < 3 && p->sign < 0; j++)
            wanted.k[j] = -wanted.k[j];
        const point *found = bsearch(&wanted, s->point, (size_t)s->coarse, sizeof *s->point, by_place);
        p->mirror = (int32_t)(found - s->point);
    }
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

    s->radius = radius;
    TRY(deco_alloc(&scale_a, (size_t)radius + 2, sizeof *scale_a, "a registration"));
    TRY(deco_alloc(&s->scale_b, (size_t)radius + 2, sizeof *s->scale_b, "a registration"));
    TRY(deco_alloc(&s->point, (size_t)(side * side * side), sizeof *s->point, "a registration"));
    shell_scales(scale_a, s->a, radius);
    shell_scales(s->scale_b, s->b, radius);
    for (int64_t i = 0; i < side * side * side; i++) {
        point p = {.k = {(int32_t)(i % side - radius), (int32_t)(i / side % side - radius), (int32_t)(i / side / side - radius)}};
        if (!in_half(p.k) || distance(p.k) > (double)radius)
            continue;
        p.shell = (int32_t)lrint(distance(p.k));
        double here = value_at(s->a, p.k[0], p.k[1], p.k[2]), there = value_at(s->a, -p.k[0], -p.k[1], -p.k[2]),
               by = scale_a[p.shell] * s->scale_b[p.shell];
        p.even = (float)(by * 0.5 * (here + there)), p.odd = (float)(by * 0.5 * (here - there));
        s->coarse += p.shell <= COARSE_RADIUS;
        s->point[s->points++] = p;
    }
    qsort(s->point, (size_t)s->points, sizeof *s->point, by_place);
    find_mirrors(s);
out:
    free(scale_a);
    return st;
}

/* cos and sin of 2π k t/D for k = -radius ... radius along each axis. */
static void axis_phases(double *table, const double t[3], int64_t radius, int64_t D)
{
    for (int d = 0; d < 3; d++)
        for (int64_t k = -radius; k <= radius; k++, table += 2) {
            double phase = 6.283185307179586476925 * (double)k * t[d] / (double)D;
            table[0] = cos(phase), table[1] = sin(phase);
        }
}

/* Sum over the first n points of a(k) times b(k @ M), displaced by t: a·b of even and odd parts, turned by the phase. Divided by n: 1 where
 * they are alike. `table` has room for the phases. */
static double correlate(const registering *s, double *table, const double M[9], const double t[3], int64_t n)
{
    double sum = 0;
    float turned[9];
    const double *x = table + 2 * s->radius, *y = x + 2 * (2 * s->radius + 1), *z = y + 2 * (2 * s->radius + 1);

    axis_phases(table, t, s->radius, s->a->D);
    for (int i = 0; i < 9; i++)
        turned[i] = (float)M[i];
    for (int64_t i = 0; i < n; i++) {
        const point *p = &s->point[i];
        const double *px = x + (ptrdiff_t)2 * p->k[0], *py = y + (ptrdiff_t)2 * p->k[1], *pz = z + (ptrdiff_t)2 * p->k[2];
        float b[2];
        parts_at(b, s, p->k, turned);
        double c = px[0] * py[0] - px[1] * py[1], d = px[0] * py[1] + px[1] * py[0];
        sum += (c * pz[0] - d * pz[1]) * (p->even * b[0] + p->odd * b[1]) + (c * pz[1] + d * pz[0]) * (p->odd * b[0] - p->even * b[1]);
    }
    return sum / (double)n;
}

/* ---- coarse ------------------------------------------------------------------------------------------------------ */

/* One number a displacement along one axis, both parts. */
typedef struct phased {
    float re[MOST_STEPS_AXIS], im[MOST_STEPS_AXIS];
} phased;

static void clear(phased *p, int64_t n) { memset(p, 0, (size_t)n * sizeof *p); }

/* to[i] += (re + i im) times e^(-iφ) for every displacement along an axis; `phase` at the point's place on it. */
static void add_turned(phased *to, float re, float im, const float *phase, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        to->re[i] += re * phase[i] + im * phase[n + i];
        to->im[i] += im * phase[i] - re * phase[n + i];
    }
}

static const float *phase_at(const registering *s, int32_t k) { return s->phase + 2 * s->axis * (k + COARSE_RADIUS); }

/* A line along x is done: to[y] += the line, turned by each displacement along y. */
static void add_line(phased *to, const phased *line, const float *phase, int64_t n)
{
    for (int64_t y = 0; y < n; y++)
        for (int64_t x = 0; x < n; x++) {
            to[y].re[x] += line->re[x] * phase[y] + line->im[x] * phase[n + y];
            to[y].im[x] += line->im[x] * phase[y] - line->re[x] * phase[n + y];
        }
}

/* A plane is done; of what it adds only the real part is wanted. */
static void add_plane(float *sum, const phased *plane, const float *phase, int64_t n)
{
    for (int64_t z = 0; z < n; z++)
        for (int64_t y = 0; y < n; y++)
            for (int64_t x = 0; x < n; x++)
                sum[(z * n + y) * n + x] += plane[y].re[x] * phase[z] + plane[y].im[x] * phase[n + z];
}

/* All displacements of the grid for the products of one rotation. Phases are products of those along x, y and z: sums are made along x, then y,
 * then z. b: the parts at the points. */
static void best_displacement(const registering *s, const float (*b)[2], const double M[9], deco_registration *best)
{
    int64_t n = s->axis;
    float sum[MOST_STEPS_AXIS * MOST_STEPS_AXIS * MOST_STEPS_AXIS] = {0};
    phased line, plane[MOST_STEPS_AXIS];

    clear(&line, 1);
    clear(plane, n);
    for (int64_t i = 0; i < s->coarse; i++) {
        const point *p = &s->point[i], *next = i + 1 < s->coarse ? p + 1 : NULL;
        const float *of = b[best->mirrored ? p->mirror : i];
        float even = of[0], odd = best->mirrored ? p->sign * of[1] : of[1];
        add_turned(&line, p->even * even + p->odd * odd, p->odd * even - p->even * odd, phase_at(s, p->k[0]), n);
        if (next && next->k[1] == p->k[1] && next->k[2] == p->k[2])
            continue;
        add_line(plane, &line, phase_at(s, p->k[1]), n);
        clear(&line, 1);
        if (next && next->k[2] == p->k[2])
            continue;
        add_plane(sum, plane, phase_at(s, p->k[2]), n);
        clear(plane, n);
    }
    for (int64_t c = 0; c < n * n * n; c++) {
        double correlation = (double)sum[c] / (double)s->coarse;
        if (correlation > best->correlation) {
            best->correlation = correlation;
            memcpy(best->M, M, sizeof best->M);
            const int64_t at[3] = {c % n - n / 2, c / n % n - n / 2, c / n / n - n / 2};
            for (int d = 0; d < 3; d++)
                best->t[d] = coarse_step_px * (double)at[d];
        }
    }
}

static int64_t tasks_a_hand(void) { return (deco_so3_count(GRID_ORDER) + ROTATIONS_A_TASK - 1) / ROTATIONS_A_TASK; }

/* Rotations, each as it is and with the mirror in front: best[task] and best[tasks + task]. */
static deco_status search_task(void *context, int64_t task, int worker)
{
    deco_status st = DECO_OK;
    registering *s = context;
    int64_t count = deco_so3_count(GRID_ORDER), first = task * ROTATIONS_A_TASK;
    float(*b)[2] = NULL;

    (void)worker;
    TRY(deco_alloc(&b, (size_t)s->coarse, sizeof *b, "a registration"));
    for (int hand = 0; hand < 2; hand++)
        s->best[hand * tasks_a_hand() + task] = (deco_registration){.correlation = -INFINITY, .mirrored = hand};
    for (int64_t i = first; i < count && i < first + ROTATIONS_A_TASK; i++) {
        double q[4], M[9];
        float turned[9];
        deco_so3_quaternion(q, GRID_ORDER, i);
        deco_rotation_from_quaternion(M, q);
        for (int j = 0; j < 9; j++)
            turned[j] = (float)M[j];
        for (int64_t k = 0; k < s->coarse; k++)
            parts_at(b[k], s, s->point[k].k, turned);
        best_displacement(s, (const float(*)[2])b, M, &s->best[task]);
        for (int j = 6; j < 9; j++)
            M[j] = -M[j];
        best_displacement(s, (const float(*)[2])b, M, &s->best[tasks_a_hand() + task]);
    }
out:
    free(b);
    return st;
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

/* Steps along each of six unknowns over the first n points, halved when none of them helps. */
static void refine(const registering *s, deco_registration *r, double *table, int64_t n, double angle, double finest)
{
    double step = coarse_step_px / 2 * angle / widest_rad;

    r->correlation = correlate(s, table, r->M, r->t, n);
    while (angle > finest) {
        bool better = false;
        for (int u = 0; u < (s->axis > 1 ? 12 : 6); u++) {
            double w[3] = {0}, M[9], t[3] = {r->t[0], r->t[1], r->t[2]}, sign = u % 2 ? -1 : 1;
            if (u < 6)
                w[u / 2] = sign * angle;
            else
                t[u / 2 - 3] += sign * step;
            turn(M, r->M, w);
            double c = correlate(s, table, M, t, n);
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

static deco_status refine_one(registering *s, int64_t which, int64_t n, double angle, double finest)
{
    double *table = NULL;
    deco_status st = deco_alloc(&table, (size_t)(2 * s->radius + 1), 3 * 2 * sizeof *table, "a registration");

    if (!st)
        refine(s, &s->best[which], table, n, angle, finest);
    free(table);
    return st;
}

static deco_status refine_coarsely(void *context, int64_t task, int worker)
{
    registering *s = context;
    (void)worker;
    return refine_one(s, task, s->coarse, widest_rad, middle_rad);
}

static deco_status refine_finely(void *context, int64_t task, int worker)
{
    registering *s = context;
    (void)worker;
    return refine_one(s, task, s->points, middle_rad, finest_rad);
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
    int64_t tasks = tasks_a_hand();

    TRY(list_parts(&s));
    TRY(list_points(&s, radius));
    s.axis = 2 * (int64_t)(reach_px / coarse_step_px) + 1;
    s.axis = s.axis > MOST_STEPS_AXIS ? MOST_STEPS_AXIS : s.axis;
    TRY(deco_alloc(&s.phase, (size_t)(2 * s.axis * (2 * COARSE_RADIUS + 1)), sizeof *s.phase, "a registration"));
    for (int64_t k = -COARSE_RADIUS; k <= COARSE_RADIUS; k++)
        for (int64_t i = 0; i < s.axis; i++) {
            int64_t steps = i - s.axis / 2;
            double phase = 6.283185307179586476925 * (double)(k * steps) * coarse_step_px / (double)a->D;
            s.phase[2 * s.axis * (k + COARSE_RADIUS) + i] = (float)cos(phase);
            s.phase[2 * s.axis * (k + COARSE_RADIUS) + s.axis + i] = (float)sin(phase);
        }
    TRY(deco_alloc(&s.best, 2 * (size_t)tasks, sizeof *s.best, "a registration"));
    TRY(deco_pool_run(pool, search_task, &s, tasks));
    qsort(s.best, 2 * (size_t)tasks, sizeof *s.best, by_correlation);
    TRY(deco_pool_run(pool, refine_coarsely, &s, COARSE_FINALISTS));
    qsort(s.best, COARSE_FINALISTS, sizeof *s.best, by_correlation);
    TRY(deco_pool_run(pool, refine_finely, &s, FINALISTS));
    qsort(s.best, FINALISTS, sizeof *s.best, by_correlation);
    *out = s.best[0];
out:
    free(s.parts);
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
