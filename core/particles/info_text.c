/* The report of `cryodeco info` for people. */
#include "base/file.h"
#include "particles/info.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MISSING = 3, SHOWN_GROUPS = 8 };

/* 1234567 as "1,234,567". */
static const char *count_text(char out[32], int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), k = 0;

    for (int i = 0; i < length; i++) {
        out[k++] = digits[i];
        if ((length - i) % 3 == 1 && i + 1 < length)
            out[k++] = ',';
    }
    out[k] = 0;
    return out;
}

static const char *size_text(char out[32], double bytes)
{
    if (bytes < 1e6)
        snprintf(out, 32, "%.0f kB", ceil(bytes / 1e3));
    else if (bytes < 1e9)
        snprintf(out, 32, bytes < 1e7 ? "%.1f MB" : "%.0f MB", bytes / 1e6);
    else
        snprintf(out, 32, "%.1f GB", bytes / 1e9);
    return out;
}

static void head(FILE *to, const char *name) { fprintf(to, "%-12s ", name); }
static void next_line(FILE *to) { fprintf(to, "%-12s ", ""); }

static const char *span_text(char out[64], const deco_table *t, const char *column, double unit, const char *format)
{
    const deco_column *c = deco_table_find(t, column);
    value_range r = c && c->kind != 'S' ? info_range(c, t->rows) : (value_range){NAN, NAN, 0};
    int n;

    if (isnan(r.least)) {
        snprintf(out, 64, "unknown");
        return out;
    }
    n = snprintf(out, 64, format, r.least * unit);
    if (r.least != r.most && n > 0 && n < 40) {
        n += snprintf(out + n, (size_t)(64 - n), " to ");
        snprintf(out + n, (size_t)(64 - n), format, r.most * unit);
    }
    return out;
}

static void say_part(FILE *to, const input_part *part)
{
    for (int64_t i = 0; i < part->files.joined.count; i++) {
        next_line(to);
        fprintf(to, "joined on uid with %s\n", part->files.joined.path[i]);
    }
}

static void say_source(FILE *to, const findings *f)
{
    const deco_particles *p = f->p;
    const job_files *first = &f->parts.part[0].files;
    char n[32], all[32];

    head(to, "particles");
    fprintf(to, "%s", count_text(n, p->N));
    if (p->input_row)
        fprintf(to, " of %s rows (%s%s%s)", count_text(all, f->input_rows), f->in->ind ? "ind" : "",
                f->in->ind && f->in->min_score ? ", " : "", f->in->min_score ? "min_score" : "");
    if (p->sources == 1)
        fprintf(to, ", from %s\n", p->cs_path);
    else
        fprintf(to, ", from %lld inputs:\n", (long long)p->sources);
    for (int64_t k = 0; k < p->sources; k++) {
        if (p->sources > 1) {
            next_line(to);
            fprintf(to, "%s from %s\n", count_text(n, p->from[k].rows), p->from[k].path);
        }
        say_part(to, &f->parts.part[k]);
    }
    if (f->expanded_from) {
        next_line(to);
        fprintf(to, "symmetry expanded, from %s images\n", count_text(n, f->expanded_from));
    }
    if (particles_all_star(p)) {
        head(to, "RELION");
        fprintf(to, "image paths count from %s\n", first->project);
        return;
    }
    head(to, "CryoSPARC");
    fprintf(to, "%s; image paths count from %s\n", p->version ? p->version : "version not known (no job.json)", first->project);
}

/* How the contrast is known, where no column says it. */
static const char *contrast_reason(const deco_particles *p)
{
    if (!strcmp(p->sign_from, "stated"))
        return "";
    if (!strcmp(p->sign_from, "given"))
        return " (given by contrast)";
    if (!strcmp(p->sign_from, "seen"))
        return " (as the images show: STAR files do not say)";
    return particles_all_star(p) ? " (assumed: STAR files do not say)" : " (assumed: there is no blob/sign)";
}

static void say_images(FILE *to, const findings *f)
{
    char dark[32], light[32], n[32], A[64];

    head(to, "images");
    if (!f->images_known && !f->p->sizes) {
        fprintf(to, "box not known (see problems), %s Å per pixel\n", span_text(A, f->p->rows, "blob/psize_A", 1, "%.5g"));
        return;
    }
    for (int64_t k = 0; k < f->p->sizes; k++) {
        const deco_image_size *s = &f->p->size[k];
        fprintf(to, "box %lld px, %.5g Å per pixel, ", (long long)s->box, s->psize_A);
        if (!f->images_known) {
            fprintf(to, "%s particles\n", count_text(n, s->rows));
            if (k + 1 < f->p->sizes)
                next_line(to);
        } else if (f->p->sizes > 1) {
            fprintf(to, "%s particles, %s %lld px\n", count_text(n, s->rows),
                    s->cut < s->box   ? "cut to"
                    : s->cut > s->box ? "padded to"
                                      : "kept at",
                    (long long)s->cut);
            next_line(to);
        }
    }
    if (!f->images_known)
        return;
    if (f->dark && f->light)
        fprintf(to, "mixed contrast: %s dark on light, %s light on dark\n", count_text(dark, f->dark), count_text(light, f->light));
    else
        fprintf(to, "%s%s\n", f->dark ? "dark on light" : "light on dark", contrast_reason(f->p));
    if (f->p->sizes > 1 || f->p->D < f->p->size->box) {
        next_line(to);
        fprintf(to, "trained at %lld px, %.5g Å per pixel (--box gives another)\n", (long long)f->p->D, f->p->psize_A);
    }
}

static void say_microscope(FILE *to, const findings *f)
{
    const deco_table *t = f->p->rows;
    char kV[64], cs[64], w[64], n[32];

    head(to, "microscope");
    fprintf(to, "%s kV, Cs %s mm, amplitude contrast %s\n", span_text(kV, t, "ctf/accel_kv", 1, "%.4g"),
            span_text(cs, t, "ctf/cs_mm", 1, "%.3g"), span_text(w, t, "ctf/amp_contrast", 1, "%.3g"));
    head(to, "optics");
    if (!f->groups) {
        fprintf(to, "exposure groups are not stated\n");
        return;
    }
    fprintf(to, "%lld exposure group%s%s", (long long)f->groups, f->groups == 1 ? "" : "s", f->groups ? ": " : "");
    for (int64_t i = 0; i < f->groups && i < SHOWN_GROUPS; i++)
        fprintf(to, "%s%llu (%s)", i ? ", " : "", (unsigned long long)f->group[i].id, count_text(n, f->group[i].particles));
    fprintf(to, "%s\n", f->groups > SHOWN_GROUPS ? " …" : "");
}

static void say_ctf(FILE *to, const findings *f)
{
    const deco_table *t = f->p->rows;
    char u[64], v[64], phase[64];

    head(to, "CTF");
    if (f->ctf_known)
        fprintf(to, "defocus U %s µm, V %s µm, phase shift %s rad\n", span_text(u, t, "ctf/df1_A", 1e-4, "%.3g"),
                span_text(v, t, "ctf/df2_A", 1e-4, "%.3g"), span_text(phase, t, "ctf/phase_shift_rad", 1, "%.3g"));
    else
        fprintf(to, "none that can be used (see problems)\n");
}

static void say_poses(FILE *to, const findings *f)
{
    const deco_particles *p = f->p;
    double longest = 0;

    head(to, "poses");
    if (!p->R) {
        if (f->pose_prefix && !f->images_known)
            fprintf(to, "%s; they are read once the images can be\n", f->pose_prefix);
        else
            fprintf(to, "%s\n", f->pose_prefix ? "none that can be used (see problems)" : "none");
        return;
    }
    for (int64_t i = 0; p->shift && i < p->N; i++)
        longest = fmax(longest, hypot((double)p->shift[2 * i], (double)p->shift[2 * i + 1]));
    if (p->shift)
        fprintf(to, "%s: rotations, and shifts of up to %.3g px of these images\n", p->poses, longest);
    else
        fprintf(to, "%s: rotations, without shifts\n", p->poses);
}

static deco_status say_stacks(FILE *to, const findings *f)
{
    deco_status st = DECO_OK;
    const deco_particles *p = f->p;
    char found[32], all[32], images[32], *tried = NULL;
    int64_t shown = 0;

    head(to, "stacks");
    fprintf(to, "%s of %s found, with %s images\n", count_text(found, f->stacks_found), count_text(all, p->stacks),
            count_text(images, f->images_in_stacks));
    for (int64_t s = 0; s < p->stacks && shown < SHOWN_MISSING; s++) {
        if (p->stack[s])
            continue;
        free(tried);
        TRY(particles_places_text(&tried, p, &f->parts, s));
        next_line(to);
        fprintf(to, "missing: %s; tried %s\n", p->stack_name[s], tried);
        shown++;
    }
    if (p->stacks - f->stacks_found > shown) {
        next_line(to);
        fprintf(to, "and %s more\n", count_text(all, p->stacks - f->stacks_found - shown));
    }
out:
    free(tried);
    return st;
}

/* "blob: path idx shape ...", a line a prefix. */
static void say_columns(FILE *to, const deco_table *t)
{
    char last[128] = "";

    head(to, "columns");
    fprintf(to, "%lld", (long long)t->columns);
    for (int64_t i = 0; i < t->columns; i++) {
        const char *name = t->column[i].name, *slash = strchr(name, '/');
        int n = slash ? (int)(slash - name) : 0;
        if (slash && n < 120 && (strncmp(last, name, (size_t)n) != 0 || last[n])) {
            snprintf(last, sizeof last, "%.*s", n, name);
            fprintf(to, "\n%-12s %s:", "", last);
        }
        fprintf(to, " %s", slash && n < 120 ? slash + 1 : name);
    }
    fprintf(to, "\n");
}

/* A command with the input as it was given here. */
static void say_command(FILE *to, const findings *f)
{
    const deco_input *in = f->in;

    fprintf(to, "cryodeco run");
    for (int64_t k = 0; k < in->paths; k++)
        fprintf(to, " --particles %s", in->path[k]);
    if (in->datadir)
        fprintf(to, " --datadir %s", in->datadir);
    if (in->ind)
        fprintf(to, " --ind %s", in->ind);
    if (in->min_score)
        fprintf(to, " --min_score %s", in->min_score);
    if (in->contrast && strcmp(in->contrast, "auto") != 0)
        fprintf(to, " --contrast %s", in->contrast);
    if (in->box)
        fprintf(to, " --box %lld", (long long)in->box);
    fprintf(to, " --outdir OUTDIR");
}

static void say_runs(FILE *to, const findings *f)
{
    bool poses = f->p->R && f->p->shift;

    head(to, "can be run");
    if (!f->images_known || !f->ctf_known || !f->stacks_sound || f->problems.count) {
        fprintf(to, "not before the problems below are solved\n");
        return;
    }
    fprintf(to, poses ? "with its known poses: " : "from images alone: ");
    say_command(to, f);
    fprintf(to, poses ? " --use_gt_poses True --use_conf_encoder False\n" : " --preset quick_look\n");
}

static void say_memory(FILE *to, const findings *f)
{
    char all[32], rows[32], loader[32], weights[32];

    head(to, "memory");
    fprintf(to, "%s: %s for the particles' rows, %s for batches of %lld read ahead, %s for the default decoder's weights\n",
            size_text(all, f->table_bytes + f->row_bytes + f->loader_bytes + f->training_bytes),
            size_text(rows, f->table_bytes + f->row_bytes), size_text(loader, f->loader_bytes), (long long)f->batch,
            size_text(weights, f->training_bytes));
    next_line(to);
    fprintf(to, "the decoder's working memory comes on top: cryodeco run ... --dry_run True forecasts it with your settings\n");
}

static void say_cache(FILE *to, const findings *f)
{
    char with[32], without[32];

    head(to, "cache");
    fprintf(to, "%s on disk, %s with the encoder's pixels (--cache_dir, on a local disk)\n", size_text(without, f->cache_bytes[0]),
            size_text(with, f->cache_bytes[1]));
}

static deco_status write_all(FILE *to, const findings *f)
{
    deco_status st = DECO_OK;

    say_source(to, f);
    if (f->p->N)
        say_images(to, f);
    if (f->p->N) {
        say_microscope(to, f);
        say_ctf(to, f);
    }
    if (f->p->N)
        say_poses(to, f);
    if (f->found)
        TRY(say_stacks(to, f));
    say_columns(to, f->p->rows);
    say_runs(to, f);
    if (f->images_known) {
        say_memory(to, f);
        say_cache(to, f);
    }
    head(to, "problems");
    fprintf(to, "%s\n", f->problems.count ? f->problems.path[0] : "none");
    for (int64_t i = 1; i < f->problems.count; i++) {
        next_line(to);
        fprintf(to, "%s\n", f->problems.path[i]);
    }
out:
    return st;
}

deco_status info_text(char **out, const findings *f)
{
    deco_status st = DECO_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return deco_fail_memory(4096, "the report");
    st = write_all(to, f);
    if (fclose(to) && !st)
        st = deco_fail_memory(size, "the report");
    if (st)
        free(text);
    else
        *out = text;
    return st;
}
