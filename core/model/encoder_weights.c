/* Cryo-IEF's weights: what they must hold, what a file holds instead, and into an encoder. FORMATS.md section 1.
 *
 * A file may hold several times what is wanted (the momentum encoder, the predictor), so only its header is read, and then the wanted
 * tensors through a small buffer. */
#include "model/encoder.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 }; /* floats read at a time */

static const char wanted_prefix[] = "base_encoder.";

struct deco_encoder_weights {
    deco_tensors *file;
    const char *prefix; /* of the wanted names; "" in files that hold the encoder alone */
    deco_vit shape;
};

/* ---- what else a path may be ------------------------------------------------------------------------------------------ */

/* The file of a directory: model.safetensors, or the only one of its kind under another name. */
static deco_status file_in(char **out, const char *path)
{
    deco_status st = DECO_OK;
    int found = 0;
    bool pickle = false;
    char *other = NULL;
    DIR *d = NULL;

    if (!deco_path_is_directory(path)) {
        *out = strdup(path);
        return *out ? DECO_OK : deco_fail_memory(strlen(path), "a path");
    }
    if (!(*out = deco_path_join(path, "model.safetensors")))
        TRY(deco_fail_memory(strlen(path), "a path"));
    if (deco_path_exists(*out))
        goto out;
    d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        pickle = pickle || (dot && (!strcmp(dot, ".bin") || !strcmp(dot, ".pt") || !strcmp(dot, ".pth") || !strcmp(dot, ".ckpt")));
        if (!dot || strcmp(dot, ".safetensors") != 0)
            continue;
        found++;
        free(other);
        if (!(other = deco_path_join(path, e->d_name)))
            TRY(deco_fail_memory(strlen(path), "a path"));
    }
    if (found == 1) {
        free(*out);
        *out = other;
        other = NULL;
    } else
        st = deco_fail(DECO_E_FILE, "%s: holds no model.safetensors%s", path,
                       found    ? ", but several other .safetensors files: name one of them"
                       : pickle ? ", but a pickle, which is not read: it can run code. Download the .safetensors of the same release"
                                : ": name the directory that Cryo-IEF's weights were downloaded to, or the file itself");
out:
    if (d)
        closedir(d);
    free(other);
    return st;
}

static bool begins(const unsigned char *head, size_t n, const char *magic)
{
    return n >= strlen(magic) && !memcmp(head, magic, strlen(magic));
}

/* Files that people have in place of the weights. */
static deco_status refuse_others(const char *path)
{
    deco_status st = DECO_OK;
    unsigned char head[512];
    int fd = -1;
    uint64_t size = 0;

    TRY(deco_file_open(&fd, &size, path));
    size_t n = size < sizeof head ? (size_t)size : sizeof head;
    TRY(deco_read_at(fd, path, head, n, 0));
    if (begins(head, n, "version https://git-lfs.github.com/spec/"))
        st = deco_fail(
            DECO_E_FORMAT,
            "%s: is a Git LFS pointer of %llu bytes, which stands for the weights, not the weights themselves: fetch them with `git lfs "
            "pull`, or with the download button of their Hugging Face page",
            path, (unsigned long long)size);
    else if (begins(head, n, "PK\x03\x04") || (n >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5))
        st = deco_fail(
            DECO_E_FORMAT,
            "%s: is a PyTorch pickle, which is not read, because it can run code. Convert it once, where you trust it: python3 -c \"import "
            "torch; from safetensors.torch import save_file; d = torch.load('weights.pt', map_location='cpu', weights_only=True); "
            "d = d.get('state_dict', d); save_file({k: v.contiguous() for k, v in d.items()}, 'model.safetensors')\"",
            path);
    else if (begins(head, n, "<!DOCTYPE") || begins(head, n, "<!doctype") || begins(head, n, "<html"))
        st = deco_fail(DECO_E_FORMAT, "%s: is a web page, not the weights: download the file itself, not the page that shows it", path);
out:
    if (fd >= 0)
        close(fd);
    return st;
}

/* ---- whose weights --------------------------------------------------------------------------------------------------- */

static const deco_tensor *find(const deco_encoder_weights *w, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", w->prefix, name);
    return deco_safetensors_find(w->file, full);
}

static bool has_prefix(const deco_tensors *t, const char *prefix)
{
    for (int64_t i = 0; i < t->count; i++)
        if (!strncmp(t->tensor[i].name, prefix, strlen(prefix)))
            return true;
    return false;
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcmp(name + n - m, with);
}

/* Transformers for photographs, by the projection of their patches: of three colours, or of patches of another size. */
static deco_status check_family(const deco_tensors *t)
{
    for (int64_t i = 0; i < t->count; i++) {
        const deco_tensor *x = &t->tensor[i];
        bool patch = ends(x->name, "patch_embed.proj.weight") || ends(x->name, "patch_embeddings.projection.weight");
        if (!patch || x->dims != 4)
            continue;
        if (x->shape[1] != 1)
            return deco_fail(
                DECO_E_FORMAT,
                "%s: is a vision transformer for images of %lld channels (%s), not Cryo-IEF, which sees one: photographs taught it "
                "nothing about particles",
                t->path, (long long)x->shape[1], x->name);
        if (x->shape[2] != DECO_ENCODER_PATCH || x->shape[3] != DECO_ENCODER_PATCH)
            return deco_fail(DECO_E_FORMAT, "%s: its patches are of %lld×%lld pixels (%s); Cryo-IEF's are of %d×%d", t->path,
                             (long long)x->shape[2], (long long)x->shape[3], x->name, DECO_ENCODER_PATCH, DECO_ENCODER_PATCH);
    }
    return DECO_OK;
}

static deco_status find_prefix(deco_encoder_weights *w)
{
    static const char *const known[] = {wanted_prefix, "module.base_encoder.", ""}; /* as saved, from several GPUs, or the encoder alone */
    const deco_tensors *t = w->file;
    for (int i = 0; i < 2; i++)
        if (has_prefix(t, known[i])) {
            w->prefix = known[i];
            return DECO_OK;
        }
    w->prefix = known[2];
    if (deco_safetensors_find(t, "patch_embed.proj.weight") && deco_safetensors_find(t, "cls_token"))
        return DECO_OK;
    return deco_fail(DECO_E_FORMAT, "%s: none of its %lld tensors%s%s%s is under %s; these are not the weights of Cryo-IEF", t->path,
                     (long long)t->count, t->count ? ", as " : "", t->count ? t->tensor[0].name : "", t->count ? "," : "", wanted_prefix);
}

/* Width from the class token, or whatever else tells it; depth from the block with the highest number. */
static deco_status read_shape(deco_encoder_weights *w)
{
    const deco_tensor *cls = find(w, "cls_token"), *bias = find(w, "patch_embed.proj.bias");
    size_t n = strlen(w->prefix);
    long long block, depth = 0;

    w->shape = (deco_vit){.side = DECO_ENCODER_SIDE, .patch = DECO_ENCODER_PATCH, .Z = 1};
    for (int64_t i = 0; i < w->file->count; i++) {
        const char *name = w->file->tensor[i].name;
        if (!strncmp(name, w->prefix, n) && sscanf(name + n, "blocks.%lld.", &block) == 1 && block >= depth && block < 1024)
            depth = block + 1;
    }
    w->shape.depth = depth;
    w->shape.C = cls && cls->dims == 3 ? cls->shape[2] : bias && bias->dims == 1 ? bias->shape[0] : 0;
    if (!depth || w->shape.C < 4 || w->shape.C > 16384 || w->shape.C % 4)
        return deco_fail(DECO_E_FORMAT, "%s: %lld blocks of width %lld (%scls_token) are no vision transformer that could be built",
                         w->file->path, depth, (long long)w->shape.C, w->prefix);
    return DECO_OK;
}

static deco_status choose_heads(deco_encoder_weights *w, int64_t heads)
{
    int64_t C = w->shape.C, usual = deco_encoder_heads(C);
    w->shape.heads = heads ? heads : usual;
    if (!w->shape.heads)
        return deco_fail(
            DECO_E_ARGUMENT,
            "%s: its width is %lld, of which the number of attention heads is not known (192 has 3, 384 and 768 have 12, 1024 has "
            "16): give it with --encoder_heads",
            w->file->path, (long long)C);
    if (C % w->shape.heads)
        return deco_fail(DECO_E_ARGUMENT, "%s: its width, %lld, is no multiple of encoder_heads, %lld", w->file->path, (long long)C,
                         (long long)w->shape.heads);
    return DECO_OK;
}

/* ---- every tensor ---------------------------------------------------------------------------------------------------- */

/* What is wrong with them, one after the other. */
typedef struct faults {
    char *text;
    size_t used;
    int64_t count;
} faults;

enum { FAULTS_SIZE = DECO_MESSAGE_SIZE };

__attribute__((format(printf, 2, 3))) static void add_fault(faults *f, const char *format, ...)
{
    va_list args;
    size_t room = FAULTS_SIZE - f->used;

    f->count++;
    va_start(args, format);
    int n = snprintf(f->text + f->used, room, "%s", f->used ? ", " : "");
    n += vsnprintf(f->text + f->used + n, room > (size_t)n ? room - (size_t)n : 0, format, args);
    va_end(args);
    f->used = (size_t)n < room ? f->used + (size_t)n : FAULTS_SIZE - 1;
}

static const char *shape_text(char text[96], int dims, const int64_t *shape)
{
    int n = snprintf(text, 96, "[");
    for (int i = 0; i < dims && n < 80; i++)
        n += snprintf(text + n, 96 - (size_t)n, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(text + n, 96 - (size_t)n, "]");
    return text;
}

static bool is_floating(const deco_tensor *x)
{
    return !strcmp(x->dtype, "F32") || !strcmp(x->dtype, "F16") || !strcmp(x->dtype, "BF16") || !strcmp(x->dtype, "F64");
}

static void check_one(faults *f, const deco_encoder_weights *w, const char *name, int dims, const int64_t *shape)
{
    const deco_tensor *x = find(w, name);
    char is[96], must[96];
    bool same = x && x->dims == dims;

    for (int i = 0; same && i < dims; i++)
        same = x->shape[i] == shape[i];
    if (!x)
        add_fault(f, "%s%s missing", w->prefix, name);
    else if (!same)
        add_fault(f, "%s%s is %s, not %s", w->prefix, name, shape_text(is, x->dims, x->shape), shape_text(must, dims, shape));
    else if (!is_floating(x))
        add_fault(f, "%s%s holds %s, not floating numbers", w->prefix, name, x->dtype);
}

static void running_name(char name[64], int64_t block, const char *what)
{
    snprintf(name, 64, "blocks.%lld.norm2.%s", (long long)block, what);
}

static const char *const running_names[] = {"running_mean", "running_var"};

/* Is the name one of a tensor that is used, or of one that is passed over? */
static bool is_known(const deco_encoder_weights *w, const char *name)
{
    char tail[64];
    long long block;

    if (!strncmp(name, "head.", 5) || !strncmp(name, "norm.", 5))
        return true;
    bool in_block = sscanf(name, "blocks.%lld.", &block) == 1;
    if (in_block && (block < 0 || block >= w->shape.depth))
        return false;
    for (int64_t i = in_block ? 4 + 12 * block : 0, end = in_block ? i + 12 : 4; i < end; i++) /* the order of compute/vit.h */
        if (!strcmp(deco_vit_tensor_at(&w->shape, i).name, name))
            return true;
    return in_block && sscanf(name, "blocks.%*d.norm2.%40s", tail) == 1 &&
           (!strcmp(tail, running_names[0]) || !strcmp(tail, running_names[1]) || !strcmp(tail, "num_batches_tracked"));
}

/* A block whose second norm has no running statistics is one with a LayerNorm there. */
static deco_status check_tensors(const deco_encoder_weights *w)
{
    deco_status st = DECO_OK;
    faults f = {0};
    const deco_tensors *t = w->file;
    size_t n = strlen(w->prefix);
    int64_t C = w->shape.C, running = 0;
    char name[64];

    TRY(deco_alloc(&f.text, FAULTS_SIZE, 1, "a list of tensors"));
    for (int64_t i = 0; i < deco_vit_tensors(&w->shape); i++) {
        deco_vit_tensor x = deco_vit_tensor_at(&w->shape, i);
        if (!x.ours)
            check_one(&f, w, x.name, x.dims, x.shape);
    }
    for (int64_t i = 0; i < w->shape.depth; i++)
        for (int k = 0; k < 2; k++) {
            running_name(name, i, running_names[k]);
            check_one(&f, w, name, 1, &C);
            running += find(w, name) != NULL;
        }
    for (int64_t i = 0; i < t->count; i++)
        if (!strncmp(t->tensor[i].name, w->prefix, n) && !is_known(w, t->tensor[i].name + n))
            add_fault(&f, "%s too many", t->tensor[i].name);
    if (f.count)
        st = deco_fail(DECO_E_FORMAT, "%s: %lld tensors are not those of Cryo-IEF with %lld blocks of width %lld%s: %s", t->path,
                       (long long)f.count, (long long)w->shape.depth, (long long)C,
                       running ? "" : " (no block has running statistics: it is a transformer with LayerNorm where Cryo-IEF has BatchNorm)",
                       f.text);
out:
    free(f.text);
    return st;
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

/* Tensor `name` through the buffer, to `device` (or nowhere: NULL), looked at on the way. Variances are not negative. */
static deco_status stream(const deco_encoder_weights *w, float *buffer, const char *name, bool variance, deco_device *dev, float *device)
{
    deco_status st = DECO_OK;
    const deco_tensor *x = find(w, name);

    for (int64_t first = 0; first < x->count; first += BUFFER) {
        int64_t n = x->count - first < BUFFER ? x->count - first : BUFFER;
        TRY(deco_tensor_read(buffer, w->file, x, first, n));
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(buffer[i]) || (variance && buffer[i] < 0))
                TRY(deco_fail(
                    DECO_E_FORMAT,
                    "%s: number %lld of %s is %g; weights are finite numbers%s: the file is damaged, or of a training that failed",
                    w->file->path, (long long)(first + i), x->name, (double)buffer[i], variance ? ", variances not negative" : ""));
        if (device)
            TRY(deco_device_upload(dev, device + first, buffer, (size_t)n * sizeof *buffer));
    }
out:
    return st;
}

/* All of them into `e`, or, with NULL, only looked at. */
static deco_status stream_all(deco_encoder *e, const deco_encoder_weights *w)
{
    deco_status st = DECO_OK;
    float *buffer = NULL;
    char name[64];

    TRY(deco_alloc(&buffer, BUFFER, sizeof *buffer, "weights"));
    for (int64_t i = 0; i < deco_vit_tensors(&w->shape); i++) {
        deco_vit_tensor t = deco_vit_tensor_at(&w->shape, i);
        if (!t.ours)
            TRY(stream(w, buffer, t.name, false, e ? e->dev : NULL, e ? e->x + t.offset : NULL));
    }
    for (int64_t i = 0; i < w->shape.depth; i++)
        for (int k = 0; k < 2; k++) {
            running_name(name, i, running_names[k]);
            TRY(stream(w, buffer, name, k == 1, e ? e->dev : NULL, e ? e->running + (2 * i + k) * w->shape.C : NULL));
        }
out:
    free(buffer);
    return st;
}

/* ---- made and freed -------------------------------------------------------------------------------------------------- */

deco_status deco_encoder_weights_open(deco_encoder_weights **out, deco_vit *shape, const char *path, int64_t heads)
{
    deco_status st = DECO_OK;
    deco_encoder_weights *w = NULL;
    char *file = NULL;

    *out = NULL;
    TRY(file_in(&file, path));
    TRY(refuse_others(file));
    TRY(deco_alloc(&w, 1, sizeof *w, "weights"));
    TRY(deco_safetensors_open(&w->file, file));
    TRY(check_family(w->file));
    TRY(find_prefix(w));
    TRY(read_shape(w));
    TRY(choose_heads(w, heads));
    TRY(check_tensors(w));
    TRY(stream_all(NULL, w));
    *shape = w->shape;
    shape->Z = 0;
    *out = w;
    w = NULL;
out:
    deco_encoder_weights_free(w);
    free(file);
    return st;
}

void deco_encoder_weights_free(deco_encoder_weights *w)
{
    if (!w)
        return;
    deco_safetensors_free(w->file);
    free(w);
}

deco_status deco_encoder_weights_load(deco_encoder *e, const deco_encoder_weights *w)
{
    const deco_vit *a = &e->shape, *b = &w->shape;
    if (a->C != b->C || a->depth != b->depth || a->heads != b->heads || a->side != b->side || a->patch != b->patch)
        return deco_fail(DECO_E_ARGUMENT, "%s: its shape is not that of the encoder it is to go into", w->file->path);
    return stream_all(e, w);
}
