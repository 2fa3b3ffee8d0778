#include "analysis/palette.h"

static const uint32_t colours[] = {
    0x0072b2, 0xd55e00, 0x009e73, 0xe69f00, 0x56b4e9, 0xcc79a7, 0x444444, /* Okabe and Ito, without the yellow that white swallows */
    0x882255, 0x999933, 0x332288, 0x44aa99, 0xcc6677, 0x117733, 0xddcc77, 0x88ccee, /* Tol, "muted" */
};

deco_colour deco_palette_colour(int64_t i)
{
    const int64_t n = sizeof colours / sizeof *colours;
    uint32_t c = colours[i % n];
    double r = (c >> 16 & 255) / 255.0, g = (c >> 8 & 255) / 255.0, b = (c & 255) / 255.0;

    switch (i / n % 3) {
    case 1: return (deco_colour){0.6 * r, 0.6 * g, 0.6 * b};
    case 2: return (deco_colour){0.45 + 0.55 * r, 0.45 + 0.55 * g, 0.45 + 0.55 * b};
    default: return (deco_colour){r, g, b};
    }
}
