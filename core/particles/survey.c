/* One look at every pixel before anything is written, and the scale of the data: METHOD.md 1.5. */
#include "particles/loader.h"
#include "particles/reader.h"

#include <math.h>
#include <stdlib.h>

enum {
    TILE = 64,      /* images a task, neighbours in their file */
    OPEN_STACKS = 2 /* a worker: more would not be used again, and machines have many cores but processes few files */
};

typedef struct survey {
    const deco_particles *p;
    const prepare *q;
    const int64_t *order;  /* [N] rows in the order of the files */
    double (*sum)[2];      /* [N] Σ and Σ² of each row's lattice */
    image_reader **reader; /* [threads] made when first needed */
    deco_monitor *m;
} survey;

/* Over the symmetrised L×L lattice, whose last row and column repeat the first: those count twice, their corner four times. */
static void lattice_sums(double out[2], const float *h, int64_t D)
{
    double sum = 0, squares = 0;

    for (int64_t y = 0; y < D; y++) {
        double s = h[y * D], q = s * s; /* the first column, once more */
        for (int64_t x = 0; x < D; x++) {
            double v = h[y * D + x];
            s += v;
            q += v * v;
        }
        sum += y ? s : 2 * s;
        squares += y ? q : 2 * q;
    }
    out[0] = sum;
    out[1] = squares;
}

static deco_status survey_tile(void *context, int64_t tile, int worker)
{
    deco_status st = DECO_OK;
    survey *s = context;
    int64_t end = (tile + 1) * TILE < s->p->N ? (tile + 1) * TILE : s->p->N;
    const float *hartley;

    if (!s->reader[worker])
        TRY(image_reader_create(&s->reader[worker], s->p, s->q, OPEN_STACKS));
    for (int64_t i = tile * TILE; i < end; i++) {
        if (deco_monitor_stopped(s->m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while the images were looked at; nothing was written"));
        TRY(image_reader_hartley(&hartley, s->reader[worker], s->order[i], true));
        lattice_sums(s->sum[s->order[i]], hartley, s->p->D);
    }
    deco_progress_add(s->m, end - tile * TILE);
out:
    return st;
}

typedef struct place {
    int64_t row;
    deco_image_ref image;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;

    if (x->image.stack != y->image.stack)
        return x->image.stack < y->image.stack ? -1 : 1;
    if (x->image.index != y->image.index)
        return x->image.index < y->image.index ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Disks read a stack from front to back much faster than in the order of the rows. */
static deco_status file_order(int64_t **out, const deco_particles *p)
{
    deco_status st = DECO_OK;
    place *sorted = NULL;

    TRY(deco_alloc(&sorted, (size_t)p->N, sizeof *sorted, "image order"));
    for (int64_t i = 0; i < p->N; i++)
        sorted[i] = (place){i, p->image[i]};
    qsort(sorted, (size_t)p->N, sizeof *sorted, by_place);
    TRY(deco_alloc(out, (size_t)p->N, sizeof **out, "image order"));
    for (int64_t i = 0; i < p->N; i++)
        (*out)[i] = sorted[i].row;
out:
    free(sorted);
    return st;
}

/* In row order, whatever the order they were worked out in. */
static deco_status add_up(deco_image_stats *out, const survey *s)
{
    const deco_particles *p = s->p;
    double sum = 0, squares = 0, L = (double)(p->D + 1), count = (double)p->N * L * L;

    for (int64_t i = 0; i < p->N; i++) {
        sum += (double)p->sign[i] * s->sum[i][0];
        squares += s->sum[i][1];
    }
    out->mean = sum / count;
    out->std = sqrt(squares / count - out->mean * out->mean);
    if (!(out->std > 0 && out->std < 1e30))
        return deco_fail(DECO_E_FORMAT,
                         "%s: the standard deviation of the images' transforms is %g; they cannot be brought to a common scale", p->cs_path,
                         out->std);
    return DECO_OK;
}

deco_status deco_images_survey(deco_image_stats *out, const deco_particles *p, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int threads = deco_pool_threads(pool);
    prepare *q = NULL;
    int64_t *order = NULL;
    survey s = {.p = p, .m = m};

    TRY(prepare_create(&q, p));
    TRY(file_order(&order, p));
    TRY(deco_alloc(&s.sum, (size_t)p->N, sizeof *s.sum, "image sums"));
    TRY(deco_alloc(&s.reader, (size_t)threads, sizeof(image_reader *), "image readers"));
    s.q = q;
    s.order = order;
    deco_progress_begin(m, "looking at all pixels", p->N, "images");
    st = deco_pool_run(pool, survey_tile, &s, (p->N + TILE - 1) / TILE);
    deco_progress_end(m);
    if (!st)
        st = add_up(out, &s);
out:
    for (int i = 0; s.reader && i < threads; i++)
        image_reader_free(s.reader[i]);
    free(s.reader);
    free(s.sum);
    free(order);
    prepare_free(q);
    return st;
}
