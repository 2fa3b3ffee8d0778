/* Checkpoints: what is written comes back to the bit, the same state is the same bytes, and damage is refused by the file's name. */
#include "base/file.h"
#include "formats/safetensors.h"
#include "model/model.h"
#include "support/scratch.h"

#include <locale.h>
#include <math.h>
#include <sys/stat.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_device *dev;

static const deco_position here = {.epoch = 4,
                                   .step = 17,
                                   .seed = UINT64_MAX - 5,
                                   .digest = "0123456789abcdef",
                                   .images = 170,
                                   .loss_sum = 1.0 / 7,
                                   .halvings = 2,
                                   .turned_little = 9,
                                   .moved_little = 8,
                                   .still = 1,
                                   .skipped = 7,
                                   .search_radius = 48};

static void fill(float *device, int64_t n, float first)
{
    float *host = malloc((size_t)n * sizeof *host);
    for (int64_t i = 0; i < n; i++)
        host[i] = first + 1e-3f * (float)i;
    assert_int_equal(deco_device_upload(dev, device, host, (size_t)n * sizeof *host), DECO_OK);
    free(host);
}

static deco_model *make_with(int64_t Z, bool train_poses)
{
    deco_model_config c = {.shape = {.L = 9, .pe_dim = 2, .H = 5, .n = 1, .Z = Z, .layer_norm = true},
                           .feat_sigma = 0.5,
                           .psize_A = 1.0 / 3,
                           .std = 0.1 + 0.2,
                           .D = 8,
                           .radius = 3,
                           .N = 6,
                           .train_poses = train_poses,
                           .seed = 3};
    deco_model *m;
    assert_int_equal(deco_model_create(&m, dev, &c), DECO_OK);
    fill(m->decoder.m, m->decoder.count, -1);
    fill(m->decoder.v, m->decoder.count, 2);
    if (m->latents.count) {
        fill(m->latents.m, m->latents.count, 3);
        fill(m->latents.v, m->latents.count, 4);
    }
    fill(m->shifts.x, m->shifts.count, 5);
    if (train_poses) {
        fill(m->rotations.m, m->rotations.count, 6);
        fill(m->rotations.v, m->rotations.count, 7);
        fill(m->shifts.m, m->shifts.count, 8);
        fill(m->shifts.v, m->shifts.count, 9);
        m->pose_steps = 77;
    }
    m->decoder_steps = 1234567890123;
    m->latent_steps = 99;
    return m;
}

static deco_model *make(int64_t Z) { return make_with(Z, true); }

static void same_numbers(const float *a, const float *b, int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    assert_int_equal(deco_device_download(dev, x, a, (size_t)n * sizeof *x), DECO_OK);
    assert_int_equal(deco_device_download(dev, y, b, (size_t)n * sizeof *y), DECO_OK);
    assert_memory_equal(x, y, (size_t)n * sizeof *x);
    free(x);
    free(y);
}

static void begin_epoch(deco_model *m)
{
    assert_int_equal(deco_epoch_start_make(m, 4), DECO_OK);
    fill(m->start.six, 4 * 6, 11);
    fill(m->start.shift, 4 * 2, 12);
    if (m->shape.Z)
        fill(m->start.z, 4 * m->shape.Z, 13);
    m->start.known = true;
}

static void the_start_of_an_epoch_comes_back_from_inside_it_alone(void **state)
{
    (void)state;
    for (int64_t Z = 0; Z < 4; Z += 3) {
        deco_model *a = make(Z), *b;
        deco_position at = here;
        const char *path = scratch("start.safetensors");
        begin_epoch(a);
        assert_int_equal(deco_checkpoint_write(path, a, &at), DECO_OK);
        assert_int_equal(deco_checkpoint_read(&b, &at, dev, path, DECO_READ_ALL), DECO_OK);
        assert_true(b->start.known && b->start.n == 4);
        same_numbers(a->start.six, b->start.six, 4 * 6);
        same_numbers(a->start.shift, b->start.shift, 4 * 2);
        if (Z)
            same_numbers(a->start.z, b->start.z, 4 * Z);
        deco_model_free(b);
        at.step = 0;
        assert_int_equal(deco_checkpoint_write(path, a, &at), DECO_OK);
        assert_int_equal(deco_checkpoint_read(&b, &at, dev, path, DECO_READ_ALL), DECO_OK);
        assert_true(!b->start.known && !b->start.n);
        deco_model_free(b);
        deco_model_free(a);
    }
}

static void same_trained(const deco_trained *a, const deco_trained *b)
{
    assert_int_equal(a->count, b->count);
    if (!a->count)
        return;
    same_numbers(a->x, b->x, a->count);
    assert_true(!a->m == !b->m && !a->v == !b->v);
    if (!a->m)
        return;
    same_numbers(a->m, b->m, a->count);
    same_numbers(a->v, b->v, a->count);
}

static void training_state_comes_back_to_the_bit(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        int64_t Z = round % 2 ? 3 : 0;
        deco_model *a = make_with(Z, round / 2), *b;
        deco_position at;
        const char *path = scratch("round.safetensors");
        assert_int_equal(deco_checkpoint_write(path, a, &here), DECO_OK);
        assert_int_equal(deco_checkpoint_read(&b, &at, dev, path, true), DECO_OK);
        same_trained(&a->decoder, &b->decoder);
        same_trained(&a->latents, &b->latents);
        same_trained(&a->rotations, &b->rotations);
        same_trained(&a->shifts, &b->shifts);
        assert_int_equal(b->pose_steps, a->pose_steps);
        same_numbers(a->freqs, b->freqs, 9 * a->shape.pe_dim);
        assert_int_equal(b->shape.L, 9);
        assert_int_equal(b->shape.pe_dim, 2);
        assert_int_equal(b->shape.H, 5);
        assert_int_equal(b->shape.n, 1);
        assert_int_equal(b->shape.Z, Z);
        assert_true(b->shape.layer_norm);
        assert_int_equal(b->D, 8);
        assert_int_equal(b->radius, 3);
        assert_true(b->psize_A == a->psize_A && b->std == a->std);
        assert_int_equal(b->decoder_steps, a->decoder_steps);
        assert_int_equal(b->latent_steps, a->latent_steps);
        assert_int_equal(at.epoch, here.epoch);
        assert_int_equal(at.step, here.step);
        assert_true(at.seed == here.seed);
        assert_string_equal(at.digest, here.digest);
        assert_int_equal(at.images, here.images);
        assert_true(at.loss_sum == here.loss_sum);
        assert_int_equal(at.halvings, here.halvings);
        assert_true(at.turned_little == 9 && at.moved_little == 8 && at.still == 1 && at.skipped == 7 && at.search_radius == 48);
        deco_model_free(a);
        deco_model_free(b);
    }
}

static void same_state_is_the_same_bytes(void **state)
{
    deco_model *a = make(3), *b;
    deco_position at;
    size_t na, nb;

    (void)state;
    assert_int_equal(deco_checkpoint_write(scratch("a.safetensors"), a, &here), DECO_OK);
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("a.safetensors"), true), DECO_OK);
    assert_int_equal(deco_checkpoint_write(scratch("b.safetensors"), b, &at), DECO_OK);
    unsigned char *x = scratch_get(&na, scratch("a.safetensors")), *y = scratch_get(&nb, scratch("b.safetensors"));
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
    deco_model_free(a);
    deco_model_free(b);
}

static void decimal_comma_of_the_host_does_no_harm(void **state)
{
    deco_model *a = make(3), *b;
    deco_position at;
    char *before = strdup(setlocale(LC_ALL, NULL));

    (void)state;
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is not installed this is a plain round trip */
    assert_int_equal(deco_checkpoint_write(scratch("de.safetensors"), a, &here), DECO_OK);
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("de.safetensors"), true), DECO_OK);
    assert_true(a->std == b->std);
    setlocale(LC_ALL, before);
    free(before);
    deco_model_free(a);
    deco_model_free(b);
}

static void decoding_alone_takes_no_moments_and_no_table(void **state)
{
    deco_model *a = make(3), *b;
    deco_position at;

    (void)state;
    assert_int_equal(deco_checkpoint_write(scratch("d.safetensors"), a, &here), DECO_OK);
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("d.safetensors"), false), DECO_OK);
    same_numbers(a->decoder.x, b->decoder.x, a->decoder.count);
    same_numbers(a->mean, b->mean, a->decoder.count);
    assert_null(b->decoder.m);
    assert_int_equal(b->latents.count, 0);
    assert_true(!b->rotations.count && !b->shifts.count);
    assert_int_equal(b->N, 6);
    deco_model_free(a);
    deco_model_free(b);
}

/* Bits all over the file: header length, names, metadata, the spaces that fill up the header, tensors. */
static void any_flipped_bit_is_refused_by_name(void **state)
{
    deco_model *a = make(3), *b = NULL;
    deco_position at;
    size_t n;

    (void)state;
    assert_int_equal(deco_checkpoint_write(scratch("whole.safetensors"), a, &here), DECO_OK);
    unsigned char *bytes = scratch_get(&n, scratch("whole.safetensors"));
    for (size_t i = 0; i < n; i += 1 + i % 13) {
        unsigned char was = bytes[i];
        bytes[i] ^= (unsigned char)(1 << i % 8);
        const char *path = scratch_put("flipped.safetensors", bytes, n);
        deco_status st = deco_checkpoint_read(&b, &at, dev, path, true);
        if (st != DECO_E_FORMAT)
            fail_msg("bit %zu of byte %zu of %zu flipped: status %d", i % 8, i, n, (int)st);
        assert_null(b);
        assert_non_null(strstr(deco_error(), "flipped.safetensors"));
        bytes[i] = was;
    }
    free(bytes);
    deco_model_free(a);
}

static void a_lost_model_is_not_written(void **state)
{
    const float bad[] = {NAN, INFINITY};
    (void)state;
    for (int i = 0; i < 2; i++) {
        deco_model *a = make(3);
        assert_int_equal(deco_device_upload(dev, i ? a->latents.v + 4 : a->decoder.x, bad + i, sizeof *bad), DECO_OK);
        assert_int_equal(deco_checkpoint_write(scratch("lost.safetensors"), a, &here), DECO_E_DIVERGED);
        assert_non_null(strstr(deco_error(), i ? "number 4 of adam.v.latents is inf" : "number 0 of "));
        assert_int_not_equal(access(scratch("lost.safetensors"), F_OK), 0);
        deco_model_free(a);
    }
}

static void cut_file_is_refused(void **state)
{
    deco_model *a = make(3), *b = NULL;
    deco_position at;
    size_t n;

    (void)state;
    assert_int_equal(deco_checkpoint_write(scratch("whole.safetensors"), a, &here), DECO_OK);
    unsigned char *bytes = scratch_get(&n, scratch("whole.safetensors"));
    for (size_t keep = 0; keep < n; keep += 97) {
        assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch_put("cut.safetensors", bytes, keep), true), DECO_E_FORMAT);
        assert_non_null(strstr(deco_error(), "cut.safetensors"));
    }
    free(bytes);
    deco_model_free(a);
}

static void every_missing_tensor_is_named(void **state)
{
    deco_model *a = make(0), *b;
    deco_position at;
    deco_tensors *t;
    deco_tensor_out out[80];
    int64_t n = 0;

    (void)state;
    assert_int_equal(deco_checkpoint_write(scratch("all.safetensors"), a, &here), DECO_OK);
    assert_int_equal(deco_safetensors_read(&t, scratch("all.safetensors")), DECO_OK);
    for (int64_t i = 0; i < t->count; i++)
        if (strcmp(t->tensor[i].name, "rand_freqs") && strcmp(t->tensor[i].name, "adam.v.decoder.main_layers.1.bias"))
            out[n++] = (deco_tensor_out){
                t->tensor[i].name, "F32", t->tensor[i].dims, {t->tensor[i].shape[0], t->tensor[i].shape[1]}, t->tensor[i].data};
    assert_int_equal(deco_safetensors_write(scratch("few.safetensors"), out, n, (const char *const *)t->metadata_key,
                                            (const char *const *)t->metadata_value, t->metadata_count),
                     DECO_OK);
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("few.safetensors"), true), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "few.safetensors"));
    assert_non_null(strstr(deco_error(), "rand_freqs missing"));
    assert_non_null(strstr(deco_error(), "adam.v.decoder.main_layers.1.bias missing"));
    deco_safetensors_free(t);
    deco_model_free(a);
}

static void other_safetensors_are_no_checkpoint(void **state)
{
    deco_model *b;
    deco_position at;
    const float one = 1;
    const deco_tensor_out out = {"x", "F32", 0, {0}, &one};

    (void)state;
    assert_int_equal(deco_safetensors_write(scratch("other.safetensors"), &out, 1, NULL, NULL, 0), DECO_OK);
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("other.safetensors"), true), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "no checkpoint of cryodeco"));
    assert_int_equal(deco_checkpoint_read(&b, &at, dev, scratch("nowhere.safetensors"), true), DECO_E_FILE);
}

static void newest_epoch_opens_by_number(void **state)
{
    deco_model *a = make(3), *m;
    const int64_t epochs[] = {-1, 9, 10};
    float z[3] = {0.1f, -0.2f, 0.3f}, map9[512], map10[512], again[512];

    (void)state;
    assert_int_equal(deco_directory_make(scratch("run/out")), DECO_OK);
    assert_int_equal(deco_model_open(&m, scratch("run"), -2, 1), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "run/out"));
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "run/out/weights.%lld.safetensors", (long long)epochs[i]);
        fill(a->mean, a->decoder.count, 0.01f * (float)i);
        assert_int_equal(deco_checkpoint_write(scratch(name), a, &here), DECO_OK);
    }
    scratch_put("run/out/weights.11.safetensors.part", "x", 1);
    scratch_put("run/out/weights.012.safetensors", "x", 1);
    assert_int_equal(deco_model_open(&m, scratch("run"), -2, 1), DECO_OK);
    assert_int_equal(deco_model_box(m), 8);
    assert_int_equal(deco_model_latent(m), 3);
    assert_true(deco_model_psize_A(m) == 1.0 / 3);
    assert_int_equal(deco_volume_decode(map10, m, z, 3), DECO_OK);
    assert_int_equal(deco_volume_decode(again, m, z, 2), DECO_E_ARGUMENT);
    z[1] = NAN;
    assert_int_equal(deco_volume_decode(again, m, z, 3), DECO_E_ARGUMENT);
    z[1] = -0.2f;
    deco_model_free(m);
    assert_int_equal(deco_model_open(&m, scratch("run"), 10, 2), DECO_OK);
    assert_int_equal(deco_volume_decode(again, m, z, 3), DECO_OK);
    assert_memory_equal(map10, again, sizeof again);
    deco_model_free(m);
    assert_int_equal(deco_model_open(&m, scratch("run"), 9, 1), DECO_OK);
    assert_int_equal(deco_volume_decode(map9, m, z, 3), DECO_OK);
    assert_memory_not_equal(map9, map10, sizeof map9);
    deco_model_free(m);
    deco_model_free(a);
}

static int set_up(void **state)
{
    (void)state;
    return deco_device_create(&dev, "cpu", 2);
}

static int tear_down(void **state)
{
    (void)state;
    deco_device_free(dev);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_state_comes_back_to_the_bit),
        cmocka_unit_test(the_start_of_an_epoch_comes_back_from_inside_it_alone),
        cmocka_unit_test(same_state_is_the_same_bytes),
        cmocka_unit_test(decimal_comma_of_the_host_does_no_harm),
        cmocka_unit_test(decoding_alone_takes_no_moments_and_no_table),
        cmocka_unit_test(any_flipped_bit_is_refused_by_name),
        cmocka_unit_test(cut_file_is_refused),
        cmocka_unit_test(every_missing_tensor_is_named),
        cmocka_unit_test(other_safetensors_are_no_checkpoint),
        cmocka_unit_test(newest_epoch_opens_by_number),
        cmocka_unit_test(a_lost_model_is_not_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
