/* The blob columns: which image of which stack each row is, of what box, pixel size and contrast. */
#include "particles/build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t largest_box = 16384;

/* The distinct texts of blob/path in each input, numbered as they come. Open addressing, at most half full. */
typedef struct name_set {
    char **name;
    int32_t *source; /* the input's number */
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

static uint64_t slot_of(const name_set *s, const char *text, int32_t source)
{
    uint64_t i = (hash_of(text) + (uint64_t)source) & (s->slots - 1);
    while (s->slot[i] && (s->source[s->slot[i] - 1] != source || strcmp(s->name[s->slot[i] - 1], text) != 0))
        i = (i + 1) & (s->slots - 1);
    return i;
}

static deco_status grow(name_set *s)
{
    deco_status st = DECO_OK;
    char **names = NULL;
    int32_t *slots = NULL, *sources = NULL;
    int64_t room = s->room ? 2 * s->room : 64;

    TRY(deco_alloc(&slots, 2 * (size_t)room, sizeof *slots, "stacks"));
    if (!(names = realloc(s->name, (size_t)room * sizeof *names)))
        TRY(deco_fail_memory((size_t)room * sizeof *names, "stacks"));
    s->name = names;
    if (!(sources = realloc(s->source, (size_t)room * sizeof *sources)))
        TRY(deco_fail_memory((size_t)room * sizeof *sources, "stacks"));
    s->source = sources;
    s->room = room;
    free(s->slot);
    s->slot = slots;
    s->slots = 2 * (uint64_t)room;
    slots = NULL;
    for (int64_t i = 0; i < s->n; i++)
        s->slot[slot_of(s, s->name[i], s->source[i])] = (int32_t)i + 1;
out:
    free(slots);
    return st;
}

static deco_status number_of(int32_t *out, name_set *s, const char *text, int32_t source)
{
    deco_status st = DECO_OK;
    uint64_t i;

    if (s->n == s->room)
        TRY(grow(s));
    i = slot_of(s, text, source);
    if (!s->slot[i]) {
        if (s->n >= INT32_MAX - 1)
            TRY(deco_fail(DECO_E_UNSUPPORTED, "more than %d stacks", INT32_MAX));
        if (!(s->name[s->n] = strdup(text)))
            TRY(deco_fail_memory(strlen(text), "stacks"));
        s->source[s->n] = source;
        s->slot[i] = (int32_t)++s->n;
    }
    *out = s->slot[i] - 1;
out:
    return st;
}

enum { PATH, INDEX, PSIZE, SHAPE, COLUMNS };

static const wanted_column want[COLUMNS] = {{"blob/path", 'S', 1}, {"blob/idx", 'n', 1}, {"blob/psize_A", 'n', 1}, {"blob/shape", 'n', 2}};

static const char without_images[] = "Without them there are no images: name the job directory, or the .cs file of a job that extracted, "
                                     "downsampled or imported particles";

deco_status particles_read_refs(deco_particles *p)
{
    deco_status st = DECO_OK;
    const deco_column *c[COLUMNS];
    name_set names = {0};
    size_t size;
    char *text = NULL;

    TRY(particles_need_columns(c, p->rows, want, particles_all_star(p) ? SHAPE : COLUMNS, without_images)); /* all are named at once */
    TRY(deco_alloc(&p->image, (size_t)p->N, sizeof *p->image, "image places"));
    size = c[PATH]->item + 1;
    TRY(deco_alloc(&text, size, 1, "a path"));
    for (int64_t i = 0; i < p->N; i++) {
        double index = deco_cell_real(c[INDEX], i, 0);
        deco_cell_text(text, size, c[PATH], i);
        const char *path = *text == '>' ? text + 1 : text;
        if (!*path)
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/path is empty; the image's stack must be named", file_path(p, i),
                          file_row(p, i)));
        if (!(index >= 0 && index < INT32_MAX && index == floor(index)))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/idx is %.17g; it must be the number of an image in %s, from 0",
                          file_path(p, i), file_row(p, i), index, path));
        p->image[i].index = (int32_t)index;
        TRY(number_of(&p->image[i].stack, &names, path, deco_particles_source_number(p, i)));
    }
out:
    p->stack_name = names.name;
    p->stack_source = names.source;
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
                             file_path(p, i), file_row(p, i), h, w, (long long)largest_box);
        if (fmod(h, 2) != 0)
            return deco_fail(DECO_E_FORMAT,
                             "%s: row %lld: blob/shape is %.0f×%.0f, an odd box; crop or downsample to an even one in CryoSPARC "
                             "(Downsample Particles)",
                             file_path(p, i), file_row(p, i), h, w);
    }
    return DECO_OK;
}

static deco_status check_psizes(const deco_particles *p, const deco_column *psize)
{
    for (int64_t i = 0; i < p->N; i++) {
        double A = deco_cell_real(psize, i, 0);
        if (!(A > 0 && A < 1e6)) /* this way round, NaN is caught too */
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/psize_A is %g; a pixel size in Å must be above 0 (and below 1e6)",
                             file_path(p, i), file_row(p, i), A);
    }
    return DECO_OK;
}

/* Who neither states the contrast nor shows it: METHOD.md 1.6. */
enum { DARK_ON_LIGHT = -1 };

static const char *sign_words(int sign) { return sign < 0 ? "dark on light" : "light on dark"; }

static bool some_stack(const deco_particles *p)
{
    for (int64_t s = 0; p->stack && s < p->stacks; s++)
        if (p->stack[s])
            return true;
    return false;
}

/* blob/sign of the rows that have none: given, or seen, or the default. */
static deco_status common_sign(int *out, deco_particles *p, const char *given, deco_monitor *m)
{
    deco_status st = DECO_OK;

    *out = DARK_ON_LIGHT;
    p->sign_from = "assumed";
    if (given) {
        p->sign_from = "given";
        *out = !strcmp(given, "light_on_dark") ? 1 : DARK_ON_LIGHT;
        goto out;
    }
    if (!particles_all_star(p)) {
        deco_info(m, "%s: has no blob/sign; the images are taken as dark on light (-1)", p->source);
        goto out;
    }
    if (!some_stack(p)) /* none can be looked at */
        goto out;
    TRY(particles_look_at_contrast(out, p));
    if (*out) {
        p->sign_from = "seen";
        deco_info(m, "%s: STAR files do not state the contrast; the images are %s (--contrast overrides this)", p->source,
                  sign_words(*out));
        goto out;
    }
    *out = DARK_ON_LIGHT;
    deco_warn(m,
              "%s: STAR files do not state the contrast, and the images do not show it; they are taken as dark on light. If maps come out "
              "inverted, give --contrast light_on_dark",
              p->source);
out:
    return st;
}

static deco_status read_signs(deco_particles *p, const char *contrast, deco_monitor *m)
{
    const char *given = contrast && strcmp(contrast, "auto") != 0 ? contrast : NULL;
    deco_status st = DECO_OK;
    const deco_column *c = NULL;
    int common = 0;

    p->sign_from = "stated";
    if (!given && deco_table_find(p->rows, "blob/sign"))
        TRY(deco_table_need(&c, p->rows, "blob/sign", 'n', 1));
    else
        TRY(common_sign(&common, p, given, m));
    for (int64_t i = 0; i < p->N; i++) {
        double sign = c ? deco_cell_real(c, i, 0) : common;
        if (sign != 1 && sign != -1)
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: blob/sign is %g; it must be -1 (dark on light) or 1 (light on dark)",
                             file_path(p, i), file_row(p, i), sign);
        p->sign[i] = (float)-sign;
    }
out:
    return st;
}

deco_status particles_read_images(deco_particles *p, const deco_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_column *c[COLUMNS];

    TRY(particles_need_columns(c, p->rows, want, COLUMNS, without_images));
    TRY(deco_alloc(&p->sign, (size_t)p->N, sizeof *p->sign, "image signs"));
    TRY(check_boxes(p, c[SHAPE]));
    TRY(check_psizes(p, c[PSIZE]));
    TRY(particles_settle_sizes(p, c[SHAPE], c[PSIZE], in->box, m));
    TRY(read_signs(p, in->contrast, m));
out:
    return st;
}
