/* Names that are not ours but that people's command lines carry, and names that are nobody's. */
#include "config/table.h"

#include <stdlib.h>
#include <limits.h>
#include <string.h>

/* What an option of another program (or a value we do not have) is answered with. `harmless`: values that ask for nothing. */
static const struct {
    const char *name, *value, *harmless;
    deco_status status;
    const char *answer;
} foreign[] = {
    /* accelerate's launcher */
    {"mixed_precision", NULL, "", DECO_E_ARGUMENT,
     "belongs to accelerate; here --use_amp True asks for bf16 on a GPU, and a CPU always computes in float32"},
    {"gpu_ids", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here --device cuda:N chooses the GPU, --device cpu none"},
    {"num_processes", NULL, "", DECO_E_ARGUMENT,
     "belongs to accelerate; here one process does it all, --threads N sets its CPU threads and --device its GPU"},
    {"num_cpu_threads_per_process", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here --threads N"},
    {"num_machines", NULL, "1", DECO_E_ARGUMENT, "belongs to accelerate; here a run stays on one machine: leave it out"},
    {"machine_rank", NULL, "0", DECO_E_ARGUMENT, "belongs to accelerate; here a run stays on one machine: leave it out"},
    {"main_process_ip", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here a run stays on one machine: leave it out"},
    {"main_process_port", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here a run stays on one machine: leave it out"},
    {"multi_gpu", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here --device chooses one CPU or GPU"},
    {"config_file", NULL, "", DECO_E_ARGUMENT, "belongs to accelerate; here --config FILE reads options from YAML"},
    {"dynamo_backend", NULL, "no|none", DECO_E_ARGUMENT, "belongs to accelerate; nothing is compiled here: leave it out"},
    /* CryoDECO's */
    {"pose", NULL, "none|null", DECO_E_UNSUPPORTED,
     "names a pickle, which may run code and is not read; poses come from the job's alignments3D columns: --use_gt_poses True"},
    {"ctf", NULL, "none|null", DECO_E_UNSUPPORTED,
     "names a pickle, which may run code and is not read; the CTF comes from the job's ctf columns: leave it out"},
    {"decoder_type", "moe", "", DECO_E_UNSUPPORTED,
     "moe is not here; --decoder_type mlp, the default, is the decoder of the published results"},
    {"moe_num", NULL, "", DECO_E_UNSUPPORTED, "is for decoder_type moe, which is not here: leave it out"},
    {"num_shared_experts", NULL, "", DECO_E_UNSUPPORTED, "is for decoder_type moe, which is not here: leave it out"},
    {"use_clustering_route", NULL, "false", DECO_E_UNSUPPORTED, "is for decoder_type moe, which is not here: leave it out"},
    {"use_fused_encoder", NULL, "false", DECO_E_UNSUPPORTED,
     "is not here: latents come from the encoder or, with --use_conf_encoder False, from a table"},
    {"use_pfm_encoder", NULL, "true", DECO_E_UNSUPPORTED,
     "False is not here: latents come from the Cryo-IEF encoder or, with --use_conf_encoder False, from a table"},
    {"fuse_type", NULL, "", DECO_E_UNSUPPORTED, "is for the fused encoders, which are not here: leave it out"},
    {"fuse_only_table", NULL, "", DECO_E_UNSUPPORTED, "is for the fused encoders, which are not here: leave it out"},
    {"min_fuse_only_table", NULL, "", DECO_E_UNSUPPORTED, "is for the fused encoders, which are not here: leave it out"},
    {"use_generated_features", NULL, "false", DECO_E_UNSUPPORTED,
     "is not here: no features are read from files; --use_conf_encoder False starts latents from noise"},
    {"resolution_encoder", NULL, "none|null|224", DECO_E_UNSUPPORTED, "is fixed: the encoder sees 224 x 224 pixels: leave it out"},
    {"score_bar", NULL, "", DECO_E_UNSUPPORTED,
     "filters CryoDECO's processed_data, which is not read here; select particles in CryoSPARC and give that job"},
    {"resample_per_dataset", NULL, "none|null", DECO_E_UNSUPPORTED,
     "draws from CryoDECO's processed_data, which is not read here; select particles in CryoSPARC and give that job"},
    {"post_training_id", NULL, "none|null", DECO_E_UNSUPPORTED,
     "is not in this version yet; a cluster's subset imported into CryoSPARC and given as --particles is trained on its own"},
    {"latent_gate", NULL, "false", DECO_E_UNSUPPORTED, "is not in this version yet; --conf_table_dim sets the latent dimensions"},
    {"decoder_norm", NULL, "", DECO_E_UNSUPPORTED, "is not in this version yet; --decoder_ln True gives plain layer norms"},
    {"analysis_save_features", NULL, "true|false", DECO_E_UNSUPPORTED, "is not needed: latents always stand in out/conf.<epoch>.npy"},
};

static bool one_of(const char *list, const char *value)
{
    for (const char *c = list; *c;) {
        char word[16];
        size_t n = strcspn(c, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, c);
        if (option_same_word(word, value))
            return true;
        c += n + (c[n] == '|');
    }
    return false;
}

deco_status option_foreign(const char *name, const char *value, bool *harmless)
{
    *harmless = false;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (!option_same_word(foreign[i].name, name) || (foreign[i].value && !option_same_word(foreign[i].value, value)))
            continue;
        *harmless = one_of(foreign[i].harmless, value);
        return *harmless ? DECO_OK : deco_fail(foreign[i].status, "%s %s", foreign[i].name, foreign[i].answer);
    }
    return DECO_OK;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; '-' is '_'. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    int rows[3][LONGEST + 2], la = (int)strnlen(a, LONGEST), lb = (int)strnlen(b, LONGEST);
    int *before = rows[0], *last = rows[1], *now = rows[2];

    for (int j = 0; j <= lb; j++)
        last[j] = j;
    for (int i = 1; i <= la; i++) {
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = last[j - 1] + !option_same_letter(a[i - 1], b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[lb];
}

deco_status option_unknown(const char *name, int commands)
{
    enum { SHOWN = 3 };
    char near[200] = "";
    int id = option_find(name), shown = 0, most = 1 + (int)strnlen(name, 30) / 3, away[DECO_OPTIONS];

    if (id >= 0) { /* ours, but another command's */
        option_command_words(near, sizeof near, option_table[id].commands);
        return deco_fail(DECO_E_ARGUMENT, "%s is no option of this command; it belongs to %s", option_table[id].name, near);
    }
    for (int i = 0; i < DECO_OPTIONS; i++)
        away[i] = option_table[i].commands & commands ? distance(name, option_table[i].name) : INT_MAX;
    for (int d = 0; d <= most && shown < SHOWN; d++)
        for (int i = 0; i < DECO_OPTIONS && shown < SHOWN; i++)
            if (away[i] == d) {
                size_t n = strlen(near);
                snprintf(near + n, sizeof near - n, "%s%s", shown++ ? ", " : "", option_table[i].name);
            }
    if (shown)
        return deco_fail(DECO_E_ARGUMENT, "there is no option '%s'; did you mean %s?", name, near);
    return deco_fail(DECO_E_ARGUMENT, "there is no option '%s'; cryodeco options lists them all", name);
}
