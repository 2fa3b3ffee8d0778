/* Log, metrics, progress, stop. */
#include "base/monitor.h"
#include "base/file.h"
#include "base/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *folder; /* each test's own */

static int make_folder(void **state)
{
    static char path[1024];
    static int number;
    char name[16];
    snprintf(name, sizeof name, "%d", number++);
    snprintf(path, sizeof path, "%s", scratch(name));
    folder = path;
    return mkdir(path, 0700);
}

typedef struct heard {
    int lines, progress;
    deco_level level;
    char last[300], all[8192];
} heard;

static void listen(void *user, deco_level level, const char *line)
{
    heard *h = user;
    h->lines++;
    h->progress += level == DECO_LOG_PROGRESS;
    h->level = level;
    snprintf(h->last, sizeof h->last, "%s", line);
    size_t n = strlen(h->all);
    snprintf(h->all + n, sizeof h->all - n, "%s\n", line);
}

static char *content(const char *name)
{
    char *path = deco_path_join(folder, name), *text = NULL;
    size_t n;
    assert_int_equal(deco_file_get(&text, &n, path, 0), DECO_OK);
    free(path);
    return text;
}

static void nothing_happens_without_a_monitor(void **state)
{
    deco_info(NULL, "hello");
    deco_metric(NULL, "epoch", cJSON_CreateObject()); /* the leak check sees whether it is freed */
    deco_progress_begin(NULL, "x", 1, "images");
    deco_progress_add(NULL, 1);
    deco_progress_end(NULL);
    deco_monitor_stop(NULL);
    deco_monitor_set_terminal(NULL, true);
    deco_monitor_free(NULL);
    assert_false(deco_monitor_stopped(NULL));
    assert_int_equal(deco_monitor_attach(NULL, "/nowhere"), DECO_OK);
}

static void early_lines_head_the_log_and_lines_come_singly(void **state)
{
    deco_monitor *m = NULL;
    heard h = {0};

    assert_int_equal(deco_monitor_create(&m, listen, &h), DECO_OK);
    deco_info(m, "early %d", 1);
    deco_metric(m, "survey", NULL);
    assert_int_equal(deco_monitor_attach(m, folder), DECO_OK);
    deco_warn(m, "late\nand two lines\n");
    assert_int_equal(h.lines, 3);
    assert_int_equal(h.level, DECO_LOG_WARNING);
    assert_string_equal(h.all, "early 1\nlate\nand two lines\n");
    deco_monitor_free(m);

    char *log = content("run.log"), *metrics = content("metrics.jsonl");
    int year, n = 0;
    assert_int_equal(sscanf(log, "%d-%*d-%*d %*d:%*d:%*d  early 1%n", &year, &n), 1);
    assert_true(n > 0 && year > 2000);
    assert_non_null(strstr(log, "  warning: late\n"));
    assert_non_null(strstr(log, "  warning: and two lines\n"));
    assert_non_null(strstr(metrics, "\"event\":\"survey\"}\n"));
    free(log);
    free(metrics);
}

static void metrics_are_one_object_a_line_with_time_and_event_in_front(void **state)
{
    deco_monitor *m = NULL;
    cJSON *fields = cJSON_CreateObject();

    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_monitor_attach(m, folder), DECO_OK);
    cJSON_AddNumberToObject(fields, "loss", 0.125);
    cJSON_AddStringToObject(fields, "note", "two\nlines");
    deco_metric(m, "epoch", fields);
    deco_metric(m, "end", NULL);
    deco_monitor_free(m);

    char *text = content("metrics.jsonl");
    cJSON *line = cJSON_Parse(text); /* reads the first value and leaves what follows */
    assert_non_null(line);
    assert_string_equal(line->child->string, "time");
    assert_true(line->child->valuedouble > 1.6e9);
    assert_string_equal(line->child->next->string, "event");
    assert_true(cJSON_GetObjectItem(line, "loss")->valuedouble == 0.125);
    assert_string_equal(cJSON_GetObjectItem(line, "note")->valuestring, "two\nlines");
    assert_non_null(strstr(text, "\n{\"time\":"));
    assert_non_null(strstr(text, "\"event\":\"end\"}\n"));
    cJSON_Delete(line);
    free(text);
}

static void a_half_line_of_a_killed_run_is_closed(void **state)
{
    deco_monitor *m = NULL;
    char *path = deco_path_join(folder, "metrics.jsonl");

    assert_int_equal(deco_file_put(path, "{\"time\":1}\n{\"ti", 15), DECO_OK);
    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_monitor_attach(m, folder), DECO_OK);
    deco_metric(m, "resume", NULL);
    deco_monitor_free(m);
    char *text = content("metrics.jsonl");
    assert_non_null(strstr(text, "{\"ti\n{\"time\":"));
    free(text);
    free(path);
}

static void attaching_to_no_directory_is_an_error(void **state)
{
    deco_monitor *m = NULL;

    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_monitor_attach(m, "/no/such/place"), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "/no/such/place/run.log"));
    deco_monitor_free(m);
}

static deco_monitor *to_stop;
static void on_alarm(int number) { deco_monitor_stop(to_stop); }

static void stop_may_come_from_a_signal_handler(void **state)
{
    assert_int_equal(deco_monitor_create(&to_stop, NULL, NULL), DECO_OK);
    assert_false(deco_monitor_stopped(to_stop));
    signal(SIGUSR1, on_alarm);
    raise(SIGUSR1);
    assert_true(deco_monitor_stopped(to_stop));
    deco_monitor_free(to_stop);
}

static void on_usr2(int number) { deco_monitor_checkpoint(to_stop); }

static void a_checkpoint_is_asked_for_once_a_signal_and_stops_nothing(void **state)
{
    deco_monitor_checkpoint(NULL);
    assert_false(deco_monitor_checkpoint_asked(NULL));
    assert_int_equal(deco_monitor_create(&to_stop, NULL, NULL), DECO_OK);
    assert_false(deco_monitor_checkpoint_asked(to_stop));
    signal(SIGUSR2, on_usr2);
    raise(SIGUSR2);
    assert_true(deco_monitor_checkpoint_asked(to_stop));
    assert_false(deco_monitor_checkpoint_asked(to_stop));
    assert_false(deco_monitor_stopped(to_stop));
    deco_monitor_free(to_stop);
}

static void *add_many(void *m)
{
    for (int i = 0; i < 1000; i++)
        deco_progress_add(m, 1);
    return NULL;
}

/* On a terminal the first line comes after a second, although no step ends in that time. */
static void progress_comes_while_a_step_takes_long(void **state)
{
    deco_monitor *m = NULL;
    heard h = {0};
    pthread_t thread[3];

    assert_int_equal(deco_monitor_create(&m, listen, &h), DECO_OK);
    deco_monitor_set_terminal(m, true);
    deco_progress_begin(m, "epoch 3/12", 6000, "images");
    for (int i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, add_many, m);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    nanosleep(&(struct timespec){1, 300000000}, NULL);
    deco_progress_end(m);
    deco_monitor_free(m);            /* joins: h is ours now */
    assert_int_equal(h.progress, 2); /* one when due, one at the end */
    assert_memory_equal(h.last, "epoch 3/12  50 %", 16);
    assert_non_null(strstr(h.last, " images/s  0:0"));
}

static void short_work_shows_no_progress(void **state)
{
    deco_monitor *m = NULL;
    heard h = {0};

    assert_int_equal(deco_monitor_create(&m, listen, &h), DECO_OK);
    for (int i = 0; i < 10; i++) {
        deco_progress_begin(m, "epoch", 10, "images");
        deco_progress_add(m, 10);
        deco_progress_end(m);
    }
    deco_monitor_free(m);
    assert_int_equal(h.lines, 0);
}

static void progress_words_give_share_rate_and_time_left(void **state)
{
    char w[200];

    deco_progress_words(w, sizeof w, "epoch 3/12", "images", 450, 1000, 3.66);
    assert_string_equal(w, "epoch 3/12  45 %  123 images/s  0:04 left");
    deco_progress_words(w, sizeof w, "epoch 3/12", "images", 0, 1000, 5);
    assert_string_equal(w, "epoch 3/12  0 %");
    deco_progress_words(w, sizeof w, "maps", "maps", 1, 3601, 2);
    assert_string_equal(w, "maps  0 %  0.50 maps/s  2:00:00 left");
    deco_progress_words(w, sizeof w, "x", "y", 7, 0, 1); /* no total: no division by it */
    assert_string_equal(w, "x  100 %  7.00 y/s  0:00 left");
}

#define in_folder(f) cmocka_unit_test_setup(f, make_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_without_a_monitor),
        in_folder(early_lines_head_the_log_and_lines_come_singly),
        in_folder(metrics_are_one_object_a_line_with_time_and_event_in_front),
        in_folder(a_half_line_of_a_killed_run_is_closed),
        cmocka_unit_test(attaching_to_no_directory_is_an_error),
        cmocka_unit_test(stop_may_come_from_a_signal_handler),
        cmocka_unit_test(a_checkpoint_is_asked_for_once_a_signal_and_stops_nothing),
        cmocka_unit_test(progress_comes_while_a_step_takes_long),
        cmocka_unit_test(short_work_shows_no_progress),
        cmocka_unit_test(progress_words_give_share_rate_and_time_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
