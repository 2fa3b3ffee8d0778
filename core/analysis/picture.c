#include "analysis/picture.h"
#include "base/file.h"

deco_status deco_picture_check(cairo_status_t s)
{
    if (s == CAIRO_STATUS_SUCCESS)
        return DECO_OK;
    return deco_fail(s == CAIRO_STATUS_NO_MEMORY ? DECO_E_MEMORY : DECO_E_FILE, "a plot cannot be drawn: %s", cairo_status_to_string(s));
}

deco_status deco_picture_create(deco_picture *out, double width, double height, double scale, double r, double g, double b)
{
    out->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(width * scale), (int)(height * scale));
    out->c = cairo_create(out->surface);
    cairo_scale(out->c, scale, scale);
    cairo_set_source_rgb(out->c, r, g, b);
    cairo_paint(out->c);
    return deco_picture_check(cairo_status(out->c));
}

void deco_picture_free(deco_picture *p)
{
    if (p->c)
        cairo_destroy(p->c);
    if (p->surface)
        cairo_surface_destroy(p->surface);
    *p = (deco_picture){0};
}

void deco_picture_text(cairo_t *c, double x, double y, double align, const char *text)
{
    cairo_text_extents_t e;

    cairo_text_extents(c, text, &e);
    cairo_move_to(c, x - align * e.x_advance, y);
    cairo_show_text(c, text);
    cairo_new_path(c); /* or the next line would begin at the text's end */
}

typedef struct png_sink {
    deco_file *file;
    deco_status st;
} png_sink;

static cairo_status_t png_bytes(void *closure, const unsigned char *data, unsigned int length)
{
    png_sink *sink = closure;

    sink->st = deco_file_write(sink->file, data, length);
    return sink->st ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

deco_status deco_picture_write(cairo_surface_t *surface, cairo_t *c, const char *path)
{
    png_sink sink = {NULL, DECO_OK};
    deco_status st = DECO_OK;
    cairo_status_t drawn;

    TRY(deco_picture_check(cairo_status(c)));
    TRY(deco_file_create(&sink.file, path));
    drawn = cairo_surface_write_to_png_stream(surface, png_bytes, &sink);
    TRY(sink.st);
    TRY(deco_picture_check(drawn));
    st = deco_file_commit(sink.file);
    sink.file = NULL;
out:
    deco_file_abandon(sink.file);
    return st;
}
