/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as the kernel's answers to "which qdiscs are there?".
 *
 * Nothing behind an answer is read, however much of the buffer is left, the end
 * of the answers is the end of waiting, and no qdisc is found that none of them
 * names.
 *
 * The input: answers, each behind a byte of how many words of 4 bytes it has,
 * of which the last may be cut short.
 */
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <sanitizer/asan_interface.h>

#include "core/datapath.h"
#include "tests/fuzz/fuzz.h"

/* What is asked for. */
#define IFINDEX 3
#define KIND	"clsact"

static const uint8_t *input;
static size_t left;
static struct {
	void *at;
	size_t size;
} poisoned;

/* By --wrap: what clsact.c calls. */
struct mnl_socket *__wrap_mnl_socket_open(int bus);
int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned int groups,
			   pid_t pid);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf,
				 size_t len);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf,
				   size_t size);
unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *nl);
int __wrap_mnl_socket_close(struct mnl_socket *nl);

struct mnl_socket *__wrap_mnl_socket_open(int bus)
{
	(void)bus;
	return (struct mnl_socket *)&input;
}

int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned int groups,
			   pid_t pid)
{
	(void)nl;
	(void)groups;
	(void)pid;
	return 0;
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf,
				 size_t len)
{
	(void)nl;
	(void)buf;
	return (ssize_t)len;
}

static void unpoison(void)
{
	ASAN_UNPOISON_MEMORY_REGION(poisoned.at, poisoned.size);
	poisoned.size = 0;
}

/* Up to a message of 2 GiB and more: libmnl takes its length for a negative one
 * and goes on behind it.  The kernel has none. */
static size_t up_to_huge(const uint8_t *answer, size_t len)
{
	struct nlmsghdr header;
	size_t at = 0;

	while (at + sizeof(header) <= len) {
		memcpy(&header, answer + at, sizeof(header));
		if (header.nlmsg_len > INT32_MAX)
			return at;
		if (header.nlmsg_len < sizeof(header) ||
		    NLMSG_ALIGN(header.nlmsg_len) > len - at)
			break;
		at += NLMSG_ALIGN(header.nlmsg_len);
	}
	return len;
}

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf,
				   size_t size)
{
	size_t len;

	(void)nl;
	unpoison();
	if (!left) {
		errno = ENOBUFS;
		return -1;
	}
	len = *input++ * 4U;
	left--;
	if (len > left)
		len = left;
	require(len <= size);
	memcpy(buf, input, len);
	input += len;
	left -= len;
	len = up_to_huge(buf, len);
	poisoned.at = (char *)buf + len;
	poisoned.size = size - len;
	ASAN_POISON_MEMORY_REGION(poisoned.at, poisoned.size);
	return (ssize_t)len;
}

unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *nl)
{
	(void)nl;
	return 0;
}

int __wrap_mnl_socket_close(struct mnl_socket *nl)
{
	(void)nl;
	unpoison();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	if (attach_has_qdisc(IFINDEX, KIND) > 0)
		require(memmem(data, size, KIND, sizeof(KIND)));
	return 0;
}
