/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For LD_PRELOAD: lets the n-th call of one kind fail.  The kernel hands every
 * system call of those kinds to a handler here (seccomp), whoever makes it: no
 * wrapper of libc is missed, and what a sanitizer intercepts stays so.  Memory
 * fails in the allocator's functions, which a sanitizer's come before.
 *
 * FAULT_FILE names a file of one struct fault.  It is shared: whoever writes
 * into it arms a process that runs, and reads what was counted.  What failed is
 * told, as a stack, in FAULT_FILE.trace.
 */
#ifdef __x86_64__

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct fault {
	char kind[4];	 /* of kinds[], or "heap" */
	uint32_t n;	 /* which is to fail; 0: none, they are counted */
	int32_t error;	 /* the errno of system calls; memory has ENOMEM */
	uint32_t count;	 /* of this kind */
	uint32_t hits;	 /* how many failed */
	int32_t blocks;	 /* of memory that are in use */
	int32_t seconds; /* to be added to CLOCK_REALTIME */
};

static const struct kind {
	char name[5];
	int calls[6]; /* 0 ends them */
} kinds[] = {
	{"bpf_", {SYS_bpf}},
	{"open", {SYS_openat}},
	{"mmap", {SYS_mmap}},
	{"sock", {SYS_socket, SYS_socketpair, SYS_bind}},
	{"send", {SYS_sendto, SYS_sendmsg}},
	{"recv", {SYS_recvfrom, SYS_recvmsg}},
	{"ctrl", {SYS_ioctl}},
	{"file", {SYS_rename, SYS_mkdir, SYS_unlink, SYS_rmdir, SYS_ftruncate}},
	{"loop",
	 {SYS_epoll_create1, SYS_epoll_ctl, SYS_timerfd_create,
	  SYS_inotify_init1, SYS_inotify_add_watch}},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct fault *fault;
static int trace = -1;

/* ---- Counting ----------------------------------------------------------- */

static void tell(void)
{
	void *frames[48];

	backtrace_symbols_fd(frames, backtrace(frames, 48), trace);
}

/* Is this one to fail? */
static bool strike(const char *kind)
{
	if (!fault || memcmp(fault->kind, kind, sizeof(fault->kind)) ||
	    ++fault->count != fault->n)
		return false;
	fault->hits++;
	tell();
	return true;
}

/* ---- System calls ------------------------------------------------------- */

/* The one place whose system calls the filter lets through. */
long fault_pass(long nr, long a, long b, long c, long d, long e, long f);
extern const char fault_passed[];
__asm__(".text\n"
	"fault_pass:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"fault_passed:\n"
	"	ret\n");

static const struct kind *kind_of(int nr)
{
	for (int i = 0; i < KINDS; i++)
		for (int j = 0; j < 6 && kinds[i].calls[j]; j++)
			if (kinds[i].calls[j] == nr)
				return &kinds[i];
	return &kinds[0];
}

static void on_call(int signo, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	int saved = errno;

	(void)signo;
	r[REG_RAX] = strike(kind_of(info->si_syscall)->name)
			     ? -fault->error
			     : fault_pass(info->si_syscall, r[REG_RDI],
					  r[REG_RSI], r[REG_RDX], r[REG_R10],
					  r[REG_R8], r[REG_R9]);
	errno = saved;
}

struct code {
	struct sock_filter at[128];
	unsigned short n;
};

static void emit(struct code *code, unsigned int op, uint32_t k, int yes,
		 int no)
{
	code->at[code->n++] =
		(struct sock_filter)BPF_JUMP((uint16_t)op, k, yes, no);
}

/* Calls that return to somewhere from one address to the other pass. */
static void let(struct code *code, uintptr_t from, uintptr_t to)
{
	const int ip = offsetof(struct seccomp_data, instruction_pointer);

	emit(code, BPF_LD | BPF_W | BPF_ABS, ip + 4, 0, 0);
	emit(code, BPF_JMP | BPF_JEQ | BPF_K, from >> 32, 0, 4);
	emit(code, BPF_LD | BPF_W | BPF_ABS, ip, 0, 0);
	emit(code, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from, 0, 2);
	emit(code, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)to, 1, 0);
	emit(code, BPF_RET, SECCOMP_RET_ALLOW, 0, 0);
}

/* Of the program, which is first: there, and nowhere else in it, a sanitizer's
 * runtime makes system calls, some with all signals blocked. */
static int let_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && p->p_flags & PF_X)
			let(arg, from, from + p->p_memsz);
	}
	return 1;
}

static int filter(void)
{
	struct sigaction action = {.sa_sigaction = on_call,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct code code = {};
	struct sock_fprog prog = {.filter = code.at};

	let(&code, (uintptr_t)fault_passed, (uintptr_t)fault_passed);
	dl_iterate_phdr(let_program, &code);
	emit(&code, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr),
	     0, 0);
	for (int i = 0; i < KINDS; i++)
		for (int j = 0; j < 6 && kinds[i].calls[j]; j++) {
			emit(&code, BPF_JMP | BPF_JEQ | BPF_K,
			     (uint32_t)kinds[i].calls[j], 0, 1);
			emit(&code, BPF_RET, SECCOMP_RET_TRAP, 0, 0);
		}
	emit(&code, BPF_RET, SECCOMP_RET_ALLOW, 0, 0);
	prog.len = code.n;
	if (sigaction(SIGSYS, &action, NULL) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -errno : 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_FILE");
	char name[4096];
	void *warm[1];
	int fd;

	if (!path)
		return;
	backtrace(warm, 1); /* loads what it needs */
	snprintf(name, sizeof(name), "%s.trace", path);
	trace = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || trace < 0)
		goto fail;
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	close(fd);
	if (fault != MAP_FAILED && !filter())
		return;
fail:
	perror("nth: FAULT_FILE");
	_exit(126);
}

/* ---- Memory ------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *p);

static void *given(void *p)
{
	if (p && fault)
		__atomic_add_fetch(&fault->blocks, 1, __ATOMIC_RELAXED);
	return p;
}

static bool refused(void)
{
	if (!strike("heap"))
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t size)
{
	return refused() ? NULL : given(__libc_malloc(size));
}

EXPORT void *calloc(size_t n, size_t size)
{
	return refused() ? NULL : given(__libc_calloc(n, size));
}

EXPORT void *realloc(void *old, size_t size)
{
	void *p;

	if (refused())
		return NULL;
	p = __libc_realloc(old, size);
	if (old && !p && !size && fault)
		__atomic_sub_fetch(&fault->blocks, 1, __ATOMIC_RELAXED);
	return old ? p : given(p);
}

EXPORT void free(void *p)
{
	if (p && fault)
		__atomic_sub_fetch(&fault->blocks, 1, __ATOMIC_RELAXED);
	__libc_free(p);
}

/* ---- The clock ---------------------------------------------------------- */

EXPORT int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, ts);
	if (!rc && fault &&
	    (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += fault->seconds;
	return rc;
}

EXPORT time_t time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

#else
extern int nth_knows_x86_64_only;
#endif
