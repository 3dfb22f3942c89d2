/* Preloaded: reads and writes do half of what they are asked for, as POSIX allows them. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t some(size_t n) { return n > 3 ? n / 2 + 1 : n; }

ssize_t read(int fd, void *buffer, size_t n) { return syscall(SYS_read, fd, buffer, some(n)); }

ssize_t write(int fd, const void *buffer, size_t n) { return syscall(SYS_write, fd, buffer, some(n)); }

ssize_t pread64(int fd, void *buffer, size_t n, off64_t at) {
    return syscall(SYS_pread64, fd, buffer, some(n), at);
}

ssize_t pwrite64(int fd, const void *buffer, size_t n, off64_t at) {
    return syscall(SYS_pwrite64, fd, buffer, some(n), at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    (void)count;
    return write(fd, parts->iov_base, parts->iov_len);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    return syscall(SYS_copy_file_range, in, from, out, to, n > 70000 ? 70000 : some(n), flags);
}
