/* Densities made of images, and brought into one frame: both of a sum of Gaussians whose transform is known. */
#include "training/voxel_register.h"

#include "base/philox.h"
#include "formulas/rotation.h"
#include "geometry/lattice.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { D = 32, RADIUS = 8, BLOBS = 5, IMAGES = 400, CHUNKS = 3 };

static const double blob[BLOBS][4] = {
    {-5, 1, 2, 1}, {4, 4, -3, 1.3}, {1, -6, 1, 0.8}, {3, -1, 6, 0.7}, {-2, 5, -5, 1.1}}; /* x y z weight */

/* Hartley value of the blobs turned by M and moved by t: v'(r) = v((r - t) Mᵀ), so its transform is that at k @ M with the phase of t. */
static double hartley(const double k[3], const double M[9], const double t[3])
{
    double re = 0, im = 0, p[3], q2 = 0;
    const double per = 6.283185307179586476925 / D;

    for (int j = 0; j < 3; j++) {
        p[j] = k[0] * M[j] + k[1] * M[3 + j] + k[2] * M[6 + j];
        q2 += p[j] * p[j];
    }
    for (int b = 0; b < BLOBS; b++) {
        double phase = per * (p[0] * blob[b][0] + p[1] * blob[b][1] + p[2] * blob[b][2] + k[0] * t[0] + k[1] * t[1] + k[2] * t[2]);
        re += blob[b][3] * cos(phase);
        im -= blob[b][3] * sin(phase);
    }
    return exp(-0.5 * per * per * 4 * q2) * (re - im);
}

static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, nowhere[3] = {0};

typedef struct place {
    deco_device *dev;
    deco_half_plane half;
    deco_half_image image;
    float *half_ctf2;
} place;

static void half_create(place *p)
{
    deco_mask *m;
    assert_int_equal(deco_device_create(&p->dev, "cpu", 2), DECO_OK);
    assert_int_equal(deco_mask_create(&m, D + 1, RADIUS), DECO_OK);
    p->half = (deco_half_plane){.radius = RADIUS, .points = m->P / 2, .padded = m->P / 2};
    size_t n = (size_t)p->half.points * sizeof(float);
    p->half.kx = malloc(n), p->half.ky = malloc(n), p->image.at = malloc(n), p->image.opposite = malloc(n), p->half_ctf2 = malloc(n);
    for (int64_t j = 0; j < p->half.points; j++) {
        int64_t index = m->index[p->half.points + j];
        p->half.kx[j] = (float)(index % m->L - m->L / 2), p->half.ky[j] = (float)(index / m->L - m->L / 2);
    }
    deco_mask_free(m);
}

static void half_free(place *p)
{
    free(p->half.kx), free(p->half.ky), free(p->image.at), free(p->image.opposite), free(p->half_ctf2);
    deco_device_free(p->dev);
}

/* Slices of the blobs at random rotations, each with a CTF of one number, laid back in. */
static void lay_in(deco_voxel_map *v, place *p, const double M[9], const double t[3])
{
    deco_random r = deco_random_at(4, DECO_STREAM_SAMPLE, 0);

    for (int i = 0; i < IMAGES; i++) {
        double u[3], q[4], R[9];
        float R32[9];
        for (int j = 0; j < 3; j++)
            u[j] = deco_random_uniform(&r);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        double c = 0.3 + deco_random_uniform(&r);
        for (int j = 0; j < 9; j++)
            R32[j] = (float)R[j];
        for (int64_t j = 0; j < p->half.points; j++) {
            double k[3], minus[3];
            for (int d = 0; d < 3; d++) {
                k[d] = p->half.kx[j] * R[d] + p->half.ky[j] * R[3 + d];
                minus[d] = -k[d];
            }
            p->image.at[j] = (float)(c * c * hartley(k, M, t));
            p->image.opposite[j] = (float)(c * c * hartley(minus, M, t));
            p->half_ctf2[j] = (float)(0.5 * c * c);
        }
        deco_voxel_map_add(v, i % CHUNKS, R32, 1, p->image, p->half_ctf2, &p->half);
    }
}

/* Correlation of the map with the blobs over the points up to a radius. */
static double likeness(const deco_voxel_map *v, int radius)
{
    double xy = 0, xx = 0, yy = 0;
    for (int z = -radius; z <= radius; z++)
        for (int y = -radius; y <= radius; y++)
            for (int x = -radius; x <= radius; x++) {
                double k[3] = {x, y, z}, a, b;
                if (x * x + y * y + z * z > radius * radius || (!x && !y && !z))
                    continue;
                a = deco_voxel_map_value((void *)v, k), b = hartley(k, identity, nowhere);
                xy += a * b, xx += a * a, yy += b * b;
            }
    return xy / sqrt(xx * yy);
}

static void slices_laid_back_make_the_density_again(void **state)
{
    place p;
    deco_voxel_map *v;
    (void)state;
    half_create(&p);
    assert_int_equal(deco_voxel_map_create(&v, p.dev, D, RADIUS, 0.45 * D, CHUNKS), DECO_OK);
    lay_in(v, &p, identity, nowhere);
    assert_int_equal(deco_voxel_map_update(v, 1, RADIUS), DECO_OK);
    assert_true(likeness(v, RADIUS - 1) >
                0.96); /* laying in spreads a value over its neighbours, which costs the outer shells some per cent */
    assert_true(deco_voxel_map_value(v, (double[3]){2 * RADIUS, 0, 0}) == 0);
    deco_voxel_map_free(v);
    half_free(&p);
}

/* Older images fade: sums of the other density are gone after as many updates. */
static void sums_fade(void **state)
{
    place p;
    deco_voxel_map *v;
    const double third[9] = {0, 1, 0, 0, 0, 1, 1, 0, 0};
    (void)state;
    half_create(&p);
    assert_int_equal(deco_voxel_map_create(&v, p.dev, D, RADIUS, 0.45 * D, CHUNKS), DECO_OK);
    lay_in(v, &p, third, nowhere);
    assert_int_equal(deco_voxel_map_update(v, 1, RADIUS), DECO_OK);
    assert_true(likeness(v, RADIUS - 1) < 0.8);
    lay_in(v, &p, identity, nowhere);
    assert_int_equal(deco_voxel_map_update(v, 0, RADIUS), DECO_OK);
    assert_true(likeness(v, RADIUS - 1) > 0.96);
    deco_voxel_map_free(v);
    half_free(&p);
}

/* b is a, turned and moved, and mirrored: the registration finds how, and a pose against b becomes one against a. */
static void a_turned_and_moved_density_is_brought_back(void **state)
{
    place p;
    deco_voxel_map *a, *b;
    deco_random r = deco_random_at(9, DECO_STREAM_SAMPLE, 0);
    (void)state;
    half_create(&p);
    assert_int_equal(deco_voxel_map_create(&a, p.dev, D, RADIUS, 0.48 * D, CHUNKS), DECO_OK);
    assert_int_equal(deco_voxel_map_create(&b, p.dev, D, RADIUS, 0.48 * D, CHUNKS), DECO_OK);
    lay_in(a, &p, identity, nowhere);
    assert_int_equal(deco_voxel_map_update(a, 1, RADIUS), DECO_OK);
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        double q[4] = {0.8, 0.3, -0.4, 0.33}, M[9], t[3] = {1.5, -2, 0.7}, truth = 0, model = 0, both = 0;
        deco_registration g;
        deco_rotation_from_quaternion(M, q);
        for (int j = 6; mirrored && j < 9; j++)
            M[j] = -M[j];
        lay_in(b, &p, M, t);
        assert_int_equal(deco_voxel_map_update(b, 0, RADIUS), DECO_OK);
        assert_int_equal(deco_voxel_register(&g, a, b, RADIUS - 1, 6), DECO_OK);
        assert_true(g.correlation > 0.8);
        assert_int_equal(g.mirrored, mirrored);
        for (int i = 0; i < 50; i++) { /* slices of b at a pose, and of a at the pose it becomes: one image */
            double u[3], Rd[9];
            float R[9], R0[9], shift[2] = {0, 0};
            for (int j = 0; j < 3; j++)
                u[j] = deco_random_uniform(&r);
            deco_quaternion_from_uniform(q, u);
            deco_rotation_from_quaternion(Rd, q);
            for (int j = 0; j < 9; j++)
                R[j] = R0[j] = (float)Rd[j];
            deco_registration_apply(R, shift, &g);
            for (int64_t j = 0; j < p.half.points; j++) {
                double k[3], ka[3], minus[3], x = p.half.kx[j], y = p.half.ky[j],
                                              phase = 6.283185307179586476925 / D * (x * shift[0] + y * shift[1]);
                for (int d = 0; d < 3; d++) {
                    k[d] = x * R0[d] + y * R0[3 + d];
                    ka[d] = x * R[d] + y * R[3 + d];
                    minus[d] = -k[d];
                }
                double shifted = cos(phase) * hartley(k, M, t) + sin(phase) * hartley(minus, M, t), mine = hartley(ka, identity, nowhere);
                both += shifted * mine, truth += shifted * shifted, model += mine * mine;
            }
        }
        assert_true(both / sqrt(truth * model) > 0.99);
    }
    deco_voxel_map_free(a);
    deco_voxel_map_free(b);
    half_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_laid_back_make_the_density_again),
        cmocka_unit_test(sums_fade),
        cmocka_unit_test(a_turned_and_moved_density_is_brought_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
