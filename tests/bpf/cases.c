/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/lqos/packet.h"
#include "tests/bpf/cases.h"

#define QINQ	       P_TAG(0x9100)
#define MPLS_MULTICAST P_TYPE(0x8848), P_MPLS

const struct encapsulation encapsulations[] = {
	{"plain", {}, 0},
	{"1 tag", {P_VLAN}, 4},
	{"2 tags", {P_VLAN, P_VLAN}, 8},
	{"3 tags", {P_VLAN, P_VLAN, P_VLAN}, 12},
	{"4 tags", {P_VLAN, P_VLAN, P_VLAN, P_VLAN}, 16},
	{"provider tag", {P_SVLAN}, 4},
	{"802.1ad", {P_SVLAN, P_VLAN}, 8},
	{"QinQ of old", {QINQ, P_VLAN}, 8},
	{"all tags", {QINQ, P_SVLAN, P_SVLAN, P_VLAN}, 16},
	{"PPPoE", {P_PPPOE}, 8},
	{"PPPoE, 1 tag", {P_VLAN, P_PPPOE}, 12},
	{"PPPoE, 802.1ad", {P_SVLAN, P_VLAN, P_PPPOE}, 16},
	{"PPPoE, 4 tags", {P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_PPPOE}, 24},
	{"1 label", {P_MPLS}, 4},
	{"2 labels", {P_MPLS, P_MPLS}, 8},
	{"3 labels", {P_MPLS, P_MPLS, P_MPLS}, 12},
	{"4 labels", {P_MPLS, P_MPLS, P_MPLS, P_MPLS}, 16},
	{"MPLS multicast", {MPLS_MULTICAST}, 4},
	{"4 tags, 4 labels",
	 {P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_MPLS, P_MPLS, P_MPLS, P_MPLS},
	 32},
};
const size_t n_encapsulations = ARRAY_SIZE(encapsulations);

#define IP	 LQOS_PACKET_IP
#define FRAGMENT (LQOS_PACKET_IP | LQOS_PACKET_FRAGMENT)
#define NONE	 DP_RECEIVED
#define L4(name_, families_, proto_, l4_, ...)                         \
	{                                                              \
		name_, {__VA_ARGS__}, families_, IP, proto_, l4_, NONE \
	}
#define NO_L4(name_, families_, proto_, reason_, ...)                    \
	{                                                                \
		name_, {__VA_ARGS__}, families_, IP, proto_, CASE_NO_L4, \
			reason_                                          \
	}
#define PART(name_, families_, proto_, ...)                                    \
	{                                                                      \
		name_, {__VA_ARGS__}, families_, FRAGMENT, proto_, CASE_NO_L4, \
			DP_FRAGMENT                                            \
	}

const struct payload payloads[] = {
	L4("TCP", CASE_BOTH, 6, 0, P_IP, P_TCP, P_DATA(100)),
	L4("TCP, no data", CASE_BOTH, 6, 0, P_IP, P_TCP),
	L4("TCP, padded frame", CASE_BOTH, 6, 0, P_IP, P_TCP, P_PAD(6)),
	L4("TCP, options", CASE_BOTH, 6, 0, P_IP, P_TCP_OPTIONS(10), P_DATA(9)),
	L4("UDP", CASE_BOTH, 17, 0, P_IP, P_UDP, P_DATA(31)),
	L4("UDP, no data", CASE_BOTH, 17, 0, P_IP, P_UDP),
	L4("ICMP", CASE_BOTH, 1, 0, P_IP, P_ICMP, P_DATA(56)),
	L4("ICMP, no data", CASE_BOTH, 1, 0, P_IP, P_ICMP),
	L4("big", CASE_BOTH, 17, 0, P_IP, P_UDP, P_DATA(1472)),

	/* IPv4 */
	L4("1 word of options", CASE_IPV4, 6, 4, P_IP_OPTIONS(1), P_TCP),
	L4("5 words of options", CASE_IPV4, 17, 20, P_IP_OPTIONS(5), P_UDP),
	L4("10 words of options", CASE_IPV4, 1, 40, P_IP_OPTIONS(10), P_ICMP),
	NO_L4("header ends with the frame", CASE_IPV4, 6, DP_L4_TRUNCATED,
	      P_IP_OPTIONS(4), P_PROTO(6)),
	NO_L4("header longer than the frame", CASE_IPV4, 17, DP_L4_TRUNCATED,
	      P_IP, P_BYTE0(0x4f), P_UDP, P_DATA(4)),

	/* IPv6 */
	L4("hop-by-hop options", CASE_IPV6, 6, 8, P_IP, P_HOPOPTS, P_TCP),
	L4("routing header", CASE_IPV6, 17, 24, P_IP, P_ROUTING, P_UDP),
	L4("destination options", CASE_IPV6, 6, 16, P_IP, P_DSTOPTS, P_TCP),
	L4("mobility header", CASE_IPV6, 17, 8, P_IP, P_MOBILITY, P_UDP),
	L4("authentication header", CASE_IPV6, 6, 24, P_IP, P_AH, P_TCP),
	L4("authentication header of odd length", CASE_IPV6, 6, 20, P_IP,
	   P_EXTENSION(51, 5), P_TCP),
	L4("long options", CASE_IPV6, 17, 256 * 5, P_IP, P_EXTENSION(60, 160),
	   P_UDP),
	L4("multicast listener report", CASE_IPV6, 58, 8, P_IP, P_HOPOPTS,
	   P_ICMP, P_DATA(20)),
	L4("2 extension headers", CASE_IPV6, 6, 24, P_IP, P_HOPOPTS, P_DSTOPTS,
	   P_TCP),
	L4("5 extension headers", CASE_IPV6, 17, 80, P_IP, P_HOPOPTS, P_DSTOPTS,
	   P_ROUTING, P_AH, P_HOPOPTS, P_UDP),
	L4("6 extension headers", CASE_IPV6, 6, 96, P_IP, P_HOPOPTS, P_DSTOPTS,
	   P_ROUTING, P_AH, P_DSTOPTS, P_MOBILITY, P_TCP),
	NO_L4("7 extension headers", CASE_IPV6, 60, DP_EXTENSIONS, P_IP,
	      P_HOPOPTS, P_DSTOPTS, P_ROUTING, P_AH, P_DSTOPTS, P_DSTOPTS,
	      P_DSTOPTS, P_TCP),
	NO_L4("6 extension headers, no L4", CASE_IPV6, 59, DP_L4_OTHER, P_IP,
	      P_HOPOPTS, P_DSTOPTS, P_ROUTING, P_AH, P_DSTOPTS, P_MOBILITY,
	      P_DATA(40)),
	NO_L4("extension header cut", CASE_IPV6, 60, DP_L4_TRUNCATED, P_IP,
	      P_PROTO(60), P_DATA(7)),
	NO_L4("extension header longer than the frame", CASE_IPV6, 6,
	      DP_L4_TRUNCATED, P_IP, P_PROTO(60), P_BYTES(0x0609), P_DATA(30)),
	NO_L4("no next header", CASE_IPV6, 59, DP_L4_OTHER, P_IP, P_DATA(20)),

	/* Fragments */
	PART("first fragment", CASE_BOTH, 17, P_IP, P_FRAGMENT(PACKET_FIRST),
	     P_UDP, P_DATA(1000)),
	PART("middle fragment", CASE_BOTH, 17, P_IP, P_FRAGMENT(PACKET_MIDDLE),
	     P_PROTO(17), P_DATA(800)),
	PART("last fragment", CASE_BOTH, 6, P_IP, P_FRAGMENT(PACKET_LAST),
	     P_PROTO(6), P_DATA(33)),
	PART("fragment with options", CASE_IPV4, 1, P_IP_OPTIONS(2),
	     P_FRAGMENT(PACKET_FIRST), P_ICMP, P_DATA(64)),
	PART("fragment behind options", CASE_IPV6, 6, P_IP, P_HOPOPTS,
	     P_FRAGMENT(PACKET_MIDDLE), P_PROTO(6), P_DATA(64)),
	PART("fragment of a header chain", CASE_IPV6, 60, P_IP,
	     P_FRAGMENT(PACKET_FIRST), P_DSTOPTS, P_TCP),
	L4("atomic fragment", CASE_IPV6, 6, 8, P_IP, P_FRAGMENT(PACKET_ATOMIC),
	   P_TCP, P_DATA(10)),
	L4("atomic fragment of a header chain", CASE_IPV6, 17, 24, P_IP,
	   P_FRAGMENT(PACKET_ATOMIC), P_DSTOPTS, P_UDP),
	NO_L4("fragment header cut", CASE_IPV6, 44, DP_L4_TRUNCATED, P_IP,
	      P_PROTO(44), P_DATA(6)),

	/* L4 that has none for us. */
	NO_L4("ESP", CASE_BOTH, 50, DP_L4_OTHER, P_IP, P_PROTO(50), P_DATA(40)),
	NO_L4("GRE", CASE_BOTH, 47, DP_L4_OTHER, P_IP, P_PROTO(47), P_DATA(40)),
	NO_L4("SCTP", CASE_BOTH, 132, DP_L4_OTHER, P_IP, P_PROTO(132),
	      P_DATA(16)),
	NO_L4("OSPF", CASE_BOTH, 89, DP_L4_OTHER, P_IP, P_PROTO(89),
	      P_DATA(44)),
	NO_L4("VRRP", CASE_BOTH, 112, DP_L4_OTHER, P_IP, P_PROTO(112),
	      P_DATA(8)),
	NO_L4("IPv4 in it", CASE_BOTH, 4, DP_L4_OTHER, P_IP, P_PROTO(4),
	      P_DATA(40)),
	NO_L4("IPv6 in it", CASE_BOTH, 41, DP_L4_OTHER, P_IP, P_PROTO(41),
	      P_DATA(60)),
	NO_L4("authentication header", CASE_IPV4, 51, DP_L4_OTHER, P_IP,
	      P_PROTO(51), P_DATA(44)),
	NO_L4("nothing behind IP", CASE_IPV4, 255, DP_L4_OTHER, P_IP),
	NO_L4("TCP header cut", CASE_BOTH, 6, DP_L4_TRUNCATED, P_IP, P_PROTO(6),
	      P_DATA(19)),
	NO_L4("UDP header cut", CASE_BOTH, 17, DP_L4_TRUNCATED, P_IP,
	      P_PROTO(17), P_DATA(7)),
	NO_L4("UDP header missing", CASE_BOTH, 17, DP_L4_TRUNCATED, P_IP,
	      P_PROTO(17)),

	/* Neighbours speak like this: none of it may be dropped. */
	L4("BFD", CASE_BOTH, 17, 0, P_IP, P_UDP, P_DATA(24)),
};
const size_t n_payloads = ARRAY_SIZE(payloads);

const struct stranger strangers[] = {
	{"ARP", {P_TYPE(0x0806), P_DATA(46)}, DP_NOT_IP},
	{"ARP behind a tag", {P_VLAN, P_TYPE(0x0806), P_DATA(42)}, DP_NOT_IP},
	{"STP", {P_LLC(0x4242), P_DATA(35), P_PAD(8)}, DP_NOT_IP},
	{"IS-IS", {P_LLC(0xfefe), P_DATA(1497)}, DP_NOT_IP},
	{"IS-IS behind a tag", {P_VLAN, P_LLC(0xfefe), P_DATA(100)}, DP_NOT_IP},
	{"LACP", {P_TYPE(0x8809), P_DATA(110)}, DP_NOT_IP},
	{"LLDP", {P_TYPE(0x88cc), P_DATA(60)}, DP_NOT_IP},
	{"EAPOL", {P_TYPE(0x888e), P_DATA(46)}, DP_NOT_IP},
	{"CFM", {P_SVLAN, P_TYPE(0x8902), P_DATA(70)}, DP_NOT_IP},
	{"PTP", {P_TYPE(0x88f7), P_DATA(44)}, DP_NOT_IP},
	{"PPPoE discovery", {P_TYPE(0x8863), P_DATA(46)}, DP_NOT_IP},
	{"PPPoE discovery behind 2 tags",
	 {P_SVLAN, P_VLAN, P_TYPE(0x8863), P_DATA(40)},
	 DP_NOT_IP},
	{"PPPoE terminated", {P_PPPOE_CODE(0xa7), P_DATA(38)}, DP_NOT_IP},
	{"PPPoE not of a session",
	 {P_PPPOE_CODE(0x65), P_IP, P_UDP, P_DATA(20)},
	 DP_NOT_IP},
	{"PPP LCP", {P_PPPOE, P_TYPE(0xc021), P_DATA(20)}, DP_NOT_IP},
	{"PPP IPCP", {P_PPPOE, P_TYPE(0x8021), P_DATA(20)}, DP_NOT_IP},
	{"pseudowire", {P_MPLS, P_MPLS, P_DATA(60)}, DP_NOT_IP},
	{"no ethertype", {P_DATA(46)}, DP_NOT_IP},
	{"5 tags",
	 {P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_IP, P_TCP},
	 DP_TAGS},
	{"6 tags",
	 {P_SVLAN, P_SVLAN, P_SVLAN, P_VLAN, P_VLAN, P_VLAN, P_IP, P_UDP},
	 DP_TAGS},
	{"5 labels",
	 {P_MPLS, P_MPLS, P_MPLS, P_MPLS, P_MPLS, P_IP, P_TCP},
	 DP_TAGS},
	{"6 labels behind a tag",
	 {P_VLAN, P_MPLS, P_MPLS, P_MPLS, P_MPLS, P_MPLS, P_MPLS, P_IP, P_TCP},
	 DP_TAGS},
	{"IP version 5", {P_IP, P_BYTE0(0x55), P_TCP}, DP_BAD_HEADER},
	{"IP version 0", {P_IP, P_BYTE0(0x05), P_TCP}, DP_BAD_HEADER},
	{"IP version 15", {P_PPPOE, P_IP, P_BYTE0(0xf5), P_UDP}, DP_BAD_HEADER},
	{"header length 4", {P_IP, P_BYTE0(0x44), P_TCP}, DP_BAD_HEADER},
	{"header length 0",
	 {P_VLAN, P_IP, P_BYTE0(0x40), P_UDP},
	 DP_BAD_HEADER},
	{"tag cut", {P_VLAN, P_TYPE(0x8100), P_DATA(3)}, DP_TRUNCATED},
	{"IPv4 cut", {P_TYPE(0x0800), P_DATA(19)}, DP_TRUNCATED},
	{"IPv6 cut", {P_TYPE(0x86dd), P_DATA(39)}, DP_TRUNCATED},
	{"PPPoE cut", {P_TYPE(0x8864), P_DATA(7)}, DP_TRUNCATED},
	{"label cut", {P_TYPE(0x8847), P_DATA(3)}, DP_TRUNCATED},
	{"nothing behind a label", {P_MPLS}, DP_TRUNCATED},
};
const size_t n_strangers = ARRAY_SIZE(strangers);

void case_layers(const struct encapsulation *e, const uint32_t *inner,
		 uint32_t *out)
{
	size_t n = 0, i;

	memset(out, 0, PACKET_LAYERS * sizeof(*out));
	while (e->layers[n]) {
		out[n] = e->layers[n];
		n++;
	}
	for (i = 0; inner[i]; i++) {
		if (n == PACKET_LAYERS - 1)
			abort();
		out[n++] = inner[i];
	}
}
