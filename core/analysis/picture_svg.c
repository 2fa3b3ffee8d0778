/* A picture as SVG. Cairo numbers what a file names by how many surfaces the process has made, so that the same picture would come out otherwise the
 * second time: names are numbered anew, in the order in which they appear. */
#include "analysis/picture.h"
#include "base/file.h"
#include <cairo-svg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest name without its number. */
enum { STEM = 24 };

typedef struct name {
    char stem[STEM]; /* "glyph", "image" … */
    long number;     /* Cairo's; ours is the place among those of the stem */
} name;

typedef struct names {
    name *list;
    size_t count;
} names;

/* The name's number from 1 on among those of its stem; 0 without memory. */
static long number_of(names *all, const char *stem, size_t length, long number)
{
    long n = 1;

    for (size_t i = 0; i < all->count; i++)
        if (!strncmp(all->list[i].stem, stem, length) && !all->list[i].stem[length]) {
            if (all->list[i].number == number)
                return n;
            n++;
        }
    if (!(all->count & (all->count - 1))) { /* room doubles at powers of two */
        name *more = realloc(all->list, (all->count ? 2 * all->count : 1) * sizeof *more);
        if (!more)
            return 0;
        all->list = more;
    }
    name *made = &all->list[all->count++];
    memset(made, 0, sizeof *made);
    memcpy(made->stem, stem, length);
    made->number = number;
    return n;
}

/* `text` is at a name, behind id=" or #: writes the stem and the new number, and gives what follows; `text` itself where it is no such name. */
static const char *write_name(FILE *to, const char *text, names *all)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz-");
    char *end;
    long number = strtol(text + length, &end, 10);

    if (!length || length >= STEM || end == text + length)
        return text;
    fprintf(to, "%.*s%ld", (int)length, text, number_of(all, text, length, number));
    return end;
}

static deco_status write_renumbered(const char *path, const char *text)
{
    static const char *const before[] = {"id=\"", "=\"#", "url(#"};
    deco_status st = DECO_OK;
    names all = {0};
    char *out = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&out, &size);

    if (!to)
        return deco_fail_memory(strlen(text), "a plot");
    for (const char *at = text; *at;) {
        const char *was = at;
        for (size_t i = 0; i < sizeof before / sizeof *before; i++)
            if (!strncmp(at, before[i], strlen(before[i]))) {
                fputs(before[i], to);
                at = write_name(to, at + strlen(before[i]), &all);
                break;
            }
        if (at == was)
            fputc(*at++, to);
    }
    st = fclose(to) ? deco_fail_memory(strlen(text), "a plot") : deco_file_put(path, out, size);
    free(out);
    free(all.list);
    return st;
}

static cairo_status_t take_bytes(void *closure, const unsigned char *data, unsigned int length)
{
    return fwrite(data, 1, length, closure) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

static deco_status draw(FILE *to, const deco_picture *p)
{
    cairo_surface_t *svg = cairo_svg_surface_create_for_stream(take_bytes, to, p->width, p->height);
    cairo_t *c = cairo_create(svg);
    unsigned int holders = cairo_surface_get_reference_count(p->surface);
    deco_status st;

    cairo_set_source_surface(c, p->surface, 0, 0);
    cairo_paint(c);
    st = deco_picture_check(cairo_status(c));
    cairo_destroy(c);
    cairo_surface_finish(svg);
    if (!st)
        st = deco_picture_check(cairo_surface_status(svg));
    cairo_surface_destroy(svg);
    while (cairo_surface_get_reference_count(p->surface) > holders) /* Cairo 1.16's SVG surface forgets to let go of it */
        cairo_surface_destroy(p->surface);
    return st;
}

deco_status deco_picture_write_svg(const deco_picture *p, const char *path)
{
    deco_status st = DECO_OK;
    size_t stem = strlen(path), size = 0;
    char *text = NULL, *beside = NULL;
    FILE *to = open_memstream(&text, &size);

    if (stem > 4 && !strcmp(path + stem - 4, ".png"))
        stem -= 4;
    if (!to || !(beside = deco_format("%.*s.svg", (int)stem, path)))
        TRY(deco_fail_memory(stem, "a plot"));
    TRY(deco_picture_check(cairo_status(p->c)));
    TRY(draw(to, p));
    if (fclose(to)) {
        to = NULL;
        TRY(deco_fail_memory(size, "a plot"));
    }
    to = NULL;
    TRY(write_renumbered(beside, text));
out:
    if (to)
        fclose(to);
    free(text);
    free(beside);
    return st;
}
