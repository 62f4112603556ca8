#include "common/selector.h"
#include "tests/unit/cmocka_prelude.h"

static bool matches(const char *selector, const char *type)
{
    return ag_selector_matches(ag_bytes_of_text(selector), ag_bytes_of_text(type));
}

static bool list_matches(const char *selectors, const char *type)
{
    return ag_selector_list_matches(ag_bytes_of_text(selectors), ag_bytes_of_text(type));
}

static void a_selector_matches_up_to_a_dot(void **state)
{
    (void)state;
    assert_true(matches("fetch", "fetch.http.client.404"));
    assert_true(matches("fetch.http", "fetch.http"));
    assert_false(matches("fetch.http", "fetch.https"));
    assert_false(matches("fetch.http.client", "fetch.http"));
    assert_false(matches("", "fetch"));
    assert_false(matches("", ""));
}

static void a_list_matches_when_one_of_it_does(void **state)
{
    (void)state;
    assert_true(list_matches("lost,fetch.dns", "fetch.dns"));
    assert_true(list_matches("lost,fetch.dns", "lost.worker"));
    assert_false(list_matches("lost,fetch.dns", "fetch.http.client.404"));
    assert_false(list_matches(",,", "fetch"));
    assert_false(list_matches("", "fetch"));
}

static void what_is_no_selector_is_refused(void **state)
{
    static const char *const bad[] = {
        "",       ".",    "fetch.",
        ".fetch", "a..b", "a b",
        "a,b",    "f*",   "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g"};
    struct argosy_error err = {0};

    (void)state;
    assert_ok(ag_selector_check("fetch.http.client.404", &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(ag_selector_check(bad[i], &err), ARGOSY_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selector_matches_up_to_a_dot),
        cmocka_unit_test(a_list_matches_when_one_of_it_does),
        cmocka_unit_test(what_is_no_selector_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
