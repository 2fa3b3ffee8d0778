/* The pictures: whole PNG files with every cluster's colour, for a handful of particles and for a million. */
#include "analysis/figures.h"
#include "analysis/gallery.h"
#include "analysis/agreement.h"
#include "support/scratch.h"
#include "unit/analysis/partitions.h"
#include "analysis/palette.h"
#include "base/file.h"
#include <cairo.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <time.h>

static deco_pool *pool;

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static bool is_colour(const unsigned char *pixel, deco_colour c)
{
    return abs(pixel[2] - (int)(255 * c.r + 0.5)) < 3 && abs(pixel[1] - (int)(255 * c.g + 0.5)) < 3 &&
           abs(pixel[0] - (int)(255 * c.b + 0.5)) < 3;
}

/* Pixels of that colour left of the legend. */
static int pixels_of(cairo_surface_t *s, deco_colour c, int width)
{
    const unsigned char *data = cairo_image_surface_get_data(s);
    int n = 0;
    for (int y = 0; y < cairo_image_surface_get_height(s); y++)
        for (int x = 0; x < width; x++)
            n += is_colour(data + y * cairo_image_surface_get_stride(s) + 4 * x, c);
    return n;
}

static cairo_surface_t *picture(const char *path)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    assert_in_range(cairo_image_surface_get_width(s), 1000, 3000);
    assert_in_range(cairo_image_surface_get_height(s), 800, 2000);
    return s;
}

/* A clustering by turns, each cluster's centre being its first row. */
static deco_clustering by_turns(int64_t N, int64_t K)
{
    deco_clustering c = {.found = {.K = K, .N = N}, .method = "Gaussian mixture"};
    c.found.label = malloc((size_t)N * sizeof(int32_t));
    c.row = malloc((size_t)K * sizeof *c.row);
    c.size = calloc((size_t)K, sizeof *c.size);
    for (int64_t i = 0; i < N; i++) {
        c.found.label[i] = (int32_t)(i % K);
        c.size[i % K]++;
    }
    for (int64_t k = 0; k < K; k++)
        c.row[k] = k;
    return c;
}

static void draw(const char *name, const float *x, int64_t N, int64_t Z, int64_t K)
{
    float *scores = malloc((size_t)(N * Z) * sizeof *scores);
    double *place = malloc((size_t)(10 * Z) * sizeof *place);
    deco_clustering c = by_turns(N, K);
    deco_pca p;
    deco_gallery g = {.z = x, .scores = scores, .umap = Z == 2 && N < 100000 ? x : NULL, .pca = &p, .N = N, .Z = Z};

    ok(deco_pca_fit(&p, scores, x, N, Z, pool));
    ok(deco_gallery_clusters(scratch("."), &g, &c));
    cairo_surface_destroy(picture(scratch("z_pca.png")));
    ok(deco_gallery_planes(scratch("."), &g));
    ok(deco_pca_traverse(place, &p, scores, N, Z - 1, 10));
    ok(deco_gallery_traversal(scratch("."), &g, Z - 1, place, 10));
    cairo_surface_destroy(picture(scratch("pca_traversal.png")));
    ok(rename(scratch("z_pca.png"), scratch(name)) ? DECO_E_FILE : DECO_OK);
    deco_clustering_free(&c);
    deco_pca_free(&p);
    free(scores);
    free(place);
}

static void every_cluster_shows_in_its_colour(void **state)
{
    float *x = clouds(900, 3, 3, 15, NULL);
    cairo_surface_t *s;

    draw("three.png", x, 900, 3, 3);
    s = picture(scratch("three.png"));
    for (int k = 0; k < 3; k++)
        assert_true(pixels_of(s, deco_palette_colour(k), 1150) > 200);
    assert_true(pixels_of(s, (deco_colour){1, 1, 1}, 1150) > 1150 * 400); /* dark on white */
    cairo_surface_destroy(s);
    free(x);
}

static void a_million_particles_take_seconds(void **state)
{
    int64_t N = 1000000;
    float *x = clouds(N, 2, 2, 8, NULL);
    clock_t start = clock();

    draw("million.png", x, N, 2, 2);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 60); /* 3 here, for six figures; 15 under sanitizers */
    free(x);
}

static void odd_latents_are_drawn_too(void **state)
{
    float *x = clouds(40, 1, 1, 3, NULL), same[20], far[200];

    draw("one_dimension.png", x, 40, 1, 4);
    for (int i = 0; i < 20; i++)
        same[i] = -3e-7f;
    draw("same.png", same, 10, 2, 2);
    for (int i = 0; i < 200; i++)
        far[i] = i == 7 ? 1e30f : (float)(i % 13);
    draw("far.png", far, 100, 2, 100);
    draw("single.png", far, 1, 2, 1);
    free(x);
}

static void a_picture_that_cannot_be_written_is_named(void **state)
{
    deco_clustering c = by_turns(4, 2);
    const float x[] = {1, 2, 3, 4, 5, 7, 8, 9};
    float scores[8];
    deco_pca p;

    ok(deco_pca_fit(&p, scores, x, 4, 2, pool));
    deco_plane plane = deco_plane_of_components(&p, scores, 4);
    assert_int_equal(deco_figure_clusters(scratch("nowhere/z_pca.png"), &plane, &c), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "nowhere/z_pca.png"));
    deco_pca_free(&p);
    deco_clustering_free(&c);
}

static char *text_of(const char *name)
{
    char *text;
    size_t n;
    ok(deco_file_get(&text, &n, scratch(name), 0));
    return text;
}

/* Cairo numbers what an SVG names by what the process drew before; ours must not depend on that. */
static void the_same_picture_is_the_same_file_again(void **state)
{
    float *x = clouds(300, 2, 2, 8, NULL);
    deco_plane plane = deco_plane_of_umap(x, 300);
    char *first, *again;

    ok(deco_figure_density(scratch("first.png"), &plane));
    ok(deco_figure_hexagons(scratch("between.png"), &plane, NULL));
    ok(deco_figure_density(scratch("again.png"), &plane));
    first = text_of("first.svg");
    again = text_of("again.svg");
    assert_non_null(strstr(first, "<svg"));
    assert_non_null(strstr(first, "</svg>"));
    assert_string_equal(first, again);
    free(first);
    free(again);
    free(x);
}

/* Two heaps, one of ten times as many: its hexagons and points are of the lighter colours. */
static void crowded_places_are_lighter(void **state)
{
    enum { N = 2200 };
    static float x[2 * N];
    deco_plane plane = deco_plane_of_umap(x, N);
    static const char *const names[] = {"crowd.png", "hexagons.png"};

    for (int i = 0; i < N; i++) {
        x[2 * i] = (float)(i < 2000 ? 0 : 10) + (float)(i * 37 % 101) / 101;
        x[2 * i + 1] = (float)(i * 53 % 97) / 97;
    }
    ok(deco_figure_density(scratch(names[0]), &plane));
    ok(deco_figure_hexagons(scratch(names[1]), &plane, NULL));
    for (int k = 0; k < 2; k++) {
        cairo_surface_t *s = picture(scratch(names[k]));
        const unsigned char *data = cairo_image_surface_get_data(s);
        double green[2] = {0};
        int64_t n[2] = {0};
        for (int py = 100; py < 960; py++)
            for (int px = 170; px < 1180; px++) {
                const unsigned char *at = data + py * cairo_image_surface_get_stride(s) + 4 * px;
                int side = px > 675;
                if (at[0] > 240 && at[1] > 240 && at[2] > 240)
                    continue;
                green[side] += at[1];
                n[side]++;
            }
        if (!(n[0] > 200 && n[1] > 200 && green[0] / (double)n[0] > 1.3 * green[1] / (double)n[1]))
            fail_msg("%s: %lld and %lld pixels, green %.0f and %.0f", names[k], (long long)n[0], (long long)n[1], green[0] / (double)n[0],
                     green[1] / (double)n[1]);
        cairo_surface_destroy(s);
    }
}

static void curves_leave_out_what_is_not_known(void **state)
{
    const double epoch[] = {-1, 0, 1, 2}, loss[] = {3, NAN, 1, 0.5}, none[] = {NAN, NAN, NAN, NAN}, zero[] = {0, 0, 0, 0};
    const deco_epoch_line lines[] = {{"loss", loss}, {"nothing", none}};

    ok(deco_figure_epochs(scratch("loss.png"), "Loss", "loss", false, epoch, 4, lines, 2));
    cairo_surface_t *s = picture(scratch("loss.png"));
    assert_true(pixels_of(s, deco_palette_colour(0), 1150) > 500);
    assert_int_equal(pixels_of(s, deco_palette_colour(1), cairo_image_surface_get_width(s)), 0); /* not in the legend either */
    cairo_surface_destroy(s);
    ok(deco_figure_epochs(scratch("none.png"), "Loss", "loss", true, epoch, 4, (const deco_epoch_line[]){{"zero", zero}}, 1));
    assert_int_equal(access(scratch("none.png"), F_OK), -1);
    ok(deco_figure_epochs(scratch("none.png"), "Loss", "loss", true, epoch, 0, lines, 1));
    ok(deco_figure_epochs(scratch("one.png"), "Loss", "loss", true, epoch, 1, lines, 1));
    cairo_surface_destroy(picture(scratch("one.png")));
}

static void counts_have_their_thousands_apart(void **state)
{
    char out[32];
    assert_string_equal(deco_grouped(out, 0), "0");
    assert_string_equal(deco_grouped(out, 999), "999");
    assert_string_equal(deco_grouped(out, 1000), "1,000");
    assert_string_equal(deco_grouped(out, 1234567), "1,234,567");
    assert_string_equal(deco_grouped(out, -123456), "-123,456");
}

/* Mean brightness of the picture's columns from x0 to x1, 0 to 255. */
static double brightness(cairo_surface_t *s, int x0, int x1, int y0, int y1)
{
    const unsigned char *data = cairo_image_surface_get_data(s);
    double sum = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            for (int k = 0; k < 3; k++)
                sum += data[y * cairo_image_surface_get_stride(s) + 4 * x + k];
    return sum / (3.0 * (x1 - x0) * (y1 - y0));
}

static void a_map_shows_its_three_slices_and_projections(void **state)
{
    enum { D = 16 };
    static float map[D * D * D];

    (void)state;
    for (int z = 4; z < 12; z++) /* a rod along z: a spot in the plane z = 0, a bar in the others */
        map[(z * D + D / 2) * D + D / 2] = 1;
    ok(deco_figure_map(scratch("map.png"), map, D, 2));
    cairo_surface_t *s = cairo_image_surface_create_from_png(scratch("map.png"));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    int wide = cairo_image_surface_get_width(s), high = cairo_image_surface_get_height(s), tile = (wide - 8 * 8) / 6;
    double view[6];
    for (int v = 0; v < 6; v++) {
        int x = 8 + v * (tile + 8) + (v >= 3 ? 8 : 0);
        view[v] = brightness(s, x, x + tile, high - tile - 8 + 1, high - 24 - 8); /* above the scale bar */
    }
    assert_true(view[0] > 0.2 && view[1] > 3 * view[0] && view[2] > 3 * view[0]);
    assert_true(view[3] > 0.2 && view[4] > 0.2 && view[5] > 0.2);
    cairo_surface_destroy(s);
    memset(map, 0, sizeof map); /* nothing at all */
    ok(deco_figure_map(scratch("map.png"), map, D, 0));
}

static void views_are_bright_where_particles_look(void **state)
{
    enum { N = 500 };
    static float R[9 * N];

    (void)state;
    for (int i = 0; i < N; i++) { /* the slice's normal is the third row: all along +z, the top of the map */
        R[9 * i] = R[9 * i + 4] = R[9 * i + 8] = 1;
    }
    ok(deco_figure_views(scratch("views.png"), R, N));
    cairo_surface_t *s = cairo_image_surface_create_from_png(scratch("views.png"));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    int middle = cairo_image_surface_get_width(s) / 2;
    double top = brightness(s, middle - 8, middle + 8, 56, 60), equator = brightness(s, middle - 60, middle - 44, 160, 168);
    if (!(top > 110 && equator < 60)) /* yellow and dark blue */
        fail_msg("brightness %.0f at the top, %.0f at the equator", top, equator);
    cairo_surface_destroy(s);
    memset(R, 0, sizeof R); /* no rotations at all: nothing is counted */
    ok(deco_figure_views(scratch("views.png"), R, N));
    ok(deco_figure_views(scratch("views.png"), R, 0));
}

static void latents_of_a_run_are_drawn_small(void **state)
{
    float z[3 * 20];

    (void)state;
    for (int i = 0; i < 60; i++)
        z[i] = (float)(i * 7 % 11);
    ok(deco_figure_latents(scratch("latents.png"), z, 20, 3, pool));
    ok(deco_figure_latents(scratch("latents.png"), z, 60, 1, pool));
    cairo_surface_t *s = cairo_image_surface_create_from_png(scratch("latents.png"));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    assert_in_range(cairo_image_surface_get_width(s), 400, 800);
    cairo_surface_destroy(s);
}

static void maps_agree_as_far_as_their_shells_do(void **state)
{
    enum { D = 16, C = D / 2 };
    static float a[D * D * D], b[D * D * D];

    (void)state;
    for (int i = 0; i < D * D * D; i++) {
        int x = i % D - C, y = i / D % D - C, z = i / (D * D) - C;
        a[i] = (float)((i * 37 % 101) - 50);
        b[i] = lround(sqrt(x * x + y * y + z * z)) <= 4 ? a[i] : (float)((i * 53 % 97) - 48);
    }
    assert_true(deco_agreement_radius(a, a, D, 6, 0.5) == 6);
    double r = deco_agreement_radius(a, b, D, 7, 0.5);
    assert_true(r > 4 && r < 5);
    for (int i = 0; i < D * D * D; i++)
        b[i] = -a[i];
    assert_true(deco_agreement_radius(a, b, D, 7, 0.5) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cluster_shows_in_its_colour),
        cmocka_unit_test(a_million_particles_take_seconds),
        cmocka_unit_test(odd_latents_are_drawn_too),
        cmocka_unit_test(a_picture_that_cannot_be_written_is_named),
        cmocka_unit_test(the_same_picture_is_the_same_file_again),
        cmocka_unit_test(crowded_places_are_lighter),
        cmocka_unit_test(curves_leave_out_what_is_not_known),
        cmocka_unit_test(counts_have_their_thousands_apart),
        cmocka_unit_test(a_map_shows_its_three_slices_and_projections),
        cmocka_unit_test(views_are_bright_where_particles_look),
        cmocka_unit_test(latents_of_a_run_are_drawn_small),
        cmocka_unit_test(maps_agree_as_far_as_their_shells_do),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
