/* Images brought to 224×224: smaller ones by cubic splines, larger ones by cropping their Hartley transform; then to bytes.
 *
 * Truncation makes the last bit of a value show in a byte, so splines are in double. Along an axis everything is done to whole rows at
 * once, which vectorises; between the axes the image is turned. */
#include "particles/encoder_image.h"
#include "particles/hartley.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = DECO_ENCODER_SIDE, TAPS = 4 };

/* Where sample `i` of 224 lies among D: four neighbours (mirrored at the ends) and their weights. */
typedef struct spline_sample {
    int32_t at[TAPS];
    double weight[TAPS];
} spline_sample;

struct encoder_image {
    int64_t D;
    hartley_plan *whole, *cropped; /* of D and of 224, where D is larger */
    spline_sample sample[SIDE];
    int32_t circle[DECO_ENCODER_PIXELS];
};

/* ---- cubic splines ----------------------------------------------------------------------------------------------- */

static int32_t mirrored(int64_t i, int64_t D)
{
    i = i < 0 ? -i : i;
    return (int32_t)(i >= D ? 2 * (D - 1) - i : i);
}

/* The corner samples map onto the corner samples. */
static void fill_samples(spline_sample *s, int64_t D)
{
    for (int64_t i = 0; i < SIDE; i++) {
        double x = (double)i * (double)(D - 1) / (SIDE - 1), t;
        int64_t low = (int64_t)x;
        low = low > D - 2 ? D - 2 : low;
        t = x - (double)low;
        s[i].weight[0] = (1 - t) * (1 - t) * (1 - t) / 6;
        s[i].weight[1] = (4 + t * t * (3 * t - 6)) / 6;
        s[i].weight[2] = (4 + (1 - t) * (1 - t) * (3 * (1 - t) - 6)) / 6;
        s[i].weight[3] = t * t * t / 6;
        for (int k = 0; k < TAPS; k++)
            s[i].at[k] = mirrored(low - 1 + k, D);
    }
}

/* to += z · from */
static void add_row(double *to, const double *from, double z, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += z * from[i];
}

static void scale_row(double *row, double z, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row[i] *= z;
}

/* v [D,n] to the coefficients of its splines along the first axis, mirrored at its ends: the recursive filter with pole √3 - 2. */
static void spline_filter(double *v, int64_t D, int64_t n)
{
    const double z = sqrt(3) - 2, gain = (1 - z) * (1 - 1 / z), nothing = 1e-30;
    double power = z, last = pow(z, (double)(D - 1));

    scale_row(v, gain, D * n);
    add_row(v, v + (D - 1) * n, last, n);
    for (int64_t i = 1; i < D - 1 && fabs(power) > nothing; i++, power *= z) {
        add_row(v, v + i * n, power, n);
        add_row(v, v + (D - 1 - i) * n, power * last, n);
    }
    scale_row(v, 1 / (1 - last * last), n);
    for (int64_t i = 1; i < D; i++)
        add_row(v + i * n, v + (i - 1) * n, z, n);
    double *end = v + (D - 1) * n;
    add_row(end, end - n, z, n);
    scale_row(end, z / (z * z - 1), n);
    for (int64_t i = D - 2; i >= 0; i--)
        for (int64_t k = 0; k < n; k++)
            v[i * n + k] = z * (v[(i + 1) * n + k] - v[i * n + k]);
}

/* out [224,n] from the coefficients v [D,n]. */
static void spline_values(double *restrict out, const double *restrict v, const spline_sample *s, int64_t n)
{
    for (int64_t i = 0; i < SIDE; i++) {
        const double *a = v + s[i].at[0] * n, *b = v + s[i].at[1] * n, *c = v + s[i].at[2] * n, *d = v + s[i].at[3] * n;
        const double *w = s[i].weight;
        for (int64_t k = 0; k < n; k++)
            out[i * n + k] = w[0] * a[k] + w[1] * b[k] + w[2] * c[k] + w[3] * d[k];
    }
}

/* v [h,w] to out [w,h], in squares that stay in the cache. */
static void turn(double *restrict out, const double *restrict v, int64_t h, int64_t w)
{
    enum { PIECE = 16 };

    for (int64_t y0 = 0; y0 < h; y0 += PIECE)
        for (int64_t x0 = 0; x0 < w; x0 += PIECE)
            for (int64_t y = y0; y < h && y < y0 + PIECE; y++)
                for (int64_t x = x0; x < w && x < x0 + PIECE; x++)
                    out[x * h + y] = v[y * w + x];
}

/* `work`: room for two images of 224×224. Gives the one that holds the result. */
static const double *enlarge(const encoder_image *e, const float *image, double *work)
{
    int64_t D = e->D;
    double *a = work, *b = work + SIDE * SIDE;

    for (int64_t y = 0; y < D; y++) /* turned, so that it comes out upright */
        for (int64_t x = 0; x < D; x++)
            a[x * D + y] = (double)image[y * D + x];
    spline_filter(a, D, D);
    spline_values(b, a, e->sample, D);
    turn(a, b, SIDE, D);
    spline_filter(a, D, SIDE);
    spline_values(b, a, e->sample, SIDE);
    return b;
}

/* ---- larger images ------------------------------------------------------------------------------------------------- */

/* `work`: the workspaces of both transforms. Gives the image times a constant, which bytes do not see. */
static const float *reduce(const encoder_image *e, const float *image, float *work)
{
    int64_t D = e->D;
    float *small = work + hartley_workspace_floats(D);

    memcpy(work, image, (size_t)(D * D) * sizeof *work);
    hartley_transform(e->whole, work, SIDE);
    memcpy(small, work, sizeof *small * SIDE * SIDE);
    hartley_transform(e->cropped, small, SIDE);
    return small;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static uint8_t byte_of(double v) { return v > 0 ? v < 255 ? (uint8_t)v : 255 : 0; }

static void bytes_of_doubles(uint8_t *pixels, const encoder_image *e, const double *v)
{
    double least = v[0], most = v[0];

    for (int i = 1; i < SIDE * SIDE; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    for (int i = 0; i < DECO_ENCODER_PIXELS; i++)
        pixels[i] = byte_of((v[e->circle[i]] - least) / (most - least) * 255);
}

static void bytes_of_floats(uint8_t *pixels, const encoder_image *e, const float *v)
{
    float least = v[0], most = v[0];

    for (int i = 1; i < SIDE * SIDE; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    double range = (double)most - (double)least;
    for (int i = 0; i < DECO_ENCODER_PIXELS; i++)
        pixels[i] = byte_of(((double)v[e->circle[i]] - (double)least) / range * 255);
}

/* Asked of the raw image: what rounding leaves of a constant one after a spline would fill all 256 steps. */
static bool is_constant(const float *image, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        if (image[i] != image[0])
            return false;
    return true;
}

void encoder_image_make(uint8_t pixels[DECO_ENCODER_PIXELS], const encoder_image *e, const float *image, void *work)
{
    if (is_constant(image, e->D * e->D))
        memset(pixels, 0, DECO_ENCODER_PIXELS);
    else if (e->D < SIDE)
        bytes_of_doubles(pixels, e, enlarge(e, image, work));
    else
        bytes_of_floats(pixels, e, e->D > SIDE ? reduce(e, image, work) : image);
}

/* ---- made and freed -------------------------------------------------------------------------------------------------- */

size_t encoder_image_workspace_bytes(int64_t D)
{
    if (D > SIDE)
        return (hartley_workspace_floats(D) + hartley_workspace_floats(SIDE)) * sizeof(float);
    return 2 * sizeof(double) * SIDE * SIDE;
}

deco_status encoder_image_workspace(void **out, int64_t D)
{
    size_t bytes = encoder_image_workspace_bytes(D);

    *out = aligned_alloc(64, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an encoder image");
}

deco_status encoder_image_create(encoder_image **out, int64_t D)
{
    deco_status st = DECO_OK;
    encoder_image *e = NULL;

    *out = NULL;
    if (D < 2)
        return deco_fail(DECO_E_ARGUMENT, "encoder: images of %lld pixels; at least 2 are needed", (long long)D);
    TRY(deco_alloc(&e, 1, sizeof *e, "encoder images"));
    e->D = D;
    deco_encoder_circle(e->circle);
    if (D < SIDE)
        fill_samples(e->sample, D);
    if (D > SIDE) {
        TRY(hartley_create(&e->whole, D));
        TRY(hartley_create(&e->cropped, SIDE));
    }
    *out = e;
    e = NULL;
out:
    encoder_image_free(e);
    return st;
}

void encoder_image_free(encoder_image *e)
{
    if (!e)
        return;
    hartley_free(e->whole);
    hartley_free(e->cropped);
    free(e);
}
