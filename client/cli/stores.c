/* argosy check, backup: a broker's store, looked at without its broker. */
#include <string.h>
#include <time.h>

#include "broker/store/look.h"
#include "broker/store/store.h"
#include "client/cli/answers.h"
#include "client/cli/stores.h"
#include "common/duration.h"

int stores_open(struct cli *cli, const char *text, look_t **out, char path[PATH_MAX],
                struct argosy_error *err)
{
    *out = NULL;
    if (store_path(text, path, err) < 0)
        return cli_fail(cli, EXIT_USAGE, "%s", err->message);
    if (look_open(out, path, err) < 0)
        return cli_fail(cli, EXIT_CANNOT, "%s", err->message);
    return 0;
}

/* ---- check --------------------------------------------------------------------------------------
 */

struct findings {
    const char *path;
    struct look_facts facts;
    json_t *problems;
};

static void take_problem(void *arg, const char *problem)
{
    json_t *text = json_string(problem);

    json_array_append_new(arg, text != NULL ? text : json_string("(not UTF-8)"));
}

static uint64_t ended(const struct look_facts *facts)
{
    return facts->succeeded + facts->failed + facts->cancelled;
}

/* Of a damaged store not all could be counted. */
static uint64_t less(uint64_t all, uint64_t some)
{
    return all > some ? all - some : 0;
}

static void print_json(const struct cli *cli, const struct findings *found)
{
    const struct look_facts *facts = &found->facts;
    json_t *json = json_pack(
        "{s:s, s:b, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:I, s:I, s:O}",
        "store", found->path, "sound", json_array_size(found->problems) == 0, "format",
        (json_int_t)facts->format, "epoch", (json_int_t)facts->epoch, "made_unix_ms",
        (json_int_t)facts->made_unix_ms, "bytes", (json_int_t)facts->bytes, "jobs", "open",
        (json_int_t)less(facts->jobs, ended(facts)), "succeeded", (json_int_t)facts->succeeded,
        "failed", (json_int_t)facts->failed, "cancelled", (json_int_t)facts->cancelled, "groups",
        "open", (json_int_t)less(facts->groups, facts->groups_ended), "ended",
        (json_int_t)facts->groups_ended, "queues", (json_int_t)facts->queues, "schedules",
        (json_int_t)facts->schedules, "problems", found->problems);

    answers_print(cli, json);
    json_decref(json);
}

static void print_time(const struct cli *cli, const char *what, uint64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;
    char text[32] = "?";

    if (localtime_r(&seconds, &local) != NULL)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(cli->out, "%s%s", what, text);
}

static void print_text(const struct cli *cli, const struct findings *found)
{
    const struct look_facts *facts = &found->facts;
    size_t count = json_array_size(found->problems), i;
    char size[AG_AMOUNT_TEXT_SIZE];
    const json_t *problem;

    fprintf(cli->out, "%s: format %llu, %s", found->path, (unsigned long long)facts->format,
            ag_size_print(facts->bytes, size));
    print_time(cli, ", made ", facts->made_unix_ms);
    fprintf(cli->out, ", epoch %llu\n", (unsigned long long)facts->epoch);
    fprintf(cli->out, "jobs       %llu open, %llu succeeded, %llu failed, %llu cancelled\n",
            (unsigned long long)less(facts->jobs, ended(facts)),
            (unsigned long long)facts->succeeded, (unsigned long long)facts->failed,
            (unsigned long long)facts->cancelled);
    fprintf(cli->out, "groups     %llu open, %llu ended\n",
            (unsigned long long)less(facts->groups, facts->groups_ended),
            (unsigned long long)facts->groups_ended);
    fprintf(cli->out, "queues     %llu with settings of their own\n",
            (unsigned long long)facts->queues);
    fprintf(cli->out, "schedules  %llu\n", (unsigned long long)facts->schedules);
    json_array_foreach(found->problems, i, problem)
        fprintf(cli->out, "problem: %s\n", json_string_value(problem));
    if (count == 0)
        fprintf(cli->out, "sound\n");
    else
        fprintf(cli->out, "not sound: %zu problem%s\n", count, count == 1 ? "" : "s");
}

static int tell(struct cli *cli, const struct findings *found)
{
    if (cli->json)
        print_json(cli, found);
    else
        print_text(cli, found);
    return json_array_size(found->problems) == 0 ? EXIT_ALL_WELL : EXIT_SOME_FAILED;
}

/* One that is damaged so far that it cannot be opened was looked at, too. */
static int look(struct cli *cli, struct findings *found, struct argosy_error *err)
{
    look_t *store;
    int rc = look_open(&store, found->path, err);

    if (rc == ARGOSY_EPROTO)
        take_problem(found->problems, err->message);
    if (rc < 0)
        return rc == ARGOSY_EPROTO ? 0 : cli_fail(cli, EXIT_CANNOT, "%s", err->message);
    rc = look_check(store, &found->facts, take_problem, found->problems, err);
    look_close(&store);
    return rc < 0 ? cli_fail(cli, EXIT_CANNOT, "%s", err->message) : 0;
}

int cli_check(struct cli *cli)
{
    struct argosy_error err = {0};
    char path[PATH_MAX];
    struct findings found = {.path = path};
    int code;

    if (store_path(ag_options_operands(cli->options)[0], path, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "%s", err.message);
    found.problems = json_array();
    if (found.problems == NULL)
        return cli_fail(cli, EXIT_CANNOT, "no memory");
    code = look(cli, &found, &err);
    if (code == 0)
        code = tell(cli, &found);
    json_decref(found.problems);
    return code;
}

/* ---- backup -------------------------------------------------------------------------------------
 */

static bool is_wanted(void)
{
    return cli_interrupts() == 0;
}

static int copy(struct cli *cli, look_t *store, const char *path, const char *target)
{
    struct argosy_error err = {0};
    char size[AG_AMOUNT_TEXT_SIZE];
    uint64_t bytes = 0;
    int rc = look_copy(store, target, is_wanted, &bytes, &err);

    if (rc < 0)
        return cli_fail(cli,
                        rc != ARGOSY_ESTATE    ? EXIT_CANNOT
                        : cli_interrupts() > 0 ? EXIT_INTERRUPTED
                                               : EXIT_USAGE,
                        "%s", err.message);
    cli_say(cli, "%s is copied to %s, %s", path, target, ag_size_print(bytes, size));
    return 0;
}

int cli_backup(struct cli *cli)
{
    char *const *operands = ag_options_operands(cli->options);
    bool has_store = ag_options_operand_count(cli->options) > 1;
    struct argosy_error err = {0};
    char path[PATH_MAX];
    look_t *store;
    int code = stores_open(cli, has_store ? operands[0] : NULL, &store, path, &err);

    if (code != 0)
        return code;
    cli_catch_signals();
    code = copy(cli, store, path, operands[has_store]);
    look_close(&store);
    return code;
}
