#include "analysis/picture.h"
#include "base/file.h"
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* Cairo's 4 bytes a pixel in the host's order to libpng's 3, in place. */
static void pack(unsigned char *data, int width, int height, int stride)
{
    unsigned char *to = data;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t pixel;
            memcpy(&pixel, data + (size_t)y * (size_t)stride + 4 * (size_t)x, 4);
            *to++ = (unsigned char)(pixel >> 16);
            *to++ = (unsigned char)(pixel >> 8);
            *to++ = (unsigned char)pixel;
        }
}

/* An analysis draws some sixty plots: Cairo's own PNG writer, thorough and slow, took half of a small one's time. */
static deco_status write_png(const char *path, unsigned char *data, int width, int height, int stride)
{
    deco_status st = DECO_OK;
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB,
                       .flags = PNG_IMAGE_FLAG_FAST};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    unsigned char *bytes = NULL;

    pack(data, width, height, stride);
    TRY(deco_alloc(&bytes, size, 1, "a plot"));
    if (!png_image_write_to_memory(&image, bytes, &size, 0, data, 3 * width, NULL)) {
        st = deco_fail(DECO_E_MEMORY, "%s: cannot be made: libpng says \"%s\"", path, image.message);
        png_image_free(&image);
        goto out;
    }
    TRY(deco_file_put(path, bytes, size));
out:
    free(bytes);
    return st;
}

deco_status deco_picture_write(const deco_picture *p, const char *path)
{
    deco_status st = DECO_OK;
    int width = (int)(p->width * p->scale), height = (int)(p->height * p->scale);
    cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *c = cairo_create(image);

    TRY(deco_picture_check(cairo_status(p->c)));
    cairo_scale(c, p->scale, p->scale);
    cairo_set_source_surface(c, p->surface, 0, 0);
    cairo_paint(c);
    TRY(deco_picture_check(cairo_status(c)));
    cairo_surface_flush(image);
    TRY(write_png(path, cairo_image_surface_get_data(image), width, height, cairo_image_surface_get_stride(image)));
out:
    cairo_destroy(c);
    cairo_surface_destroy(image);
    return st;
}
