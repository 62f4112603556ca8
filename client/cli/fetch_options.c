#include "client/cli/fetch_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/jobs.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"

enum { CONTENT_BYTES_MAX = AG_PAYLOAD_BYTES_MAX / 2, STATUS_MIN = 100, STATUS_MAX = 599 };

static const char name_marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */

static void put_text(json_t *json, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(json, key, json_string(text));
}

static void put_number(json_t *json, const char *key, uint64_t value)
{
    json_object_set_new(json, key, json_integer((json_int_t)value));
}

static int not_text(const struct cli *cli, const char *option)
{
    return cli_fail(cli, EXIT_USAGE, "--%s: the value is not UTF-8 text", option);
}

/* A path on the worker's machine; a relative one is taken from here, as a shell would. */
static int put_path(const struct cli *cli, json_t *base, enum ag_option option, const char *key)
{
    const char *path = ag_options_text(cli->options, option), *name = ag_option_row(option)->name;
    char absolute[2 * PATH_MAX], here[PATH_MAX] = "";

    if (path == NULL)
        return 0;
    if (path[0] != '/' && getcwd(here, sizeof here) == NULL)
        return cli_fail(cli, EXIT_USAGE, "--%s: %s", name, strerror(errno));
    snprintf(absolute, sizeof absolute, "%s%s%s", here, path[0] != '/' ? "/" : "", path);
    if (json_object_set_new(base, key, json_string(absolute)) < 0)
        return not_text(cli, name);
    return 0;
}

/* ---- bodies ------------------------------------------------------------------------------------
 */

/* TEXT, or what is in the file of @FILE; lives until the next call. NULL after a message. */
static const char *read_content(const struct cli *cli, enum ag_option option, size_t *size)
{
    const char *text = ag_options_text(cli->options, option), *name = ag_option_row(option)->name;
    static char content[CONTENT_BYTES_MAX + 1];
    bool broken;
    FILE *file;

    *size = strlen(text);
    if (text[0] != '@')
        return text;
    file = fopen(text + 1, "re");
    if (file == NULL) {
        cli_fail(cli, EXIT_USAGE, "--%s: cannot read %s: %s", name, text + 1, strerror(errno));
        return NULL;
    }
    *size = fread(content, 1, sizeof content, file);
    broken = ferror(file) != 0;
    fclose(file);
    if (broken)
        cli_fail(cli, EXIT_USAGE, "--%s: cannot read %s", name, text + 1);
    else if (*size > CONTENT_BYTES_MAX)
        cli_fail(cli, EXIT_USAGE, "--%s: %s is larger than %d bytes", name, text + 1,
                 CONTENT_BYTES_MAX);
    else
        return content;
    return NULL;
}

static int put_data(const struct cli *cli, json_t *base)
{
    size_t size;
    const char *content = read_content(cli, AG_OPT_DATA, &size);

    if (content == NULL)
        return EXIT_USAGE;
    if (json_object_set_new(base, "data", json_stringn(content, size)) < 0)
        return not_text(cli, "data");
    return 0;
}

static int put_json(const struct cli *cli, json_t *base)
{
    struct argosy_error err = {0};
    size_t size;
    const char *content = read_content(cli, AG_OPT_DATA_JSON, &size);
    json_t *json;

    if (content == NULL)
        return EXIT_USAGE;
    if (ag_json_parse(content, size, &json, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "--data-json: %s", err.message);
    json_object_set_new(base, "json", json);
    return 0;
}

/* The second value of a name makes a list of both. */
static int put_field(json_t *form, const char *name, size_t size, json_t *value)
{
    json_t *before = json_object_getn(form, name, size), *list;

    if (before == NULL)
        return json_object_setn_new(form, name, size, value);
    if (json_is_array(before))
        return json_array_append_new(before, value);
    list = json_pack("[O, o]", before, value);
    return list != NULL ? json_object_setn_new(form, name, size, list) : -1;
}

static int put_form(const struct cli *cli, json_t *base)
{
    const char *const *fields = ag_options_list(cli->options, AG_OPT_FORM, NULL);
    json_t *form = json_object();

    json_object_set_new(base, "form", form);
    for (; *fields != NULL; fields++) {
        const char *equals = strchr(*fields, '=');
        json_t *value = equals != NULL ? json_string(equals + 1) : NULL;

        if (equals == *fields || value == NULL) {
            json_decref(value);
            return cli_fail(cli, EXIT_USAGE, "--form: '%s' is not NAME=VALUE", *fields);
        }
        if (put_field(form, *fields, (size_t)(equals - *fields), value) < 0)
            return not_text(cli, "form");
    }
    return 0;
}

static int put_data_file(const struct cli *cli, json_t *base)
{
    return put_path(cli, base, AG_OPT_DATA_FILE, "data_file");
}

static int put_body(const struct cli *cli, json_t *base)
{
    static const struct {
        enum ag_option option;
        int (*put)(const struct cli *cli, json_t *base);
    } bodies[] = {{AG_OPT_DATA, put_data},
                  {AG_OPT_DATA_JSON, put_json},
                  {AG_OPT_FORM, put_form},
                  {AG_OPT_DATA_FILE, put_data_file}};
    const char *given = NULL;
    int code = 0;

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies && code == 0; i++) {
        const char *name = ag_option_row(bodies[i].option)->name;

        if (!ag_options_given(cli->options, bodies[i].option))
            continue;
        if (given != NULL)
            return cli_fail(cli, EXIT_USAGE, "--%s and --%s exclude each other: one body", given,
                            name);
        given = name;
        code = bodies[i].put(cli, base);
    }
    return code;
}

/* ---- what is asked, and how --------------------------------------------------------------------
 */

static int put_headers(const struct cli *cli, json_t *base)
{
    const char *const *headers = ag_options_list(cli->options, AG_OPT_HEADER, NULL);
    json_t *map = json_object();

    for (; *headers != NULL; headers++) {
        const char *colon = strchr(*headers, ':');
        const char *value = colon != NULL ? colon + 1 + strspn(colon + 1, " \t") : NULL;
        json_t *text = value != NULL ? json_string(value) : NULL;

        if (colon == *headers || text == NULL ||
            json_object_setn_new(map, *headers, (size_t)(colon - *headers), text) < 0) {
            json_decref(map);
            return cli_fail(cli, EXIT_USAGE, "--header: '%s' is not 'NAME: VALUE'", *headers);
        }
    }
    if (json_object_size(map) > 0)
        json_object_set(base, "headers", map);
    json_decref(map);
    return 0;
}

/* "SCHEME://HOST...", the scheme one of the words, joined by blanks. */
static bool is_url(const char *url, const char *schemes)
{
    const char *colon = strstr(url, "://");
    size_t size = colon != NULL ? (size_t)(colon - url) : 0;

    if (size == 0 || (strchr("/?#", colon[3]) != NULL && strncasecmp(url, "file:///", 8) != 0))
        return false;
    for (const char *at = url; *at != '\0'; at++)
        if ((unsigned char)*at <= 0x20 || *at == 0x7f)
            return false;
    for (; *schemes != '\0'; schemes += strcspn(schemes, " "), schemes += *schemes == ' ')
        if (strcspn(schemes, " ") == size && strncasecmp(schemes, url, size) == 0)
            return true;
    return false;
}

static int put_url(const struct cli *cli, json_t *base, enum ag_option option, const char *key,
                   const char *schemes)
{
    const char *url = ag_options_text(cli->options, option), *name = ag_option_row(option)->name;

    if (url == NULL)
        return 0;
    if (!is_url(url, schemes))
        return cli_fail(cli, EXIT_USAGE, "--%s: '%s' is not SCHEME://HOST... with one of %s", name,
                        url, schemes);
    if (json_object_set_new(base, key, json_string(url)) < 0)
        return not_text(cli, name);
    return 0;
}

static int put_auth(const struct cli *cli, json_t *base)
{
    const char *bearer = ag_options_text(cli->options, AG_OPT_BEARER);
    const char *basic = ag_options_text(cli->options, AG_OPT_BASIC);
    const char *name = bearer != NULL ? bearer : basic, *option = bearer ? "bearer" : "basic";
    json_t *auth;

    if (name == NULL)
        return 0;
    if (bearer != NULL && basic != NULL)
        return cli_fail(cli, EXIT_USAGE, "--bearer and --basic exclude each other");
    for (const char *at = name; *at != '\0'; at++)
        if ((unsigned char)*at <= 0x20 || *at == 0x7f)
            return cli_fail(cli, EXIT_USAGE,
                            "--%s: '%s' has a blank or a control character: it takes the name of a "
                            "secret, not the secret",
                            option, name);
    auth = json_object();
    if (json_object_set_new(auth, option, json_string(name)) < 0) {
        json_decref(auth);
        return not_text(cli, option);
    }
    json_object_set_new(base, "auth", auth);
    return 0;
}

/* Nobody else's jobs may see what a batch was given: its jar has a name that nobody guesses. */
static int put_cookies(const struct cli *cli, json_t *base)
{
    char name[AG_ID_TEXT_SIZE];
    int code;

    if (!ag_options_flag(cli->options, AG_OPT_COOKIES))
        return 0;
    code = cli_make_name(cli, name);
    if (code == 0)
        put_text(base, "cookies", name);
    return code;
}

/* An entity tag of RFC 9110 8.8.3, a list of them, or *. */
static bool are_etags(const char *text)
{
    if (strcmp(text, "*") == 0)
        return true;
    for (;;) {
        text += strspn(text, " \t");
        text += strncmp(text, "W/", 2) == 0 ? 2 : 0;
        if (*text++ != '"')
            return false;
        while ((unsigned char)*text > 0x20 && *text != '"' && *text != 0x7f)
            text++;
        if (*text++ != '"')
            return false;
        text += strspn(text, " \t");
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

static int put_condition(const struct cli *cli, json_t *base)
{
    const char *etag = ag_options_text(cli->options, AG_OPT_IF_NONE_MATCH);
    const char *since = ag_options_text(cli->options, AG_OPT_IF_MODIFIED_SINCE), *end;
    int64_t now = ag_clock_unix_ms(), at;
    struct argosy_error err = {0};
    struct tm when = {0};
    char date[64];
    time_t seconds;

    if (etag != NULL && !are_etags(etag))
        return cli_fail(cli, EXIT_USAGE,
                        "--if-none-match: '%s' is not an entity tag (\"abc\", W/\"abc\", or *)",
                        etag);
    if (etag != NULL && json_object_set_new(base, "if_none_match", json_string(etag)) < 0)
        return not_text(cli, "if-none-match");
    if (since == NULL)
        return 0;
    end = strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &when);
    if (end != NULL && *end == '\0')
        at = 1000 * (int64_t)timegm(&when);
    else if (jobs_parse_time(since, now, &at, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "--if-modified-since: %s", err.message);
    if (at > now)
        return cli_fail(cli, EXIT_USAGE, "--if-modified-since: %s has not come yet", since);
    seconds = (time_t)(at / 1000);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &when));
    put_text(base, "if_modified_since", date);
    return 0;
}

/* ---- what counts as success --------------------------------------------------------------------
 */

static bool read_status(const char *text, const char **end, int *status)
{
    *status = 0;
    for (*end = text; **end >= '0' && **end <= '9' && *end - text < 3; ++*end)
        *status = 10 * *status + (**end - '0');
    return *end - text == 3 && *status >= STATUS_MIN && *status <= STATUS_MAX;
}

/* 404, 500-599 or 3xx. NULL: none of them. */
static json_t *status_of(const char *text)
{
    int low, high;
    const char *end;

    if (text[0] >= '1' && text[0] <= '5' && strcasecmp(text + 1, "xx") == 0)
        return json_sprintf("%cxx", text[0]);
    if (!read_status(text, &end, &low))
        return NULL;
    if (*end == '\0')
        return json_integer(low);
    if (*end == '-' && read_status(end + 1, &end, &high) && *end == '\0' && low <= high)
        return json_string(text);
    return NULL;
}

static bool is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'z') ||
              (text[i] >= 'A' && text[i] <= 'Z') || strchr(name_marks, text[i]) != NULL))
            return false;
    return size > 0;
}

/* TYPE/SUBTYPE; the subtype, or both, may be *. NULL: none. */
static json_t *type_of(const char *text)
{
    const char *slash = strchr(text, '/');

    if (slash == NULL || !is_token(text, (size_t)(slash - text)) ||
        !is_token(slash + 1, strlen(slash + 1)) || (text[0] == '*' && strcmp(text, "*/*") != 0))
        return NULL;
    return json_string(text);
}

static int put_list(const struct cli *cli, json_t *base, enum ag_option option, const char *key,
                    json_t *(*read)(const char *text), const char *expected)
{
    const char *const *list = ag_options_list(cli->options, option, NULL);
    json_t *array = json_array();

    for (; *list != NULL; list++) {
        json_t *item = read(*list);

        if (item == NULL) {
            json_decref(array);
            return cli_fail(cli, EXIT_USAGE, "--%s: '%s' is not %s", ag_option_row(option)->name,
                            *list, expected);
        }
        json_array_append_new(array, item);
    }
    if (json_array_size(array) > 0)
        json_object_set(base, key, array);
    json_decref(array);
    return 0;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static int put_ca_file(const struct cli *cli, json_t *base)
{
    const char *path = ag_options_text(cli->options, AG_OPT_CA_FILE);
    char real[PATH_MAX];

    if (path == NULL)
        return 0;
    if (path[0] != '/' && realpath(path, real) == NULL)
        return cli_fail(cli, EXIT_USAGE, "--ca-file: %s: %s", path, strerror(errno));
    put_text(base, "ca_file", path[0] == '/' ? path : real);
    return 0;
}

static uint64_t get_ms(const ag_options_t *options, enum ag_option option)
{
    return ag_options_ms(options, option);
}

static uint64_t get_whole(const ag_options_t *options, enum ag_option option)
{
    return ag_options_whole(options, option);
}

/* Those whose value needs no more looking at. A default is the worker's own: a million jobs need
 * not say it. */
static void put_plain(const ag_options_t *options, json_t *base)
{
    static const struct {
        enum ag_option option;
        const char *key;
    } texts[] = {{AG_OPT_REQUEST, "method"}, {AG_OPT_BODY, "body"}, {AG_OPT_HTTP, "http"}},
      flags[] = {{AG_OPT_HEAD, "head"},
                 {AG_OPT_CONTINUE, "resume"},
                 {AG_OPT_IDEMPOTENT, "idempotent"},
                 {AG_OPT_ROBOTS, "robots"}};
    static const struct {
        enum ag_option option;
        const char *key;
        uint64_t (*get)(const ag_options_t *options, enum ag_option option);
    } numbers[] = {{AG_OPT_FETCH_TIMEOUT, "total_ms", get_ms},
                   {AG_OPT_CONNECT_TIMEOUT, "connect_ms", get_ms},
                   {AG_OPT_FIRST_BYTE_TIMEOUT, "first_byte_ms", get_ms},
                   {AG_OPT_IDLE_TIMEOUT, "idle_ms", get_ms},
                   {AG_OPT_MAX_SIZE, "max_bytes", ag_options_bytes},
                   {AG_OPT_MAX_WIRE_SIZE, "max_wire_bytes", ag_options_bytes},
                   {AG_OPT_MAX_REDIRECTS, "max_redirects", get_whole},
                   {AG_OPT_MAX_RATIO, "max_ratio", get_whole},
                   {AG_OPT_PAGES, "pages", get_whole}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (ag_options_given(options, texts[i].option))
            put_text(base, texts[i].key, ag_options_text(options, texts[i].option));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (ag_options_flag(options, flags[i].option))
            json_object_set_new(base, flags[i].key, json_true());
    if (!ag_options_given(options, AG_OPT_BODY) && ag_options_given(options, AG_OPT_OUT))
        put_text(base, "body", "file");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (ag_options_given(options, numbers[i].option))
            put_number(base, numbers[i].key, numbers[i].get(options, numbers[i].option));
}

static int check_together(const struct cli *cli)
{
    const ag_options_t *options = cli->options;
    bool out = ag_options_given(options, AG_OPT_OUT);

    if (ag_options_is(options, AG_OPT_BODY, "file") && !out)
        return cli_fail(cli, EXIT_USAGE, "--body file needs --out TEMPLATE");
    if (ag_options_flag(options, AG_OPT_CONTINUE) && !out)
        return cli_fail(cli, EXIT_USAGE, "--continue needs --out TEMPLATE: it is about files");
    if (ag_options_given(options, AG_OPT_PAGES) && out)
        return cli_fail(cli, EXIT_USAGE,
                        "--pages and --out exclude each other: pages are partial "
                        "results (--json --partial)");
    return 0;
}

int fetch_options_read(const struct cli *cli, json_t *base)
{
    int code = check_together(cli);

    put_plain(cli->options, base);
    if (code == 0)
        code = put_headers(cli, base);
    if (code == 0)
        code = put_body(cli, base);
    if (code == 0)
        code = put_ca_file(cli, base);
    if (code == 0)
        code = put_url(cli, base, AG_OPT_BASE_URL, "base_url", "http https ftp ftps sftp file");
    if (code == 0)
        code =
            put_url(cli, base, AG_OPT_PROXY, "proxy", "http https socks4 socks4a socks5 socks5h");
    if (code == 0)
        code = put_auth(cli, base);
    if (code == 0)
        code = put_cookies(cli, base);
    if (code == 0)
        code = put_condition(cli, base);
    if (code == 0)
        code = put_list(cli, base, AG_OPT_ACCEPT_STATUS, "accept_status", status_of,
                        "a status (404), a range of them (500-599) or a class (3xx)");
    if (code == 0)
        code = put_list(cli, base, AG_OPT_ACCEPT_TYPE, "accept_types", type_of,
                        "a media type (text/html, text/*)");
    return code != 0 ? code : put_path(cli, base, AG_OPT_WARC, "warc");
}
