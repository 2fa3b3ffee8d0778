/* The font of all figures, taken into the library when it is built: they look the same on every machine, and a server or a container without
 * fonts (or without fontconfig's settings, as in a wheel) shows its minus signs and ångströms too. */
#include "analysis/picture.h"
#include <cairo-ft.h>
#include <pthread.h>

#ifdef FONT_REGULAR
#include "base/take_in.h"
TAKE_IN(font_regular, FONT_REGULAR);
TAKE_IN(font_bold, FONT_BOLD);
extern const unsigned char font_regular[], font_regular_end[], font_bold[], font_bold_end[];

static cairo_font_face_t *face[2]; /* for as long as the process lives; NULL: no memory */

static void open_faces(void)
{
    const unsigned char *at[2] = {font_regular, font_bold}, *end[2] = {font_regular_end, font_bold_end};
    FT_Library library;
    FT_Face of_freetype;

    if (FT_Init_FreeType(&library))
        return;
    for (int bold = 0; bold < 2; bold++)
        if (!FT_New_Memory_Face(library, at[bold], (FT_Long)(end[bold] - at[bold]), 0, &of_freetype))
            face[bold] = cairo_ft_font_face_create_for_ft_face(of_freetype, 0);
}

static cairo_font_face_t *own_face(bool bold)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_faces);
    return face[bold];
}
#else
static cairo_font_face_t *own_face(bool bold) { return NULL; }
#endif

void deco_picture_font(cairo_t *c, double size, bool bold)
{
    cairo_font_face_t *own = own_face(bold);

    if (own)
        cairo_set_font_face(c, own);
    else
        cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, size);
}
