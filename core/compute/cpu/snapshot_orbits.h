/* Level 0 of compute/snapshot.h: every shift of a grid for a block of slices and their quarter turns. Part of snapshot_kernels.h, which gives it
 * its vectors. */
/* A block of slices, turned, against an image, and the scratch of that: what a row's products fold to, and the rows' sums, of a turn and
 * of the one half a turn further. */
typedef struct orbit {
    const deco_orbit_grid *grid;
    const float *slices;
    const int32_t *turned;
    deco_half_image image;
    float *fold;    /* [radius + 1,4,VN]: even in kx of a and b, odd of a and b */
    float *sums[2]; /* [n,radius + 1,2,VN]: P, Q of a shift along x */
} orbit;

/* a = Y(k) S(k) + Y(-k) S(-k), b = Y(-k) S(k) - Y(k) S(-k) at point j of the half plane; `turns` 2: after half a turn, too, which
 * exchanges S(k) and S(-k). */
KERNEL inline __attribute__((always_inline)) void product(vec *a, vec *b, const orbit *o, int64_t j, const int turns)
{
    int64_t points = o->grid->half->points, at = o->turned[j], opposite = at < points ? at + points : at - points;
    vec s = load(o->slices + at * VN), m = load(o->slices + opposite * VN), u = splat(o->image.at[j]), v = splat(o->image.opposite[j]);
    a[0] = fma_(u, s, v * m);
    b[0] = fma_(v, s, -(u * m));
    if (turns > 1) {
        a[1] = fma_(u, m, v * s);
        b[1] = fma_(v, m, -(u * s));
    }
}

KERNEL inline void store_fold(float *fold, vec even_a, vec even_b, vec odd_a, vec odd_b)
{
    store(fold, even_a), store(fold + VN, even_b), store(fold + 2 * VN, odd_a), store(fold + 3 * VN, odd_b);
}

KERNEL inline void fold_row(const orbit *o, int64_t y)
{
    const deco_half_plane *half = o->grid->half;
    int64_t reach = half->reach[y], first = half->row[y];
    vec a, b, c, d;
    if (y == 0) { /* the other half of this row belongs to the other half plane */
        for (int64_t x = 1; x <= reach; x++) {
            product(&a, &b, o, first + x - 1, 1);
            store_fold(o->fold + 4 * x * VN, a, b, a, b);
        }
        return;
    }
    product(&a, &b, o, first + reach, 1);
    store_fold(o->fold, a, b, (vec){0}, (vec){0});
    for (int64_t x = 1; x <= reach; x++) {
        product(&a, &b, o, first + reach + x, 1);
        product(&c, &d, o, first + reach - x, 1);
        store_fold(o->fold + 4 * x * VN, a + c, b + d, a - c, b - d);
    }
}

/* Sums of a row over kx for a magnitude of the shift: Σ a cos, Σ b cos, Σ a sin, Σ b sin. */
typedef struct row_sums {
    vec ac, bc, as, bs;
} row_sums;

/* P = Σ a cos + b sin, Q = Σ b cos - a sin of both signs of the shift's magnitude i. */
KERNEL inline __attribute__((always_inline)) void store_sums(float *sums, const deco_orbit_grid *g, int64_t y, int64_t i, const row_sums *r)
{
    int64_t rows = g->half->radius + 1, plus = g->n / 2 + i, minus = g->n - 1 - plus;
    float *up = sums + (plus * rows + y) * 2 * VN, *down = sums + (minus * rows + y) * 2 * VN;
    store(up, r->ac + r->bs), store(up + VN, r->bc - r->as);
    store(down, r->ac - r->bs), store(down + VN, r->bc + r->as);
}

/* Sums of a folded row for `count` magnitudes. Even and odd parts in two runs: eight chains of additions each, which no processor's
 * registers are too few for. */
KERNEL inline __attribute__((always_inline)) void sum_along_x(const orbit *o, float *sums, int64_t y, int first, const int count)
{
    const deco_orbit_grid *g = o->grid;
    const int64_t step = g->magnitudes, reach = g->half->reach[y];
    row_sums r[4] = {{{0}, {0}, {0}, {0}}};
    for (int64_t x = y == 0; x <= reach; x++) {
        vec a = load(o->fold + 4 * x * VN), b = load(o->fold + (4 * x + 1) * VN);
        for (int i = 0; i < count; i++) {
            vec c = splat(g->cosine[x * step + first + i]);
            r[i].ac = fma_(c, a, r[i].ac);
            r[i].bc = fma_(c, b, r[i].bc);
        }
    }
    for (int64_t x = 1; x <= reach; x++) {
        vec a = load(o->fold + (4 * x + 2) * VN), b = load(o->fold + (4 * x + 3) * VN);
        for (int i = 0; i < count; i++) {
            vec s = splat(g->sine[x * step + first + i]);
            r[i].as = fma_(s, a, r[i].as);
            r[i].bs = fma_(s, b, r[i].bs);
        }
    }
    for (int i = 0; i < count; i++)
        store_sums(sums, g, y, first + i, &r[i]);
}

/* The same for all magnitudes of a grid that has few, straight from the products: 4·count·turns chains stay in registers, and the fold need
 * not be written. Added up in the same order. */
KERNEL inline __attribute__((always_inline)) void sum_row(const orbit *o, int64_t y, const int count, const int turns)
{
    const deco_orbit_grid *g = o->grid;
    const int64_t reach = g->half->reach[y], first = g->half->row[y];
    row_sums r[2][4] = {{{{0}, {0}, {0}, {0}}}};
    vec a[2], b[2], c[2], d[2];
    if (y > 0) {
        product(a, b, o, first + reach, turns);
        for (int t = 0; t < turns; t++)
            for (int i = 0; i < count; i++) {
                r[t][i].ac = fma_(splat(g->cosine[i]), a[t], r[t][i].ac);
                r[t][i].bc = fma_(splat(g->cosine[i]), b[t], r[t][i].bc);
            }
    }
    for (int64_t x = 1; x <= reach; x++) {
        const float *cosine = g->cosine + x * count, *sine = g->sine + x * count;
        product(a, b, o, y ? first + reach + x : first + x - 1, turns);
        if (y > 0)
            product(c, d, o, first + reach - x, turns);
        for (int t = 0; t < turns; t++) {
            vec even_a = a[t], even_b = b[t], odd_a = a[t], odd_b = b[t];
            if (y > 0)
                even_a += c[t], even_b += d[t], odd_a -= c[t], odd_b -= d[t];
            for (int i = 0; i < count; i++) {
                r[t][i].ac = fma_(splat(cosine[i]), even_a, r[t][i].ac);
                r[t][i].bc = fma_(splat(cosine[i]), even_b, r[t][i].bc);
                r[t][i].as = fma_(splat(sine[i]), odd_a, r[t][i].as);
                r[t][i].bs = fma_(splat(sine[i]), odd_b, r[t][i].bs);
            }
        }
    }
    for (int t = 0; t < turns; t++)
        for (int i = 0; i < count; i++)
            store_sums(o->sums[t], g, y, i, &r[t][i]);
}

KERNEL inline __attribute__((always_inline)) void sum_rows(const orbit *o, const int count, const int turns)
{
    sum_row(o, 0, count, turns);
    for (int64_t y = 1; y <= o->grid->half->radius; y++)
        sum_row(o, y, count, turns);
}

/* Sums of all rows at a turn and, from `turned_on`, at the one half a turn further. How many chains fit depends on the registers: AVX-512 has
 * 32, the others 16. */
KERNEL void sum_turns(orbit *o, const int32_t *turned_on)
{
    const deco_orbit_grid *g = o->grid;
    orbit on = *o;
    on.turned = turned_on;
    on.sums[0] = o->sums[1];
    if (VN == 16 && g->magnitudes == 1) {
        sum_rows(o, 1, 2);
    } else if (VN == 16 && g->magnitudes == 2) {
        sum_rows(o, 2, 2);
    } else if (g->magnitudes == 1) {
        sum_rows(o, 1, 1), sum_rows(&on, 1, 1);
    } else if (g->magnitudes == 2) {
        sum_rows(o, 2, 1), sum_rows(&on, 2, 1);
    } else if (VN == 16 && g->magnitudes == 4) {
        sum_rows(o, 4, 1), sum_rows(&on, 4, 1);
    } else {
        for (const orbit *at = o; at; at = at == o ? &on : NULL)
            for (int64_t y = 0; y <= g->half->radius; y++) {
                fold_row(at, y);
                for (int m = 0; m < g->magnitudes; m += 4)
                    switch (g->magnitudes - m) {
                    case 1: sum_along_x(at, at->sums[0], y, m, 1); break;
                    case 2: sum_along_x(at, at->sums[0], y, m, 2); break;
                    case 3: sum_along_x(at, at->sums[0], y, m, 3); break;
                    default: sum_along_x(at, at->sums[0], y, m, 4);
                    }
            }
    }
}

/* dot = Σ_ky cos P + sin Q for `count` magnitudes of the shift along y and both signs; the greatest of all less its bias is kept. */
KERNEL inline __attribute__((always_inline)) void sum_along_y(vec *best, ivec *which, const deco_orbit_grid *g, const float *of_turn, int x,
                                                              int first, const int count)
{
    const int64_t rows = g->half->radius + 1, step = g->magnitudes;
    const float *sums = of_turn + x * rows * 2 * VN;
    vec even[4] = {{0}}, odd[4] = {{0}};
    for (int64_t y = 0; y < rows; y++) {
        vec p = load(sums + 2 * y * VN), q = load(sums + (2 * y + 1) * VN);
        for (int i = 0; i < count; i++) {
            even[i] = fma_(splat(g->cosine[y * step + first + i]), p, even[i]);
            odd[i] = fma_(splat(g->sine[y * step + first + i]), q, odd[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        int plus = (g->n / 2 + first + i) * g->n + x, minus = (g->n - 1 - g->n / 2 - first - i) * g->n + x;
        keep_greater_(best, which, (even[i] + odd[i]) - splat(g->bias[plus]), plus);
        keep_greater_(best, which, (even[i] - odd[i]) - splat(g->bias[minus]), minus);
    }
}

/* ½ |CTF · slice|² of the block at a quarter turn. */
KERNEL inline vec orbit_norm(const orbit *o, const float *power, const float *half_ctf2)
{
    int64_t points = o->grid->half->points;
    vec sum[4] = {{0}};
    for (int64_t j = 0; j < points; j += 4)
        for (int i = 0; i < 4; i++) { /* four chains, in registers */
            if (j + i == points)
                return (sum[0] + sum[1]) + (sum[2] + sum[3]);
            int64_t at = o->turned[j + i] < points ? o->turned[j + i] : o->turned[j + i] - points;
            sum[i] = fma_(splat(half_ctf2[j + i]), load(power + at * VN), sum[i]);
        }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

KERNEL void best_of_turn(vec *best, ivec *which, const deco_orbit_grid *g, const float *sums)
{
    for (int x = 0; x < g->n; x++)
        for (int m = 0; m < g->magnitudes; m += 4)
            switch (g->magnitudes - m) {
            case 1: sum_along_y(best, which, g, sums, x, m, 1); break;
            case 2: sum_along_y(best, which, g, sums, x, m, 2); break;
            case 3: sum_along_y(best, which, g, sums, x, m, 3); break;
            default: sum_along_y(best, which, g, sums, x, m, 4);
            }
}

KERNEL void orbits(float *score, int32_t *shift, const float *slices, const float *power, deco_half_image image, const float *half_ctf2,
                   const deco_orbit_grid *grid, float *scratch)
{
    const int64_t rows = grid->half->radius + 1, points = grid->half->points;
    float *sums = scratch + 4 * rows * VN;
    orbit o = {.grid = grid, .slices = slices, .image = image, .fold = scratch, .sums = {sums, sums + 2 * rows * grid->n * VN}};
    for (int turn = 0; turn < 2; turn++) {
        o.turned = grid->turned + turn * points;
        vec norm = orbit_norm(&o, power, half_ctf2); /* half a turn exchanges k and -k */
        sum_turns(&o, grid->turned + (turn + 2) * points);
        for (int t = 0; t < 2; t++) {
            vec best = splat(-INFINITY);
            ivec which = {0};
            best_of_turn(&best, &which, grid, o.sums[t]);
            store(score + (turn + 2 * t) * VN, norm - best);
            memcpy(shift + (turn + 2 * t) * VN, &which, sizeof which);
        }
    }
}
