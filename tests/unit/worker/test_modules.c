/* SPDX-License-Identifier: MIT */
/* Modules in one process: loaded once, told apart, questioned. What is wrong with bad ones: test_template.c. */
#include <string.h>
#include <unistd.h>

#include "daemon/worker/modules.h"
#include "proto/report.h"
#include "tests/support/suite.h"

static struct modules m;
static char path[PATH_MAX], why[WHY_BYTES];

static struct module *load(const char *name)
{
    struct module *module = NULL;

    ck_assert_msg(modules_load(&m, name, &module, path, why) == PTOOLS_OK, "%s: %s", name, why);
    return module;
}

START_TEST(functions_are_found_by_their_full_name)
{
    struct module *text;
    struct function *f;

    modules_init(&m, SHIPPED_MODULES);
    ck_assert_ptr_null(modules_find(&m, "text"));
    text = load("text");
    ck_assert_ptr_eq(modules_find(&m, "text"), text);
    ck_assert_ptr_eq(load("text"), text); /* known: not loaded again */
    f = modules_function(&m, "text.count and more", 10);
    ck_assert_ptr_nonnull(f);
    ck_assert_str_eq(f->name, "text.count");
    ck_assert_str_eq(f->row->name, "count");
    ck_assert_ptr_eq(f->module, text);
    ck_assert_ptr_null(modules_function(&m, "text.coun", 9));
    ck_assert_ptr_null(modules_function(&m, "count", 5));
    modules_deinit(&m);
}
END_TEST

/* All are loaded under /proc/self/fd/N with descriptors that are free again: the dynamic linker must not
 * take one for another. */
START_TEST(modules_are_not_mistaken_for_each_other)
{
    struct module *a, *b, *c, *unused;

    modules_init(&m, SHIPPED_MODULES ":" TEST_MODULES);
    a = load("text");
    ck_assert_int_eq(modules_load(&m, "no_symbol", &unused, path, why), PTOOLS_ERR_MODULE_BROKEN);
    ck_assert_int_eq(modules_load(&m, "wrong_abi", &unused, path, why), PTOOLS_ERR_MODULE_BROKEN);
    b = load("math");
    c = load("t");
    ck_assert_str_eq(a->functions[0].row->name, "count");
    ck_assert_str_eq(b->functions[0].row->name, "square");
    ck_assert_str_eq(c->functions[0].row->name, "nop");
    ck_assert(a->started);
    ck_assert(!c->started);
    ck_assert_ptr_null(modules_find(&m, "wrong_abi")); /* no trace of what failed */
    modules_deinit(&m);
}
END_TEST

START_TEST(reports_say_what_was_loaded)
{
    struct bytes out;
    struct report *r;

    modules_init(&m, SHIPPED_MODULES);
    bytes_init(&out, 60000);
    modules_report(load("math"), REPORT_IN_WORKER, &out);
    ck_assert_int_eq(out.err, 0);
    ck_assert_int_eq(report_decode(out.data, out.n, &r), 0);
    ck_assert_str_eq(r->module, "math");
    ck_assert_str_eq(r->path, SHIPPED_MODULES "/math.so");
    ck_assert_str_eq(r->help, "squares, primes and pi");
    ck_assert_uint_eq(r->flags, REPORT_IN_WORKER);
    ck_assert_uint_eq(r->n, 4);
    ck_assert_str_eq(r->functions[2].name, "pi");
    report_free(r);
    bytes_reset(&out);
    modules_report_problem("x", "", PTOOLS_ERR_NO_MODULE, "no\nwhere", &out);
    ck_assert_int_eq(report_decode(out.data, out.n, &r), 0);
    ck_assert_int_eq(r->code, PTOOLS_ERR_NO_MODULE);
    ck_assert_str_eq(r->problem, "no?where");
    report_free(r);
    bytes_deinit(&out);
    bytes_init(&out, 50); /* the template has room for one packet */
    modules_report(load("math"), 0, &out);
    ck_assert_int_ne(out.err, 0);
    bytes_deinit(&out);
    modules_deinit(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/modules");
    TCase *tc = suite_case(suite, "modules");

    tcase_add_test(tc, functions_are_found_by_their_full_name);
    tcase_add_test(tc, modules_are_not_mistaken_for_each_other);
    tcase_add_test(tc, reports_say_what_was_loaded);
    return suite_run(suite);
}
