/* What a file name or a message may hold, a page must stand. */
#include "job/html.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void becomes(const char *text, const char *expected)
{
    char *out = NULL;
    size_t n;
    FILE *to = open_memstream(&out, &n);

    html_text(to, text);
    fclose(to);
    assert_string_equal(out, expected);
    free(out);
}

static void markup_is_text(void **state)
{
    (void)state;
    becomes("a <b> & \"c\" 'd'", "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    becomes("</pre><script>alert(1)</script>", "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
    becomes("größe 粒子 😀", "größe 粒子 😀");
    becomes("two\n\tlines", "two\n\tlines");
    becomes(NULL, "");
}

static void what_is_no_utf8_is_marked(void **state)
{
    (void)state;
    becomes("a\xff"
            "b",
            "a&#xfffd;b");
    becomes("cut \xe7\xb2", "cut &#xfffd;&#xfffd;");
    becomes("overlong \xc0\xaf", "overlong &#xfffd;&#xfffd;");
    becomes("surrogate \xed\xa0\x80", "surrogate &#xfffd;&#xfffd;&#xfffd;");
    becomes("beyond \xf4\x90\x80\x80", "beyond &#xfffd;&#xfffd;&#xfffd;&#xfffd;");
    becomes("bell \x07 and \x7f", "bell &#xfffd; and &#xfffd;");
}

static char *curve(const html_curve *c)
{
    char *out = NULL;
    size_t n;
    FILE *to = open_memstream(&out, &n);

    html_curve_write(to, c);
    fclose(to);
    return out;
}

static int count_of(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

static void a_curve_draws_the_points_it_has(void **state)
{
    const double x[] = {-1, 0, 1, 2}, y[] = {NAN, 3, 0, 5};
    const html_band band[] = {{-1.5, 0.5, "a<b"}, {0.5, 2.5, "search"}};
    html_series s = {NULL, x, y, 4};
    html_curve c = {
        .title = "Loss & more", .x_label = "epoch", .x_low = -1.5, .x_high = 9.5, .band = band, .bands = 2, .series = &s, .count = 1};

    (void)state;
    char *svg = curve(&c);
    assert_int_equal(count_of(svg, "<circle"), 3);
    assert_non_null(strstr(svg, "Loss &amp; more over epochs"));
    assert_non_null(strstr(svg, "a&lt;b"));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, ">-0<"));
    free(svg);
    c.least = 0.01; /* a 0 has no logarithm */
    svg = curve(&c);
    assert_int_equal(count_of(svg, "<circle"), 3);
    assert_null(strstr(svg, "inf"));
    free(svg);
}

static void nothing_to_draw_is_said(void **state)
{
    const double x[] = {0}, y[] = {NAN};
    html_series s = {NULL, x, y, 1};
    html_curve c = {.title = "Loss", .x_label = "epoch", .x_high = 1, .series = &s, .count = 1};

    (void)state;
    char *text = curve(&c);
    assert_non_null(strstr(text, "Loss: nothing yet"));
    assert_null(strstr(text, "<svg"));
    free(text);
}

static void alike_values_and_many_are_drawn_too(void **state)
{
    enum { MANY = 5000 };
    static double x[MANY], y[MANY];
    html_series s = {"all", x, y, MANY};
    html_curve c = {.title = "Loss", .x_label = "epoch", .x_high = MANY, .series = &s, .count = 1};

    (void)state;
    for (int i = 0; i < MANY; i++) {
        x[i] = i;
        y[i] = 1e-3;
    }
    char *svg = curve(&c);
    assert_null(strstr(svg, "nan"));
    assert_int_equal(count_of(svg, "<circle"), 0);
    assert_in_range(strlen(svg), 1000, 20000); /* thinned out */
    free(svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_is_text),
        cmocka_unit_test(what_is_no_utf8_is_marked),
        cmocka_unit_test(a_curve_draws_the_points_it_has),
        cmocka_unit_test(nothing_to_draw_is_said),
        cmocka_unit_test(alike_values_and_many_are_drawn_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
