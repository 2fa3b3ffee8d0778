/* The blob columns: which image of which stack each row is, of what box, pixel size and contrast. */
#include "particles/build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t largest_box = 16384;

/* The distinct texts of blob/path, numbered as they come. Open addressing, at most half full. */
typedef struct name_set {
    char **name;
    int64_t n, room;
    int32_t *slot; /* number + 1; 0: free */
    uint64_t slots;
} name_set;

static uint64_t hash_of(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

static uint64_t slot_of(const name_set *s, const char *text)
{
    uint64_t i = hash_of(text) & (s->slots - 1);
    while (s->slot[i] && strcmp(s->name[s->slot[i] - 1], text) != 0)
        i = (i + 1) & (s->slots - 1);
    return i;
}

static deco_status grow(name_set *s)
{
    deco_status st = DECO_OK;
    char **names = NULL;
    int32_t *slots = NULL;
    int64_t room = s->room ? 2 * s->room : 64;

    TRY(deco_alloc(&slots, 2 * (size_t)room, sizeof *slots, "stacks"));
    if (!(names = realloc(s->name, (size_t)room * sizeof *names)))
        TRY(deco_fail_memory((size_t)room * sizeof *names, "stacks"));
    s->name = names;
    s->room = room;
    free(s->slot);
    s->slot = slots;
    s->slots = 2 * (uint64_t)room;
    slots = NULL;
    for (int64_t i = 0; i < s->n; i++)
        s->slot[slot_of(s, s->name[i])] = (int32_t)i + 1;
out:
    free(slots);
    return st;
}

static deco_status number_of(int32_t *out, name_set *s, const char *text)
{
    deco_status st = DECO_OK;
    uint64_t i;

    if (s->n == s->room)
        TRY(grow(s));
    i = slot_of(s, text);
    if (!s->slot[i]) {
        if (s->n >= INT32_MAX - 1)
            TRY(deco_fail(DECO_E_UNSUPPORTED, "more than %d stacks", INT32_MAX));
        if (!(s->name[s->n] = strdup(text)))
            TRY(deco_fail_memory(strlen(text), "stacks"));
        s->slot[i] = (int32_t)++s->n;
    }
    *out = s->slot[i] - 1;
out:
    return st;
}

enum { PATH, INDEX, SHAPE, PSIZE, COLUMNS };

static deco_status read_refs(deco_particles *p, const deco_column **c)
{
    deco_status st = DECO_OK;
    name_set names = {0};
    size_t size = c[PATH]->item + 1;
    char *text = NULL;

    TRY(deco_alloc(&text, size, 1, "a path"));
    for (int64_t i = 0; i < p->N; i++) {
        double index = deco_cell_real(c[INDEX], i, 0);
        deco_cell_text(text, size, c[PATH], i);
        const char *path = *text == '>' ? text + 1 : text;
        if (!*path)
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/path is empty; the image's stack must be named", p->cs_path, file_row(p, i)));
        if (!(index >= 0 && index < INT32_MAX && index == floor(index)))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/idx is %.17g; it must be the number of an image in %s, from 0", p->cs_path,
                          file_row(p, i), index, path));
        p->image[i].index = (int32_t)index;
        TRY(number_of(&p->image[i].stack, &names, path));
    }
out:
    p->stack_name = names.name;
    p->stacks = names.n;
    free(names.slot);
    free(text);
    return st;
}

/* Each row by itself; whether they go together is particles_settle_sizes' business. */
static deco_status check_boxes(const deco_particles *p, const deco_column *shape)
{
    for (int64_t i = 0; i < p->N; i++) {
        double h = deco_cell_real(shape, i, 0), w = deco_cell_real(shape, i, 1);
        if (!(h == w && h >= 2 && h <= (double)largest_box && h == floor(h)))
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/shape is %.17g×%.17g; images must be square, of 2 to %lld pixels",
                             p->cs_path, file_row(p, i), h, w, (long long)largest_box);
        if (fmod(h, 2) != 0)
            return deco_fail(DECO_E_FORMAT,
                             "%s: row %lld: blob/shape is %.0f×%.0f, an odd box; crop or downsample to an even one in CryoSPARC "
                             "(Downsample Particles)",
                             p->cs_path, file_row(p, i), h, w);
    }
    return DECO_OK;
}

static deco_status check_psizes(const deco_particles *p, const deco_column *psize)
{
    for (int64_t i = 0; i < p->N; i++) {
        double A = deco_cell_real(psize, i, 0);
        if (!(A > 0 && A < 1e6)) /* this way round, NaN is caught too */
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/psize_A is %g; a pixel size in Å must be above 0 (and below 1e6)",
                             p->cs_path, file_row(p, i), A);
    }
    return DECO_OK;
}

/* METHOD.md 1.6: a set that does not say is dark on light. */
static deco_status read_sign(deco_particles *p, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_column *c = NULL;

    if (deco_table_find(p->rows, "blob/sign"))
        TRY(deco_table_need(&c, p->rows, "blob/sign", 'n', 1));
    else
        deco_info(m, "%s: has no blob/sign; the images are taken as dark on light (-1)", p->cs_path);
    for (int64_t i = 0; i < p->N; i++) {
        double sign = c ? deco_cell_real(c, i, 0) : -1;
        if (sign != 1 && sign != -1)
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/sign is %g; it must be -1 (dark on light) or 1 (light on dark)", p->cs_path,
                             file_row(p, i), sign);
        p->sign[i] = (float)-sign;
    }
out:
    return st;
}

deco_status particles_read_images(deco_particles *p, int64_t box, deco_monitor *m)
{
    static const wanted_column want[COLUMNS] = {
        {"blob/path", 'S', 1}, {"blob/idx", 'n', 1}, {"blob/shape", 'n', 2}, {"blob/psize_A", 'n', 1}};
    deco_status st = DECO_OK;
    const deco_column *c[COLUMNS];

    TRY(particles_need_columns(
        c, p->rows, want, COLUMNS,
        "Without them there are no images: name the job directory, or the .cs file of a job that extracted, downsampled or "
        "imported particles"));
    TRY(deco_alloc(&p->image, (size_t)p->N, sizeof *p->image, "image places"));
    TRY(deco_alloc(&p->sign, (size_t)p->N, sizeof *p->sign, "image signs"));
    TRY(check_boxes(p, c[SHAPE]));
    TRY(check_psizes(p, c[PSIZE]));
    TRY(read_refs(p, c));
    TRY(particles_settle_sizes(p, c[SHAPE], c[PSIZE], box, m));
    TRY(read_sign(p, m));
out:
    return st;
}
