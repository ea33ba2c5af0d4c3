/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as ShapedDevices.csv.
 *
 * What is taken has rates within bounds, texts that anybody may print, and
 * addresses that are found again as they are written.
 */
#include <jansson.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"
#include "tests/fuzz/fuzz.h"

static void drop_line(enum lqos_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static struct core_network *get_network(void)
{
	static const char json[] = "{\"AP_1\": {\"downloadBandwidthMbps\": 1,"
				   " \"uploadBandwidthMbps\": 1}}";
	static struct core_network *network;

	if (!network) {
		core_log_sink(drop_line, NULL);
		require(!core_network_parse(&network, "network.json", json,
					    strlen(json)));
	}
	return network;
}

/* Anybody may print it. */
static void check_text(const char *text)
{
	json_t *json = json_string(text);

	require(json && *text != ' ');
	require_one_line(text);
	json_decref(json);
}

static void check_circuit(const struct core_shaped *shaped,
			  const struct core_shaped_circuit *circuit)
{
	const uint64_t max = CORE_MBPS_MAX * UINT64_C(1000000);
	const struct lqos_subscriber *s = &circuit->s;

	check_text(s->circuit_id);
	check_text(s->name);
	require(s->down_min <= s->down_max && s->down_max <= max);
	require(s->up_min <= s->up_max && s->up_max <= max);
	require(s->down_max && s->up_max && s->node <= 1);
	require(circuit->rows && circuit->line);
	require(core_shaped_circuit(shaped, s->circuit_id) == circuit);
}

static void check_address(const struct core_shaped *shaped,
			  const struct core_shaped_address *address)
{
	char text[CORE_PREFIX_TEXT];
	struct lqos_prefix again;

	core_prefix_text(&address->p, text, sizeof(text));
	require(!core_prefix_parse(text, &again, NULL, 0));
	require(!core_prefix_compare(&again, &address->p));
	require(core_shaped_address(shaped, &again) == address);
	if (address->p.device_id)
		check_text(address->p.device_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CORE_CLEANUP(core_shaped_free) struct core_shaped *shaped = NULL;
	const struct core_shaped_circuit *circuit;
	const struct core_shaped_address *address;
	uint32_t rows = 0;

	if (core_shaped_parse(&shaped, "x.csv", (const char *)data, size,
			      get_network(), size & 1))
		return 0;
	for (circuit = STAILQ_FIRST(&shaped->circuits); circuit;
	     circuit = STAILQ_NEXT(circuit, next)) {
		check_circuit(shaped, circuit);
		rows += circuit->rows;
	}
	require(rows == shaped->problems.rows);
	for (address = STAILQ_FIRST(&shaped->addresses); address;
	     address = STAILQ_NEXT(address, next))
		check_address(shaped, address);
	return 0;
}
