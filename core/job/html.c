#include "job/html.h"
#include "analysis/plot.h"
#include <math.h>
#include <string.h>

/* Bytes of the UTF-8 character at `s`, or 0: cut short, overlong, a surrogate, beyond U+10FFFF. */
static int utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char low, high, least, most; /* of the first byte; of the second */
        int n;
    } form[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

    if (*s < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        if (*s < form[i].low || *s > form[i].high)
            continue;
        if (s[1] < form[i].least || s[1] > form[i].most)
            return 0;
        for (int k = 2; k < form[i].n; k++)
            if (s[k] < 0x80 || s[k] > 0xbf)
                return 0;
        return form[i].n;
    }
    return 0;
}

void html_text(FILE *to, const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; s && *s;) {
        int n = utf8_length(s);
        switch (*s) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '"': fputs("&quot;", to); break;
        case '\'': fputs("&#39;", to); break;
        default:
            if (!n || (*s < 32 && *s != '\n' && *s != '\t') || *s == 127)
                fputs("&#xfffd;", to);
            else
                fwrite(s, 1, (size_t)n, to);
        }
        s += n ? n : 1;
    }
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

enum {
    WIDTH = 480,
    HEIGHT = 240,
    LEFT = 62,
    RIGHT = 12,
    TOP = 34,
    BOTTOM = 40,
    STRIP = 15,
    MOST_POINTS = 500
}; /* STRIP: for the phases' names */

/* A curve being drawn: the range of its y axis, in logarithms where that is asked for. */
typedef struct frame {
    const html_curve *c;
    double low, high;
    int64_t points;
} frame;

static double scaled(const html_curve *c, double y) { return c->least > 0 ? log10(fmax(y, c->least)) : y; }

static double px(const frame *f, double x)
{
    double range = f->c->x_high - f->c->x_low;
    return LEFT + (range > 0 ? (x - f->c->x_low) / range : 0.5) * (WIDTH - LEFT - RIGHT);
}

static double py(const frame *f, double scaled_y)
{
    double part = (scaled_y - f->low) / (f->high - f->low);
    return TOP + STRIP + (f->c->from_above ? part : 1 - part) * (HEIGHT - TOP - STRIP - BOTTOM);
}

static frame frame_of(const html_curve *c)
{
    frame f = {.c = c, .low = INFINITY, .high = -INFINITY};

    for (int s = 0; s < c->count; s++)
        for (int64_t i = 0; i < c->series[s].n; i++) {
            double y = scaled(c, c->series[s].y[i]);
            if (!isfinite(c->series[s].y[i]))
                continue;
            f.low = fmin(f.low, y);
            f.high = fmax(f.high, y);
            f.points++;
        }
    double margin = f.high > f.low ? 0.06 * (f.high - f.low) : fmax(0.5 * fabs(f.high), 0.1);
    f.low -= margin;
    f.high += margin;
    return f;
}

static void put_bands(FILE *to, const frame *f)
{
    for (int64_t i = 0; i < f->c->bands; i++) {
        const html_band *b = &f->c->band[i];
        double x0 = fmax(px(f, b->from), LEFT), x1 = fmin(px(f, b->to), WIDTH - RIGHT);
        if (x1 <= x0)
            continue;
        fprintf(to, "<rect class=\"band%d\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>", (int)(i % 2), x0, TOP, x1 - x0,
                HEIGHT - TOP - BOTTOM);
        html_text(to, b->name);
        fputs("</title></rect>\n", to);
        if (x1 - x0 > 7.0 * (double)strlen(b->name)) {
            fprintf(to, "<text class=\"small\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", (x0 + x1) / 2, TOP + 13);
            html_text(to, b->name);
            fputs("</text>\n", to);
        }
    }
}

static void put_tick(FILE *to, const frame *f, double at, const char *label)
{
    double y = py(f, at);
    fprintf(to,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT, WIDTH - RIGHT, y, y, LEFT - 7, y + 4, label);
}

static void put_y_ticks(FILE *to, const frame *f)
{
    char label[32];

    if (f->c->least > 0) { /* 1, 2, 5 of each decade, or the decades alone */
        int span = (int)ceil(f->high - f->low);
        for (int decade = (int)floor(f->low); decade <= (int)ceil(f->high); decade++)
            for (int k = 0; k < 3; k++) {
                double value = (k == 2 ? 5 : k + 1) * pow(10, decade), at = log10(value);
                if (at < f->low || at > f->high || (k && span > 2))
                    continue;
                snprintf(label, sizeof label, "%g", value);
                put_tick(to, f, at, label);
            }
        return;
    }
    double step = deco_nice_step(f->high - f->low, 5);
    for (double i = ceil(f->low / step); i * step <= f->high; i++) {
        snprintf(label, sizeof label, "%.*f", step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0, i == 0 ? 0 : i * step); /* no "-0" */
        put_tick(to, f, i * step, label);
    }
}

static void put_x_ticks(FILE *to, const frame *f)
{
    double range = f->c->x_high - f->c->x_low, step = range > 0 ? fmax(1, deco_nice_step(range, 8)) : 1;

    for (double i = ceil(f->c->x_low / step); i * step <= f->c->x_high; i++)
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", px(f, i * step), HEIGHT - BOTTOM + 17,
                i == 0 ? 0 : i * step);
    fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    html_text(to, f->c->x_label);
    fputs("</text>\n", to);
}

static void put_series(FILE *to, const frame *f, int which)
{
    const html_series *s = &f->c->series[which];
    int64_t step = s->n / MOST_POINTS + 1, drawn = 0;

    fprintf(to, "<polyline class=\"line%d\" points=\"", which);
    for (int64_t i = s->n ? (s->n - 1) % step : 0; i < s->n; i += step) /* the last point always */
        if (isfinite(s->y[i])) {
            fprintf(to, "%.1f,%.1f ", px(f, s->x[i]), py(f, scaled(f->c, s->y[i])));
            drawn++;
        }
    fputs("\"/>\n", to);
    for (int64_t i = 0; i < s->n && drawn <= 60; i++) /* few points are seen as points */
        if (isfinite(s->y[i]))
            fprintf(to, "<circle class=\"dot%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>%.0f: %.4g</title></circle>\n", which,
                    px(f, s->x[i]), py(f, scaled(f->c, s->y[i])), s->x[i], s->y[i]);
}

static void put_key(FILE *to, const html_curve *c)
{
    double x = WIDTH - RIGHT;

    for (int i = c->count - 1; i >= 0; i--) {
        if (!c->series[i].name)
            continue;
        fprintf(to, "<text class=\"key%d\" x=\"%.0f\" y=\"20\" text-anchor=\"end\">", i, x);
        html_text(to, c->series[i].name);
        fputs("</text>\n", to);
        x -= 6.6 * (double)strlen(c->series[i].name) + 14;
    }
}

void html_curve_write(FILE *to, const html_curve *c)
{
    frame f = frame_of(c);

    if (!f.points) {
        fputs("<p class=\"none\">", to);
        html_text(to, c->title);
        fputs(": nothing yet</p>\n", to);
        return;
    }
    fprintf(to, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    html_text(to, c->title);
    fputs(" over epochs\">\n", to);
    put_bands(to, &f);
    put_y_ticks(to, &f);
    put_x_ticks(to, &f);
    fprintf(to, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP, WIDTH - LEFT - RIGHT,
            HEIGHT - TOP - BOTTOM);
    fprintf(to, "<text class=\"title\" x=\"%d\" y=\"20\">", LEFT);
    html_text(to, c->title);
    fputs("</text>\n", to);
    put_key(to, c);
    for (int i = 0; i < c->count; i++)
        put_series(to, &f, i);
    fputs("</svg>\n", to);
}
