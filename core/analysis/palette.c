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

deco_colour deco_palette_amount(double t)
{
    static const double stop[][3] = {
        {0.267, 0.005, 0.329}, {0.230, 0.322, 0.546}, {0.128, 0.567, 0.551}, {0.369, 0.789, 0.383}, {0.993, 0.906, 0.144}};
    const int last = sizeof stop / sizeof *stop - 1;
    double at = t > 0 ? (t < 1 ? t * last : last) : 0;
    int i = at < last ? (int)at : last - 1;
    double part = at - i, c[3];

    for (int k = 0; k < 3; k++)
        c[k] = stop[i][k] + part * (stop[i + 1][k] - stop[i][k]);
    return (deco_colour){c[0], c[1], c[2]};
}
