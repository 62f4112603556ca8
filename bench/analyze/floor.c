/* floor.c - the least that any counter of lines does: find every file, open it, read it, look for
 * its newlines.
 *
 *     floor [-t THREADS] DIRECTORY
 *
 * No names are compared but those of version control directories, nothing is decided and nothing is
 * kept. Threads share a stack of directories and take one after the other; each has one buffer.
 * Prints: seconds, files, bytes, newlines.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64,
    READ_BYTES = 256 << 10, /* stays in the second level cache */
    ENTRIES_BYTES = 64 << 10
};

/* What getdents64 fills. */
struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short size;
    unsigned char type;
    char name[];
};

struct folder {
    struct folder *next;
    char path[]; /* relative to the root */
};

struct thread {
    pthread_t id;
    uint64_t files, bytes, newlines;
    uint8_t data[READ_BYTES];
    _Alignas(8) uint8_t entries[ENTRIES_BYTES];
};

static int root;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct folder *folders; /* that wait */
static unsigned waiting, threads_count = 1;

static void put(const char *parent, const char *name)
{
    size_t parent_size = strlen(parent), name_size = strlen(name);
    struct folder *folder = malloc(sizeof *folder + parent_size + name_size + 2);

    if (folder == NULL)
        err(1, "malloc");
    memcpy(folder->path, parent, parent_size);
    folder->path[parent_size] = '/';
    memcpy(folder->path + parent_size + (parent_size > 0), name, name_size + 1);
    pthread_mutex_lock(&lock);
    folder->next = folders;
    folders = folder;
    if (waiting > 0)
        pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

/* NULL: all is done, because everybody waits. */
static struct folder *take(void)
{
    struct folder *folder;

    pthread_mutex_lock(&lock);
    waiting++;
    while (folders == NULL && waiting < threads_count)
        pthread_cond_wait(&changed, &lock);
    folder = folders;
    if (folder != NULL) {
        folders = folder->next;
        waiting--;
    } else {
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return folder;
}

static uint64_t count_newlines(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    uint64_t count = 0;

    while ((data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        count++;
        data++;
    }
    return count;
}

static void read_file(struct thread *self, int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return;
    do {
        got = read(fd, self->data, READ_BYTES);
        if (got <= 0)
            break;
        self->bytes += (uint64_t)got;
        self->newlines += count_newlines(self->data, (size_t)got);
    } while (got == READ_BYTES); /* less is the end of a regular file */
    close(fd);
    self->files++;
}

static int is_version_control(const char *name)
{
    return strcmp(name, ".git") == 0 || strcmp(name, ".hg") == 0 || strcmp(name, ".svn") == 0;
}

static void read_folder(struct thread *self, const char *path)
{
    int fd = openat(root, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;

    while (fd >= 0 && (got = syscall(SYS_getdents64, fd, self->entries, ENTRIES_BYTES)) > 0) {
        const struct entry *entry;

        for (long at = 0; at < got; at += entry->size) {
            entry = (const struct entry *)(const void *)(self->entries + at);
            if (entry->type == DT_REG)
                read_file(self, fd, entry->name);
            else if (entry->type == DT_DIR && strcmp(entry->name, ".") != 0 &&
                     strcmp(entry->name, "..") != 0 && !is_version_control(entry->name))
                put(path, entry->name);
        }
    }
    if (fd >= 0)
        close(fd);
}

static void *work(void *arg)
{
    struct folder *folder;

    while ((folder = take()) != NULL) {
        read_folder(arg, folder->path);
        free(folder);
    }
    return NULL;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static struct thread threads[THREADS_MAX];
    uint64_t files = 0, bytes = 0, newlines = 0;
    double begin = now();
    int option;

    while ((option = getopt(argc, argv, "t:")) != -1) {
        if (option != 't' || (threads_count = (unsigned)atoi(optarg)) - 1 >= THREADS_MAX)
            errx(2, "usage: floor [-t THREADS] DIRECTORY");
    }
    if (optind + 1 != argc)
        errx(2, "usage: floor [-t THREADS] DIRECTORY");
    root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        err(1, "%s", argv[optind]);
    put("", "");
    for (unsigned i = 1; i < threads_count; i++)
        if (pthread_create(&threads[i].id, NULL, work, &threads[i]) != 0)
            errx(1, "no thread");
    work(&threads[0]);
    for (unsigned i = 0; i < threads_count; i++) {
        if (i > 0)
            pthread_join(threads[i].id, NULL);
        files += threads[i].files;
        bytes += threads[i].bytes;
        newlines += threads[i].newlines;
    }
    printf("%.4f %llu %llu %llu\n", now() - begin, (unsigned long long)files,
           (unsigned long long)bytes, (unsigned long long)newlines);
    return 0;
}
