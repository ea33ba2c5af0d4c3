/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Both ends of a line: makes each run of a test run with live frames another
 * packet and sends it off, and counts what arrives.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "traffic.h"

enum {
	SERVERS = 4096,
	SERVER = 0xc6120000, /* 198.18.0.0 */
	IP = 14,
	L4 = IP + 20,
	END = L4 + 20,
	PATIENCE = 512, /* some 50 ms */
	LOOKS = 2048,
};

volatile struct traffic_knobs traffic_knobs;
__u64 traffic_sent;
__u64 traffic_lost;
__u64 traffic_began, traffic_ended; /* ns */
__u32 traffic_credit, traffic_stalled;
struct traffic_seen traffic_seen[TRAFFIC_CPUS] __attribute__((aligned(64)));

static __always_inline __u32 mix(__u32 x)
{
	x *= 0x9e3779b1;
	x ^= x >> 15;
	x *= 0x85ebca77;
	return x ^ x >> 13;
}

/* The header's checksum over words that were 0 before. */
static __always_inline __u16 sum_of(const __u16 *word)
{
	__u32 sum = 0;
	int i;

	for (i = 0; i < 10; i++)
		sum += i == 5 ? 0 : word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u64 received(void)
{
	__u32 cpus = traffic_knobs.cpus, i;
	__u64 sum = 0;

	for (i = 0; i < TRAFFIC_CPUS && i < cpus; i++)
		sum += *(volatile __u64 *)&traffic_seen[i].skbs;
	return sum;
}

/* 1: there is room. */
static long look_for_room(__u32 i, void *arg)
{
	(void)i;
	(void)arg;
	return traffic_sent - traffic_lost - received() < traffic_knobs.window;
}

/*
 * What has not come after PATIENCE looks will not come.  Frames that are not
 * sent go back to a pool whose lock the receiver needs, so that there are to be
 * few.
 */
static __always_inline int may_send(void)
{
	__u32 window = traffic_knobs.window;
	__u64 under_way;

	if (traffic_sent >= traffic_knobs.goal)
		return 0;
	if (!window)
		return 1;
	if (traffic_credit) {
		traffic_credit--;
		return 1;
	}
	bpf_loop(LOOKS, look_for_room, NULL, 0);
	under_way = traffic_sent - traffic_lost - received();
	if (under_way < window) {
		traffic_credit = (window - under_way) / 4;
		traffic_stalled = 0;
		return 1;
	}
	if (++traffic_stalled > PATIENCE) {
		traffic_lost += under_way;
		traffic_stalled = 0;
	}
	return 0;
}

/*
 * A test run costs its caller a grace period of RCU, so that one has to do: a
 * run that may not send yet is in vain, and the next one tries again.
 */
SEC("xdp")
int traffic_send(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end,
	     *data = (void *)(long)ctx->data;
	__u32 up = traffic_knobs.up, flow, subscriber, remote;
	__u16 port;

	if (data + END > end)
		return XDP_ABORTED;
	if (!may_send())
		return XDP_DROP;
	if (!(traffic_sent & 63)) {
		traffic_ended = bpf_ktime_get_ns();
		if (!traffic_began)
			traffic_began = traffic_ended;
	}
	flow = traffic_sent++ + traffic_knobs.first;
	if (traffic_knobs.shuffled)
		flow = mix(flow);
	flow %= traffic_knobs.flows;
	subscriber = flow % traffic_knobs.subscribers;
	port = bpf_htons(1024 + flow / traffic_knobs.subscribers);
	subscriber = bpf_htonl(traffic_knobs.address + subscriber);
	remote = bpf_htonl(SERVER + mix(flow) % SERVERS);
	*(__u32 *)(data + IP + (up ? 12 : 16)) = subscriber;
	*(__u32 *)(data + IP + (up ? 16 : 12)) = remote;
	*(__u16 *)(data + IP + 10) = sum_of(data + IP);
	*(__u16 *)(data + L4 + (up ? 0 : 2)) = port;
	*(__u16 *)(data + L4 + (up ? 2 : 0)) = bpf_htons(443);
	if (traffic_knobs.tcp) {
		*(__u32 *)(data + L4 + 4) =
			bpf_htonl(flow + traffic_knobs.round * TRAFFIC_DATA);
		*(__u32 *)(data + L4 + 8) = bpf_htonl(
			flow + (traffic_knobs.round + up) * TRAFFIC_DATA);
	}
	return bpf_redirect(traffic_knobs.ifindex, 0);
}

static __always_inline void see(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id() & (TRAFFIC_CPUS - 1);
	struct traffic_seen *seen = &traffic_seen[cpu];

	seen->skbs++;
	seen->segments += skb->gso_segs ?: 1;
	seen->bytes += skb->len;
}

/* Of ours nothing goes further: nobody is to answer. */
SEC("tc")
int traffic_take(struct __sk_buff *skb)
{
	see(skb);
	return TC_ACT_SHOT;
}

SEC("tc")
int traffic_look(struct __sk_buff *skb)
{
	see(skb);
	return TC_ACT_OK;
}

/* What stands for a driver's hook that nobody uses. */
SEC("xdp")
int traffic_pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
