/* Weights of the encoder: what loads, by its real names, and what people have in their place. FORMATS.md section 1. */
#include "base/file.h"
#include "base/monitor.h"
#include "formats/safetensors.h"
#include "model/encoder.h"
#include "support/scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Sanitizers are some times slower, and so is a machine that does other things. */
enum { PATIENCE = 10 };

/* Bytes of this process in memory. */
static size_t resident(void)
{
    long pages = 0, held = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &held), 2);
    fclose(f);
    return (size_t)held * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- a file of weights, and one fault in it ------------------------------------------------------------------------------ */

typedef struct weights {
    deco_tensor_out *tensor;
    int64_t count;
    float **numbers;
    char (*name)[96];
} weights;

static deco_tensor_out *add(weights *w, const char *prefix, const char *name, int dims, const int64_t *shape, float value)
{
    int64_t n = 1, i = w->count++;
    w->tensor = realloc(w->tensor, (size_t)w->count * sizeof *w->tensor);
    w->numbers = realloc(w->numbers, (size_t)w->count * sizeof *w->numbers);
    w->name = realloc(w->name, (size_t)w->count * sizeof *w->name);
    snprintf(w->name[i], sizeof w->name[i], "%s%s", prefix, name);
    w->tensor[i] = (deco_tensor_out){.dtype = "F32", .dims = dims};
    for (int d = 0; d < dims; d++)
        n *= w->tensor[i].shape[d] = shape[d];
    w->numbers[i] = malloc((size_t)(n + 1) * sizeof(float));
    for (int64_t k = 0; k < n; k++)
        w->numbers[i][k] = value + (float)(k % 7) / 8;
    w->tensor[i].data = w->numbers[i];
    return &w->tensor[i];
}

static weights make(const char *prefix, int64_t C, int64_t depth, bool extras)
{
    static const int64_t scalar = 1;
    static const int64_t count = 3;
    weights w = {0};
    deco_vit v = {.side = 224, .patch = 14, .C = C, .depth = depth, .heads = 1, .Z = 1};
    char name[64];

    for (int64_t i = 0; i < deco_vit_tensors(&v); i++) {
        deco_vit_tensor t = deco_vit_tensor_at(&v, i);
        if (!t.ours)
            add(&w, prefix, t.name, t.dims, t.shape, (float)i);
    }
    for (int64_t i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "blocks.%lld.norm2.running_mean", (long long)i);
        add(&w, prefix, name, 1, &C, 0);
        snprintf(name, sizeof name, "blocks.%lld.norm2.running_var", (long long)i);
        add(&w, prefix, name, 1, &C, 1);
        snprintf(name, sizeof name, "blocks.%lld.norm2.num_batches_tracked", (long long)i);
        add(&w, prefix, name, 0, &scalar, 0)->dtype = "I32";
    }
    if (extras) { /* what is passed over */
        add(&w, prefix, "head.0.weight", 1, &C, 0);
        add(&w, prefix, "norm.weight", 1, &C, 0);
        add(&w, "momentum_encoder.", "cls_token", 1, &C, NAN);
        add(&w, "predictor.", "0.weight", 1, &count, 0);
    }
    return w;
}

static int64_t index_of(const weights *w, const char *name)
{
    for (int64_t i = 0; i < w->count; i++)
        if (!strcmp(w->name[i], name))
            return i;
    fail_msg("no %s", name);
    return -1;
}

static const char *save(const weights *w, const char *file)
{
    const char *path = scratch(file);
    for (int64_t i = 0; i < w->count; i++)
        w->tensor[i].name = w->name[i];
    if (deco_safetensors_write(path, w->tensor, w->count, NULL, NULL, 0))
        fail_msg("%s", deco_error());
    return path;
}

static void drop(weights *w)
{
    for (int64_t i = 0; i < w->count; i++)
        free(w->numbers[i]);
    free(w->tensor), free(w->numbers), free(w->name);
}

static void expect_refused(const char *path, int64_t heads, deco_status status, const char *const *words)
{
    deco_encoder_weights *w = NULL;
    deco_vit shape;
    assert_int_equal(deco_encoder_weights_open(&w, &shape, path, heads), status);
    assert_null(w);
    for (; *words; words++)
        if (!strstr(deco_error(), *words))
            fail_msg("\"%s\" does not say \"%s\"", deco_error(), *words);
}
#define REFUSED(path, heads, status, ...) expect_refused(path, heads, status, (const char *const[]){__VA_ARGS__, NULL})

/* ---- what loads ------------------------------------------------------------------------------------------------------------ */

static void shape_is_read_off_the_file_and_numbers_go_to_their_places(void **state)
{
    static const char *const prefixes[] = {"base_encoder.", "module.base_encoder.", ""};
    deco_device *dev;
    assert_int_equal(deco_device_create(&dev, "cpu", 1), DECO_OK);
    for (int i = 0; i < 3; i++) {
        weights w = make(prefixes[i], 8, 3, i < 2);
        deco_encoder_weights *open;
        deco_encoder *e;
        deco_vit v;
        if (deco_encoder_weights_open(&open, &v, save(&w, "w.safetensors"), 2))
            fail_msg("%s", deco_error());
        assert_int_equal(v.C, 8);
        assert_int_equal(v.depth, 3);
        assert_int_equal(v.heads, 2);
        assert_int_equal(v.side, 224);
        v.Z = 5;
        assert_int_equal(deco_encoder_allocate(&e, dev, &v, 0, false), DECO_OK);
        assert_int_equal(deco_encoder_weights_load(e, open), DECO_OK);
        for (int64_t k = 0; k < deco_vit_tensors(&v); k++) {
            deco_vit_tensor t = deco_vit_tensor_at(&v, k);
            for (int64_t j = 0; j < t.count; j++)
                if (e->x[t.offset + j] != (t.ours ? 0 : (float)k + (float)(j % 7) / 8))
                    fail_msg("number %lld of %s is %g", (long long)j, t.name, (double)e->x[t.offset + j]);
        }
        assert_true(e->running[5 * 8 + 1] == 1 + 1.f / 8); /* the third block's variances */
        deco_encoder_free(e);
        deco_encoder_weights_free(open);
        drop(&w);
    }
    deco_device_free(dev);
}

static void a_directory_may_be_named(void **state)
{
    weights w = make("base_encoder.", 8, 1, true);
    deco_encoder_weights *open;
    deco_vit v;
    assert_int_equal(deco_directory_make(scratch("vit_s")), DECO_OK);
    save(&w, "vit_s/cryo_ief_vit_s.safetensors");
    assert_int_equal(deco_encoder_weights_open(&open, &v, scratch("vit_s"), 1), DECO_OK);
    deco_encoder_weights_free(open);
    save(&w, "vit_s/another.safetensors");
    REFUSED(scratch("vit_s"), 1, DECO_E_FILE, "several other .safetensors files");
    save(&w, "vit_s/model.safetensors");
    assert_int_equal(deco_encoder_weights_open(&open, &v, scratch("vit_s"), 1), DECO_OK);
    deco_encoder_weights_free(open);
    assert_int_equal(deco_directory_make(scratch("empty")), DECO_OK);
    REFUSED(scratch("empty"), 1, DECO_E_FILE, "empty", "holds no model.safetensors");
    assert_int_equal(deco_file_put(scratch("empty/pytorch_model.bin"), "x", 1), DECO_OK);
    REFUSED(scratch("empty"), 1, DECO_E_FILE, "a pickle, which is not read");
    drop(&w);
}

static void heads_follow_the_width_or_are_asked_for(void **state)
{
    static const struct {
        int64_t C, heads;
    } known[] = {{192, 3}, {384, 12}, {768, 12}, {1024, 16}, {48, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(deco_encoder_heads(known[i].C), known[i].heads);
    weights w = make("base_encoder.", 12, 1, false);
    const char *path = save(&w, "w.safetensors");
    REFUSED(path, 0, DECO_E_ARGUMENT, "width is 12", "--encoder_heads");
    REFUSED(path, 5, DECO_E_ARGUMENT, "no multiple of encoder_heads, 5");
    drop(&w);
}

/* ---- what does not --------------------------------------------------------------------------------------------------------- */

static void every_wrong_tensor_is_named_at_once(void **state)
{
    weights w = make("base_encoder.", 8, 2, true);
    snprintf(w.name[index_of(&w, "base_encoder.blocks.0.attn.qkv.bias")], 96, "base_encoder.blocks.0.attn.qkv.bais");
    snprintf(w.name[index_of(&w, "base_encoder.blocks.1.norm2.running_var")], 96, "elsewhere");
    w.tensor[index_of(&w, "base_encoder.blocks.1.mlp.fc1.weight")].shape[0] = 31;
    w.tensor[index_of(&w, "base_encoder.pos_embed")].shape[1] = 197;
    w.tensor[index_of(&w, "base_encoder.blocks.1.norm1.weight")].dtype = "I32";
    REFUSED(save(&w, "w.safetensors"), 2, DECO_E_FORMAT, "w.safetensors: 6 tensors", "2 blocks of width 8",
            "base_encoder.blocks.0.attn.qkv.bias missing", "base_encoder.blocks.0.attn.qkv.bais too many", "running_var missing",
            "base_encoder.blocks.1.mlp.fc1.weight is [31,8], not [32,8]", "pos_embed is [1,197,8], not [1,257,8]", "holds I32");
    drop(&w);
}

static void other_transformers_are_told_apart(void **state)
{
    static const int64_t rgb[] = {8, 3, 14, 14}, wide[] = {8, 1, 16, 16}, some[] = {2};
    weights w = {0};
    add(&w, "", "patch_embed.proj.weight", 4, rgb, 0);
    REFUSED(save(&w, "rgb.safetensors"), 0, DECO_E_FORMAT, "rgb.safetensors", "images of 3 channels", "not Cryo-IEF");
    drop(&w);
    w = (weights){0};
    add(&w, "base_encoder.", "patch_embed.proj.weight", 4, wide, 0);
    REFUSED(save(&w, "sixteen.safetensors"), 0, DECO_E_FORMAT, "16×16 pixels", "14×14");
    drop(&w);
    w = (weights){0};
    add(&w, "", "lm_head.weight", 1, some, 0);
    REFUSED(save(&w, "other.safetensors"), 0, DECO_E_FORMAT, "lm_head.weight", "base_encoder.");
    drop(&w);
}

static void numbers_must_be_finite(void **state)
{
    weights w = make("base_encoder.", 8, 2, true);
    int64_t i = index_of(&w, "base_encoder.blocks.1.attn.proj.weight");
    w.numbers[i][9] = NAN;
    REFUSED(save(&w, "w.safetensors"), 2, DECO_E_FORMAT, "number 9 of base_encoder.blocks.1.attn.proj.weight is nan");
    w.numbers[i][9] = 0;
    w.numbers[index_of(&w, "base_encoder.blocks.0.norm2.running_var")][3] = -1;
    REFUSED(save(&w, "w.safetensors"), 2, DECO_E_FORMAT, "number 3 of base_encoder.blocks.0.norm2.running_var is -1");
    drop(&w);
}

static void pickles_pointers_and_pages_are_said(void **state)
{
    const char *path = scratch("weights.pt");
    assert_int_equal(deco_file_put(path, "PK\x03\x04rest of an archive", 22), DECO_OK);
    REFUSED(path, 0, DECO_E_FORMAT, "weights.pt", "PyTorch pickle", "save_file");
    assert_int_equal(deco_file_put(path, "\x80\x02}q\x00", 6), DECO_OK);
    REFUSED(path, 0, DECO_E_FORMAT, "PyTorch pickle");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 345\n";
    assert_int_equal(deco_file_put(path, pointer, strlen(pointer)), DECO_OK);
    REFUSED(path, 0, DECO_E_FORMAT, "Git LFS pointer", "git lfs pull");
    assert_int_equal(deco_file_put(path, "<!DOCTYPE html><html>", 21), DECO_OK);
    REFUSED(path, 0, DECO_E_FORMAT, "web page");
    assert_int_equal(deco_file_put(path, "", 0), DECO_OK);
    REFUSED(path, 0, DECO_E_FORMAT, "ends at byte 0");
    REFUSED(scratch("absent"), 0, DECO_E_FILE, "absent");
}

/* Every cut and every flipped bit of the header: refused, or the same names and shapes. */
static void cut_and_flipped_files_are_refused_or_whole(void **state)
{
    weights w = make("base_encoder.", 4, 1, true);
    const char *path = save(&w, "w.safetensors"), *bad = scratch("bad.safetensors");
    char *bytes;
    size_t size;
    int refused = 0;
    assert_int_equal(deco_file_get(&bytes, &size, path, 0), DECO_OK);
    for (size_t n = 0; n < size; n += size / 97 + 1) {
        deco_encoder_weights *open;
        deco_vit v;
        scratch_put("bad.safetensors", bytes, n);
        assert_int_not_equal(deco_encoder_weights_open(&open, &v, bad, 1), DECO_OK);
    }
    for (size_t at = 0; at < 4000; at += 13) {
        deco_encoder_weights *open = NULL;
        deco_vit v;
        bytes[at] ^= (char)(1 << at % 8);
        scratch_put("bad.safetensors", bytes, size);
        if (deco_encoder_weights_open(&open, &v, bad, 1))
            refused++;
        deco_encoder_weights_free(open);
        bytes[at] ^= (char)(1 << at % 8);
    }
    assert_true(refused > 100);
    free(bytes);
    drop(&w);
}

/* The real sizes by their real names: in under 2 s from a warm disk, and in no more memory than the numbers and a tenth. */
static void small_and_base_load_in_time_and_memory(void **state)
{
    static const char *const names[] = {"vit_small", "vit_base"};
    const char *longer = getenv("CRYODECO_LONG");
    for (int i = 0; i < (longer && *longer == '1' ? 2 : 1); i++) {
        deco_vit v = {.Z = 128};
        deco_encoder_weights *open;
        deco_encoder *e;
        deco_device *dev;
        assert_true(deco_encoder_named(&v, names[i]));
        weights w = make("base_encoder.", v.C, v.depth, true);
        const char *path = save(&w, "real.safetensors");
        drop(&w);
        assert_int_equal(deco_device_create(&dev, "cpu", 1), DECO_OK);
        double start = deco_seconds();
        size_t before = resident();
        deco_vit found;
        if (deco_encoder_weights_open(&open, &found, path, 0))
            fail_msg("%s", deco_error());
        assert_int_equal(found.C, v.C);
        assert_int_equal(found.depth, v.depth);
        assert_int_equal(found.heads, v.heads);
        assert_int_equal(deco_encoder_allocate(&e, dev, &v, 0, false), DECO_OK);
        assert_int_equal(deco_encoder_weights_load(e, open), DECO_OK);
        double took = deco_seconds() - start, numbers = (double)e->count * sizeof(float);
        double grown = (double)resident() - (double)before;
        printf("  %s: %.2f s, %.0f MB for %.0f MB of numbers\n", names[i], took, grown / 1e6, numbers / 1e6);
        assert_true(grown < 1.1 * numbers);
        assert_true(took < 2 * PATIENCE);
        deco_encoder_free(e);
        deco_encoder_weights_free(open);
        deco_device_free(dev);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_is_read_off_the_file_and_numbers_go_to_their_places),
        cmocka_unit_test(a_directory_may_be_named),
        cmocka_unit_test(heads_follow_the_width_or_are_asked_for),
        cmocka_unit_test(every_wrong_tensor_is_named_at_once),
        cmocka_unit_test(other_transformers_are_told_apart),
        cmocka_unit_test(numbers_must_be_finite),
        cmocka_unit_test(pickles_pointers_and_pages_are_said),
        cmocka_unit_test(cut_and_flipped_files_are_refused_or_whole),
        cmocka_unit_test(small_and_base_load_in_time_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
