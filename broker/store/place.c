#include "broker/store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/error.h"

/* linux/magic.h lacks these. */
enum { CIFS_MAGIC = 0xFF534D42, GLUSTER_MAGIC = 0x65735546, CEPH_MAGIC = 0x00c36400 };

const char *place_network_name(unsigned long type)
{
    switch ((unsigned)type) {
    case NFS_SUPER_MAGIC:
        return "NFS";
    case SMB_SUPER_MAGIC:
    case (unsigned)SMB2_SUPER_MAGIC:
    case (unsigned)CIFS_MAGIC:
        return "SMB";
    case V9FS_MAGIC:
        return "9p";
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
        return "AFS";
    case CODA_SUPER_MAGIC:
        return "Coda";
    case NCP_SUPER_MAGIC:
        return "NCP";
    case CEPH_MAGIC:
        return "Ceph";
    case GLUSTER_MAGIC: /* of all FUSE file systems: sshfs and Gluster among them */
        return "FUSE";
    default:
        return NULL;
    }
}

static int name_of(const struct place *self, const char *what, char name[PATH_MAX])
{
    return snprintf(name, PATH_MAX, "%s.%s", self->path, what);
}

static void folder_of(const char *path, char folder[PATH_MAX])
{
    char *slash;

    snprintf(folder, PATH_MAX, "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL)
        snprintf(folder, PATH_MAX, ".");
    else if (slash == folder)
        slash[1] = '\0';
    else
        *slash = '\0';
}

/* SQLite makes its files durable in their directory, but not that one in the directory above. */
static int make_durable(const char *made, struct argosy_error *err)
{
    char folder[PATH_MAX];
    int fd, rc;

    folder_of(made, folder);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd >= 0 ? fsync(fd) : -1;
    if (rc < 0)
        ag_fail(err, ARGOSY_EIO, "cannot make %s durable: %s", made, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc < 0 ? ARGOSY_EIO : 0;
}

int place_make_folder(const char *folder, struct argosy_error *err)
{
    if (mkdir(folder, 0700) == 0)
        return make_durable(folder, err);
    if (errno == EEXIST)
        return 0;
    return ag_fail(err, ARGOSY_EIO, "cannot make the store's directory %s: %s", folder,
                   strerror(errno));
}

static int check_file_system(const char *folder, struct argosy_error *err)
{
    struct statfs found;
    const char *network;

    if (statfs(folder, &found) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot look at the store's directory %s: %s", folder,
                       strerror(errno));
    network = place_network_name((unsigned long)found.f_type);
    if (network == NULL)
        return 0;
    return ag_fail(err, ARGOSY_EINVAL,
                   "%s is on a network file system (%s), where a store is not safe: use a "
                   "directory of this machine with --store sqlite:PATH",
                   folder, network);
}

static int lock(struct place *self, struct argosy_error *err)
{
    char name[PATH_MAX];

    name_of(self, "lock", name);
    self->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->lock < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot open %s: %s", name, strerror(errno));
    if (flock(self->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    close(self->lock);
    self->lock = -1;
    return ag_fail(err, ARGOSY_ESTATE,
                   "another broker holds the store %s: stop it, or name another with "
                   "--store sqlite:PATH",
                   self->path);
}

int place_take(struct place *self, const char *path, struct argosy_error *err)
{
    char folder[PATH_MAX];
    int rc;

    self->lock = -1;
    if (strlen(path) >= sizeof self->path)
        return ag_fail(err, ARGOSY_EINVAL, "the store's path is too long");
    snprintf(self->path, sizeof self->path, "%s", path);
    folder_of(path, folder);
    rc = place_make_folder(folder, err);
    if (rc == 0)
        rc = check_file_system(folder, err);
    return rc < 0 ? rc : lock(self, err);
}

/* The file stays: to remove it would let two others hold two of them. */
void place_release(struct place *self)
{
    if (self->lock >= 0)
        close(self->lock);
    self->lock = -1;
}

bool place_keep_ballast(const struct place *self)
{
    char name[PATH_MAX];
    struct statvfs room;
    struct stat found;
    bool done;
    int fd;

    name_of(self, "ballast", name);
    if (stat(name, &found) == 0 && found.st_blocks * 512 >= PLACE_BALLAST_BYTES)
        return true;
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    done = fstatvfs(fd, &room) == 0 &&
           (uint64_t)room.f_bavail * room.f_frsize >= 2 * (uint64_t)PLACE_BALLAST_BYTES &&
           posix_fallocate(fd, 0, PLACE_BALLAST_BYTES) == 0;
    close(fd);
    if (!done)
        unlink(name);
    return done;
}

void place_drop_ballast(const struct place *self)
{
    char name[PATH_MAX];

    name_of(self, "ballast", name);
    unlink(name);
}
