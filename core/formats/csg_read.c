/* Reading CryoSPARC result groups. */
#include "formats/csg.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { LARGEST = 16 << 20 }; /* a group of 3D Class with hundreds of results has some 100 kB */

static const yaml_node_t *value_of(yaml_document_t *d, const yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = yaml_document_get_node(d, p->key);
        if (k->type == YAML_SCALAR_NODE && !strcmp((const char *)k->data.scalar.value, key))
            return yaml_document_get_node(d, p->value);
    }
    return NULL;
}

/* NULL when it is no text. A zero byte ends it. */
static const char *text_of(const yaml_node_t *n) { return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL; }

static deco_status copy(char **out, const char *text, const char *path)
{
    *out = text ? strdup(text) : NULL;
    return text && !*out ? deco_fail_memory(strlen(text), path) : DECO_OK;
}

static deco_status read_result(deco_csg_result *r, yaml_document_t *d, const yaml_node_pair_t *pair, const char *path)
{
    deco_status st = DECO_OK;
    const yaml_node_t *key = yaml_document_get_node(d, pair->key), *value = yaml_document_get_node(d, pair->value);
    const char *name = text_of(key), *file = text_of(value_of(d, value, "metafile"));
    const char *items = text_of(value_of(d, value, "num_items"));

    if (!name || !file || !*file)
        return deco_fail(DECO_E_FORMAT, "%s:%d: a result needs a name and its metafile", path, (int)key->start_mark.line + 1);
    TRY(copy(&r->name, name, path));
    TRY(copy(&r->metafile, file, path));
    r->items = items && *items && strspn(items, "0123456789") == strlen(items) && strlen(items) < 16 ? strtoll(items, NULL, 10) : -1;
out:
    return st;
}

static deco_status read_group(deco_csg *g, yaml_document_t *d, const char *path)
{
    deco_status st = DECO_OK;
    const yaml_node_t *root = yaml_document_get_root_node(d), *group = value_of(d, root, "group"), *results = value_of(d, root, "results");

    if (!results || results->type != YAML_MAPPING_NODE || !group)
        return deco_fail(DECO_E_FORMAT, "%s: is no CryoSPARC result group (a .csg file holds \"group:\" and \"results:\")", path);
    TRY(copy(&g->type, text_of(value_of(d, group, "type")), path));
    TRY(copy(&g->name, text_of(value_of(d, group, "name")), path));
    TRY(copy(&g->version, text_of(value_of(d, root, "version")), path));
    int64_t n = results->data.mapping.pairs.top - results->data.mapping.pairs.start;
    TRY(deco_alloc(&g->result, (size_t)n + 1, sizeof *g->result, path));
    for (; g->results < n; g->results++)
        if ((st = read_result(&g->result[g->results], d, results->data.mapping.pairs.start + g->results, path))) {
            g->results++; /* what it has is freed */
            goto out;
        }
out:
    return st;
}

deco_status deco_csg_read(deco_csg *out, const char *path)
{
    deco_status st = DECO_OK;
    yaml_parser_t parser;
    yaml_document_t d;
    bool ready = false, loaded = false;
    char *text = NULL;
    size_t n;

    *out = (deco_csg){0};
    TRY(deco_file_get(&text, &n, path, LARGEST));
    if (!(ready = yaml_parser_initialize(&parser)))
        TRY(deco_fail_memory(sizeof parser, path));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    if (!(loaded = yaml_parser_load(&parser, &d)))
        TRY(parser.error == YAML_MEMORY_ERROR ? deco_fail_memory(n, path)
                                              : deco_fail(DECO_E_FORMAT, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                                                          parser.problem ? parser.problem : "unreadable"));
    TRY(read_group(out, &d, path));
out:
    if (loaded)
        yaml_document_delete(&d);
    if (ready)
        yaml_parser_delete(&parser);
    free(text);
    if (st)
        deco_csg_free(out);
    return st;
}

void deco_csg_free(deco_csg *g)
{
    for (int64_t i = 0; i < g->results; i++) {
        free(g->result[i].name);
        free(g->result[i].metafile);
    }
    free(g->result);
    free(g->name);
    free(g->type);
    free(g->version);
    *g = (deco_csg){0};
}
