#include "analysis/picture.h"
#include "base/file.h"

deco_status deco_picture_check(cairo_status_t s)
{
    if (s == CAIRO_STATUS_SUCCESS)
        return DECO_OK;
    return deco_fail(s == CAIRO_STATUS_NO_MEMORY ? DECO_E_MEMORY : DECO_E_UNSUPPORTED,
                     "a plot cannot be drawn: Cairo says \"%s\"; are fonts installed (fc-list)?", cairo_status_to_string(s));
}

deco_status deco_picture_create(deco_picture *out, double width, double height, double scale, double r, double g, double b)
{
    *out = (deco_picture){.width = width, .height = height, .scale = scale};
    out->surface = cairo_recording_surface_create(CAIRO_CONTENT_COLOR, &(cairo_rectangle_t){0, 0, width, height});
    out->c = cairo_create(out->surface);
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

bool deco_picture_without_fonts(cairo_t *c) { return cairo_scaled_font_get_type(cairo_get_scaled_font(c)) == CAIRO_FONT_TYPE_USER; }

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

deco_status deco_picture_write(const deco_picture *p, const char *path)
{
    png_sink sink = {NULL, DECO_OK};
    deco_status st = DECO_OK;
    cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(p->width * p->scale), (int)(p->height * p->scale));
    cairo_t *c = cairo_create(image);
    cairo_status_t drawn;

    TRY(deco_picture_check(cairo_status(p->c)));
    cairo_scale(c, p->scale, p->scale);
    cairo_set_source_surface(c, p->surface, 0, 0);
    cairo_paint(c);
    TRY(deco_picture_check(cairo_status(c)));
    TRY(deco_file_create(&sink.file, path));
    drawn = cairo_surface_write_to_png_stream(image, png_bytes, &sink);
    TRY(sink.st);
    TRY(deco_picture_check(drawn));
    st = deco_file_commit(sink.file);
    sink.file = NULL;
out:
    deco_file_abandon(sink.file);
    cairo_destroy(c);
    cairo_surface_destroy(image);
    return st;
}
