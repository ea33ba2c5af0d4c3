/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layout of what modules and daemon share, as modules of ABI 3.1 were
 * compiled with it.  A test that fails here says: members are only appended,
 * to struct lqos_module alone, with a new LQOS_ABI_MINOR; anything else is a
 * new LQOS_ABI_MAJOR.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/lqos/module.h"

struct module_2_0 {
	uint32_t abi;
	uint32_t size;
	char name[32];
	char version[16];
	char description[96];
	char needs[96];
	char after[96];
	uint32_t flags;
	uint32_t flow_bytes;
	const struct lqos_option *options;
	size_t config_size;
	int (*start)(struct lqos_ctx *ctx, const void *config, void **state);
	void (*stop)(struct lqos_ctx *ctx, void *state);
	int (*check)(struct lqos_ctx *ctx, const void *config);
};

struct option_2_0 {
	const char *key;
	enum lqos_option_type type;
	size_t offset;
	const char *default_text;
	uint64_t min;
	uint64_t max;
	const char *choices;
	const char *help;
	uintptr_t reserved[2];
};

struct command_2_0 {
	const char *name;
	const char *params;
	const char *help;
	unsigned int flags;
	int (*run)(struct lqos_call *call, void *arg);
	uintptr_t reserved[2];
};

struct topic_2_0 {
	const char *name;
	const char *help;
	int (*frame)(const struct json_t *params, struct json_t **frame,
		     void *arg);
	uintptr_t reserved[2];
};

struct column_2_0 {
	const char *name;
	const char *title;
	const char *help;
	enum lqos_kind kind;
	enum lqos_unit unit;
	enum lqos_scope scope;
	unsigned int flags;
	uint64_t (*read)(uint32_t id, void *arg);
	uintptr_t reserved[2];
};

struct interface_2_0 {
	const char *name;
	uint32_t ifindex;
	enum lqos_side side;
	uint32_t rx_queues;
	uint32_t tx_queues;
	bool native;
	uint32_t pair;
};

struct subscriber_2_0 {
	uint32_t slot;
	uint32_t node;
	uint32_t prefixes;
	const char *circuit_id;
	const char *name;
	uint64_t down_min;
	uint64_t down_max;
	uint64_t up_min;
	uint64_t up_max;
	uint32_t cpu;
	uint32_t handle;
};

struct node_2_0 {
	uint32_t id;
	uint32_t parent;
	const char *name;
	uint64_t down_max;
	uint64_t up_max;
};

struct prefix_2_0 {
	uint8_t family;
	uint8_t len;
	uint8_t addr[16];
	uint32_t slot;
	uint32_t cpu;
	uint32_t handle;
	bool by_hand;
	bool own_place;
	const char *device_id;
};

struct mapping_2_0 {
	const char *ip;
	const char *circuit_id;
	const char *device_id;
	uint32_t cpu;
	uint32_t handle;
	uintptr_t reserved[2];
};

/* Same name, type and place. */
#define same_member(now, then, member)                                   \
	do {                                                             \
		_Static_assert(__builtin_types_compatible_p(             \
				       __typeof__(((now *)0)->member),   \
				       __typeof__(((then *)0)->member)), \
			       #member " has another type");             \
		assert_int_equal(offsetof(now, member),                  \
				 offsetof(then, member));                \
	} while (0)
#define same_size(now, then) assert_int_equal(sizeof(now), sizeof(then))

static void the_version_is_3_1(void **state)
{
	(void)state;
	assert_int_equal(LQOS_ABI_MAJOR, 3);
	assert_int_equal(LQOS_ABI_MINOR, 1);
	assert_int_equal(LQOS_ABI, 0x30001);
	assert_string_equal(LQOS_MODULE_SYMBOL, "lqos_module_entry");
	assert_string_equal(LQOS_MODULE_SECTION, ".lqos.module");
}

static void module_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_module, struct module_2_0, m)
	SAME(abi);
	SAME(size);
	SAME(name);
	SAME(version);
	SAME(description);
	SAME(needs);
	SAME(after);
	SAME(flags);
	SAME(flow_bytes);
	SAME(options);
	SAME(config_size);
	SAME(start);
	SAME(stop);
	SAME(check);
#undef SAME
	same_size(struct lqos_module, struct module_2_0);
}

static void option_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_option, struct option_2_0, m)
	SAME(key);
	SAME(type);
	SAME(offset);
	SAME(default_text);
	SAME(min);
	SAME(max);
	SAME(choices);
	SAME(help);
	SAME(reserved);
#undef SAME
	same_size(struct lqos_option, struct option_2_0);
}

static void command_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_command, struct command_2_0, m)
	SAME(name);
	SAME(params);
	SAME(help);
	SAME(flags);
	SAME(run);
	SAME(reserved);
#undef SAME
	same_size(struct lqos_command, struct command_2_0);
}

static void topic_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_topic, struct topic_2_0, m)
	SAME(name);
	SAME(help);
	SAME(frame);
#undef SAME
	/* 0 to those who know of none. */
	_Static_assert(offsetof(struct lqos_topic, check) ==
			       offsetof(struct topic_2_0, reserved),
		       "check is the first of what was reserved");
	same_size(struct lqos_topic, struct topic_2_0);
}

static void column_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_column, struct column_2_0, m)
	SAME(name);
	SAME(title);
	SAME(help);
	SAME(kind);
	SAME(unit);
	SAME(scope);
	SAME(flags);
	SAME(read);
	SAME(reserved);
#undef SAME
	same_size(struct lqos_column, struct column_2_0);
}

static void interface_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_interface, struct interface_2_0, m)
	SAME(name);
	SAME(ifindex);
	SAME(side);
	SAME(rx_queues);
	SAME(tx_queues);
	SAME(native);
	SAME(pair);
#undef SAME
	same_size(struct lqos_interface, struct interface_2_0);
}

static void subscriber_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_subscriber, struct subscriber_2_0, m)
	SAME(slot);
	SAME(node);
	SAME(prefixes);
	SAME(circuit_id);
	SAME(name);
	SAME(down_min);
	SAME(down_max);
	SAME(up_min);
	SAME(up_max);
	SAME(cpu);
	SAME(handle);
#undef SAME
	same_size(struct lqos_subscriber, struct subscriber_2_0);
}

static void node_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_node, struct node_2_0, m)
	SAME(id);
	SAME(parent);
	SAME(name);
	SAME(down_max);
	SAME(up_max);
#undef SAME
	same_size(struct lqos_node, struct node_2_0);
}

static void prefix_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_prefix, struct prefix_2_0, m)
	SAME(family);
	SAME(len);
	SAME(addr);
	SAME(slot);
	SAME(cpu);
	SAME(handle);
	SAME(by_hand);
	SAME(own_place);
	SAME(device_id);
#undef SAME
	same_size(struct lqos_prefix, struct prefix_2_0);
}

static void mapping_is_frozen(void **state)
{
	(void)state;
#define SAME(m) same_member(struct lqos_mapping, struct mapping_2_0, m)
	SAME(ip);
	SAME(circuit_id);
	SAME(device_id);
	SAME(cpu);
	SAME(handle);
	SAME(reserved);
#undef SAME
	same_size(struct lqos_mapping, struct mapping_2_0);
}

static void numbers_are_frozen(void **state)
{
	(void)state;
	assert_int_equal(LQOS_ERR, 0);
	assert_int_equal(LQOS_WARN, 1);
	assert_int_equal(LQOS_INFO, 2);
	assert_int_equal(LQOS_DEBUG, 3);
	assert_int_equal(LQOS_OPTION_BOOL, 1);
	assert_int_equal(LQOS_OPTION_U32, 2);
	assert_int_equal(LQOS_OPTION_U64, 3);
	assert_int_equal(LQOS_OPTION_STRING, 4);
	assert_int_equal(LQOS_MODULE_STEERS, 1);
	assert_int_equal(LQOS_READ, 1);
	assert_int_equal(LQOS_WRITE, 2);
	assert_int_equal(LQOS_COMMAND_WRITE, 1);
	assert_int_equal(LQOS_COUNTER, 1);
	assert_int_equal(LQOS_GAUGE, 2);
	assert_int_equal(LQOS_UNIT_COUNT, 1);
	assert_int_equal(LQOS_UNIT_BYTES, 2);
	assert_int_equal(LQOS_UNIT_PACKETS, 3);
	assert_int_equal(LQOS_UNIT_NS, 4);
	assert_int_equal(LQOS_UNIT_PPM, 5);
	assert_int_equal(LQOS_UNIT_CLASS, 6);
	assert_int_equal(LQOS_SCOPE_GLOBAL, 1);
	assert_int_equal(LQOS_SCOPE_INTERFACE, 2);
	assert_int_equal(LQOS_SCOPE_SUBSCRIBER, 3);
	assert_int_equal(LQOS_COLUMN_DETAIL, 1);
	assert_int_equal(LQOS_TO_INTERNET, 1);
	assert_int_equal(LQOS_TO_SUBSCRIBERS, 2);
	assert_int_equal(LQOS_STICK, 3);
	assert_true(LQOS_NO_VALUE == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_version_is_3_1),
		cmocka_unit_test(module_is_frozen),
		cmocka_unit_test(option_is_frozen),
		cmocka_unit_test(command_is_frozen),
		cmocka_unit_test(topic_is_frozen),
		cmocka_unit_test(column_is_frozen),
		cmocka_unit_test(interface_is_frozen),
		cmocka_unit_test(subscriber_is_frozen),
		cmocka_unit_test(node_is_frozen),
		cmocka_unit_test(prefix_is_frozen),
		cmocka_unit_test(mapping_is_frozen),
		cmocka_unit_test(numbers_are_frozen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
