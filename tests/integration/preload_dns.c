/* Names that mean what a test says, for programs that are started with LD_PRELOAD. The file
 * $ARGOSY_DNS has lines
 *
 *     name address[,address] [sleep_ms]
 *     name error EAI_AGAIN [sleep_ms]
 *
 * Several lines for one name are its answers in turn; the last one stays. Names that are not there
 * go to the real resolver. Each lookup of a name that is there appends it to $ARGOSY_DNS_LOG. The
 * file is read at each lookup, so that it may be replaced. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_SIZE = 1024,
    NAMES_MAX = 1024, /* whose turns are remembered; others get their first line for ever */
    OURS = 1 << 30,   /* in ai_flags, which the real one never sets: who frees it */
};

struct node {
    struct addrinfo info; /* first */
    struct sockaddr_storage address;
};

struct turn {
    char name[NI_MAXHOST];
    unsigned asked;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct turn turns[NAMES_MAX];
static size_t turns_count;

/* ---- the file ------------------------------------------------------------------------------- */

static unsigned take_turn(const char *name)
{
    size_t i = 0;

    while (i < turns_count && strcasecmp(turns[i].name, name) != 0)
        i++;
    if (i == NAMES_MAX || strlen(name) >= sizeof turns->name)
        return 0;
    if (i == turns_count)
        strcpy(turns[turns_count++].name, name);
    return turns[i].asked++;
}

/* The line whose turn it is, without the name; false if there is none. */
static int find_line(FILE *file, const char *name, char found[LINE_SIZE])
{
    char line[LINE_SIZE];
    unsigned turn = 0, seen = 0;

    while (fgets(line, sizeof line, file) != NULL) {
        size_t size = strcspn(line, " \t\n");

        if (line[0] == '#' || size != strlen(name) || strncasecmp(line, name, size) != 0)
            continue;
        if (seen == 0)
            turn = take_turn(name);
        strcpy(found, line + size);
        if (seen++ == turn)
            break;
    }
    return seen > 0;
}

static int look(const char *name, char found[LINE_SIZE])
{
    const char *path = getenv("ARGOSY_DNS"), *log = getenv("ARGOSY_DNS_LOG");
    FILE *file = path != NULL && name != NULL ? fopen(path, "re") : NULL;
    char line[NI_MAXHOST + 2];
    int is_found, fd;

    if (file == NULL)
        return 0;
    pthread_mutex_lock(&lock);
    is_found = find_line(file, name, found);
    pthread_mutex_unlock(&lock);
    fclose(file);
    if (is_found && log != NULL) {
        int size = snprintf(line, sizeof line, "%s\n", name);

        fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, line, (size_t)size) != size) /* one write: lines stay whole */
            abort();
        close(fd);
    }
    return is_found;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static int code_of(const char *word)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {
        {"EAI_AGAIN", EAI_AGAIN},   {"EAI_FAIL", EAI_FAIL},     {"EAI_NODATA", EAI_NODATA},
        {"EAI_NONAME", EAI_NONAME}, {"EAI_MEMORY", EAI_MEMORY}, {"EAI_SYSTEM", EAI_SYSTEM},
    };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].name, word) == 0)
            return codes[i].code;
    fprintf(stderr, "preload_dns: '%s' is no error of getaddrinfo()\n", word);
    abort();
}

static struct node *new_node(const char *text, const struct addrinfo *hints, unsigned short port)
{
    struct node *self = calloc(1, sizeof *self);
    struct sockaddr_in *in = (void *)&self->address;
    struct sockaddr_in6 *in6 = (void *)&self->address;

    if (self == NULL)
        abort();
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        self->info.ai_family = in->sin_family = AF_INET;
        in->sin_port = port;
        self->info.ai_addrlen = sizeof *in;
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        self->info.ai_family = in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        self->info.ai_addrlen = sizeof *in6;
    } else {
        fprintf(stderr, "preload_dns: '%s' is no address\n", text);
        abort();
    }
    self->info.ai_addr = (struct sockaddr *)&self->address;
    self->info.ai_flags = OURS;
    self->info.ai_socktype = hints != NULL && hints->ai_socktype ? hints->ai_socktype : SOCK_STREAM;
    self->info.ai_protocol = hints != NULL && hints->ai_protocol ? hints->ai_protocol : IPPROTO_TCP;
    return self;
}

static int answer(char *addresses, const char *service, const struct addrinfo *hints,
                  struct addrinfo **out)
{
    unsigned short port = htons((unsigned short)(service != NULL ? atoi(service) : 0));
    int family = hints != NULL ? hints->ai_family : AF_UNSPEC;
    struct addrinfo **last = out;
    char *rest;

    for (char *text = strtok_r(addresses, ",", &rest); text != NULL;
         text = strtok_r(NULL, ",", &rest)) {
        struct node *node = new_node(text, hints, port);

        if (family != AF_UNSPEC && family != node->info.ai_family) {
            free(node);
            continue;
        }
        *last = &node->info;
        last = &node->info.ai_next;
    }
    return *out != NULL ? 0 : EAI_NODATA;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    char line[LINE_SIZE], *word, *argument, *ms, *rest;
    struct timespec pause;
    int is_error;

    if (!look(name, line)) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
            (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
                RTLD_NEXT, "getaddrinfo");

        return real(name, service, hints, out);
    }
    word = strtok_r(line, " \t\n", &rest);
    is_error = word != NULL && strcmp(word, "error") == 0;
    argument = is_error ? strtok_r(NULL, " \t\n", &rest) : word;
    if (argument == NULL) {
        fprintf(stderr, "preload_dns: nothing behind '%s'\n", name);
        abort();
    }
    ms = strtok_r(NULL, " \t\n", &rest);
    if (ms != NULL) {
        pause.tv_sec = atoi(ms) / 1000;
        pause.tv_nsec = atoi(ms) % 1000 * 1000000L;
        nanosleep(&pause, NULL);
    }
    *out = NULL;
    return is_error ? code_of(argument) : answer(argument, service, hints, out);
}

void freeaddrinfo(struct addrinfo *list)
{
    void (*real)(struct addrinfo *);

    if (list == NULL || (list->ai_flags & OURS) == 0) {
        real = (void (*)(struct addrinfo *))dlsym(RTLD_NEXT, "freeaddrinfo");
        if (list != NULL)
            real(list);
        return;
    }
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;

        free(list); /* the first member of its node */
        list = next;
    }
}
