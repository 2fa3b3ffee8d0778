/* Options from YAML: one mapping of names to values or lists of values. */
#include "base/file.h"
#include "config/options.h"
#include "config/put.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { LARGEST = 1 << 20 };

static int line_of(const yaml_node_t *n) { return (int)n->start_mark.line + 1; }

static deco_status scalar(const char **out, const yaml_node_t *n, const char *what)
{
    if (n->type != YAML_SCALAR_NODE)
        return deco_fail(DECO_E_FORMAT, "%s must be a single word or number", what);
    if (memchr(n->data.scalar.value, 0, n->data.scalar.length))
        return deco_fail(DECO_E_FORMAT, "%s holds a zero byte", what);
    *out = (const char *)n->data.scalar.value;
    return DECO_OK;
}

/* "k_num:" and "k_num: ~" leave the default. Words may be taken back by it, as by "none" on the command line. */
static deco_status read_one(deco_options *o, int id, const char *name, const yaml_node_t *node, deco_origin origin)
{
    deco_status st = DECO_OK;
    const char *text = "";

    TRY(scalar(&text, node, name));
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !strcmp(text, "~"))
        text = "";
    if (!*text && id >= 0 && option_table[id].kind != OPTION_TEXT && option_table[id].kind != OPTION_LIST)
        return DECO_OK;
    TRY(option_put(o, name, text, origin, false));
out:
    return st;
}

static deco_status read_list(deco_options *o, yaml_document_t *d, int id, const char *name, const yaml_node_t *node, deco_origin origin)
{
    deco_status st = DECO_OK;
    yaml_node_item_t *first = node->data.sequence.items.start, *end = node->data.sequence.items.top;
    const char *text = "";

    if (id >= 0 && option_table[id].kind != OPTION_LIST)
        return deco_fail(DECO_E_FORMAT, "%s takes one value, not a list", name);
    if (first == end)
        return option_put(o, name, "", origin, false);
    for (yaml_node_item_t *item = first; item < end; item++) {
        TRY(scalar(&text, yaml_document_get_node(d, *item), name));
        TRY(option_put(o, name, text, origin, item > first));
    }
out:
    return st;
}

/* `seen`: the line in which each option stood, 0: not yet. */
static deco_status read_pair(deco_options *o, yaml_document_t *d, const yaml_node_pair_t *pair, int seen[DECO_OPTIONS], deco_origin origin)
{
    deco_status st = DECO_OK;
    const yaml_node_t *key = yaml_document_get_node(d, pair->key), *value = yaml_document_get_node(d, pair->value);
    const char *name = "";

    TRY(scalar(&name, key, "a name"));
    int id = option_find(name);
    if (id >= 0 && seen[id])
        return deco_fail(DECO_E_FORMAT, "%s stands in line %d already", option_table[id].name, seen[id]);
    if (id == DECO_OPT_config || (id == DECO_OPT_preset && origin == DECO_FROM_PRESET))
        return deco_fail(DECO_E_FORMAT, "%s cannot stand in such a file; give it on the command line", option_table[id].name);
    if (id >= 0)
        seen[id] = line_of(key);
    if (value->type == YAML_SEQUENCE_NODE)
        TRY(read_list(o, d, id, name, value, origin));
    else
        TRY(read_one(o, id, name, value, origin));
out:
    return st;
}

static deco_status read_mapping(deco_options *o, yaml_document_t *d, const yaml_node_t *root, const char *path, deco_origin origin)
{
    int seen[DECO_OPTIONS] = {0};

    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        deco_status st = read_pair(o, d, p, seen, origin);
        if (st)
            return deco_fail_context(st, "%s:%d", path, line_of(yaml_document_get_node(d, p->key)));
    }
    return DECO_OK;
}

static deco_status syntax_error(const yaml_parser_t *p, const char *path)
{
    size_t line = p->problem_mark.line + 1;

    if (p->error == YAML_MEMORY_ERROR)
        return deco_fail_memory(0, path);
    if (p->error == YAML_READER_ERROR)
        return deco_fail(DECO_E_FORMAT, "%s: byte %zu: %s", path, p->problem_offset, p->problem ? p->problem : "not readable as text");
    return deco_fail(DECO_E_FORMAT, "%s:%zu: not YAML: %s", path, line, p->problem ? p->problem : "unreadable");
}

/* The first document of the file; a second one would be passed over without a word, so it is an error. */
static deco_status read_document(deco_options *o, yaml_parser_t *parser, const char *path, deco_origin origin)
{
    deco_status st = DECO_OK;
    yaml_document_t first, second;
    bool have_first = false, have_second = false;

    if (!(have_first = yaml_parser_load(parser, &first)))
        TRY(syntax_error(parser, path));
    yaml_node_t *root = yaml_document_get_root_node(&first);
    if (!root)
        goto out; /* an empty file says nothing */
    if (root->type != YAML_MAPPING_NODE)
        TRY(deco_fail(DECO_E_FORMAT, "%s:%d: lines of the form \"name: value\" are expected", path, line_of(root)));
    if (!(have_second = yaml_parser_load(parser, &second)))
        TRY(syntax_error(parser, path));
    if (yaml_document_get_root_node(&second))
        TRY(deco_fail(DECO_E_FORMAT, "%s:%d: a second document begins; one is expected", path, (int)second.start_mark.line + 1));
    TRY(read_mapping(o, &first, root, path, origin));
out:
    if (have_second)
        yaml_document_delete(&second);
    if (have_first)
        yaml_document_delete(&first);
    return st;
}

deco_status deco_options_read_yaml(deco_options *o, const char *path, deco_origin origin)
{
    deco_status st = DECO_OK;
    yaml_parser_t parser;
    bool ready = false;
    char *text = NULL;
    size_t n;

    TRY(deco_file_get(&text, &n, path, LARGEST));
    if (!(ready = yaml_parser_initialize(&parser)))
        TRY(deco_fail_memory(sizeof parser, path));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    TRY(read_document(o, &parser, path, origin));
out:
    if (ready)
        yaml_parser_delete(&parser);
    free(text);
    return st;
}
