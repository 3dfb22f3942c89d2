/* Preloaded: closing a file that was written to fails, as it does where the bytes are sent only then. The file is closed
   nevertheless, as POSIX leaves it open to be and Linux always does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int close(int fd) {
    struct stat about;
    int is_file = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
    int is_written = is_file && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int result = (int)syscall(SYS_close, fd);
    if (result != 0 || !is_written) return result;
    errno = EDQUOT;
    return -1;
}
