/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shaped_devices.c - ShapedDevices.csv: who the subscribers are.
 *
 * A row that is wrong is left out and said so; it never takes others with it,
 * not even by a quote that nobody closed.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"

enum {
	CIRCUIT_ID,
	CIRCUIT_NAME,
	DEVICE_ID,
	DEVICE_NAME,
	PARENT_NODE,
	PARENT_NODE_ID,
	ANCHOR_NODE_ID,
	MAC,
	IPV4,
	IPV6,
	DOWN_MIN,
	UP_MIN,
	DOWN_MAX,
	UP_MAX,
	COMMENT,
	SQM,
	COLUMNS,
};

static const struct {
	const char *name;
	bool used; /* by us; the others may be anything */
	bool needed;
} columns[] = {
	[CIRCUIT_ID] = {"Circuit ID", true, true},
	[CIRCUIT_NAME] = {"Circuit Name", true, false},
	[DEVICE_ID] = {"Device ID", true, false},
	[DEVICE_NAME] = {"Device Name", false, false},
	[PARENT_NODE] = {"Parent Node", true, false},
	[PARENT_NODE_ID] = {"Parent Node ID", false, false},
	[ANCHOR_NODE_ID] = {"Anchor Node ID", false, false},
	[MAC] = {"MAC", false, false},
	[IPV4] = {"IPv4", true, false},
	[IPV6] = {"IPv6", true, false},
	[DOWN_MIN] = {"Download Min Mbps", true, false},
	[UP_MIN] = {"Upload Min Mbps", true, false},
	[DOWN_MAX] = {"Download Max Mbps", true, true},
	[UP_MAX] = {"Upload Max Mbps", true, true},
	[COMMENT] = {"Comment", false, false},
	[SQM] = {"sqm", false, false},
};

_Static_assert(ARRAY_SIZE(columns) == COLUMNS, "every column has a name");

/* Where each column is in a row, from 0; -1: the file has none. */
struct layout {
	int place[COLUMNS];
	int width;     /* cells of a whole row */
	int last_used; /* place of the last column that we use */
};

struct reader {
	const char *path;
	struct core_csv *csv;
	struct layout layout;
	bool has_header;
	const struct core_network *network;
	bool address_spaces;
	struct core_shaped *out;
	struct lqos_prefix *ranges; /* of this row */
	size_t n_ranges, max_ranges;
};

/* Of the row that is being read. */
static uint32_t first_line(const struct reader *r)
{
	return r->csv->cells[0].line;
}

/* ---- Columns ------------------------------------------------------------- */

/* -1: no column is called that. */
static int column_named(const char *text)
{
	for (int i = 0; i < COLUMNS; i++) {
		const char *name = columns[i].name;
		const char *unit = strstr(name, " Mbps");

		/* Old files say "Download Max". */
		if (!strcasecmp(text, name) ||
		    (unit && strlen(text) == (size_t)(unit - name) &&
		     !strncasecmp(text, name, strlen(text))))
			return i;
	}
	return -1;
}

static bool is_header(const struct reader *r)
{
	int known = 0;

	for (int i = 0; i < r->csv->n && i < CORE_CSV_CELLS; i++)
		known += column_named(r->csv->cells[i].text) >= 0;
	return known > 1; /* one may be a circuit called "Comment" */
}

static void find_last_used(struct layout *layout)
{
	layout->last_used = 0;
	for (int i = 0; i < COLUMNS; i++)
		if (columns[i].used && layout->place[i] > layout->last_used)
			layout->last_used = layout->place[i];
}

static int read_header(struct reader *r)
{
	struct layout layout = {.width = r->csv->n};
	const char *missing = NULL;

	for (int i = 0; i < COLUMNS; i++)
		layout.place[i] = -1;
	for (int i = 0; i < r->csv->n && i < CORE_CSV_CELLS; i++) {
		const struct core_csv_cell *cell = &r->csv->cells[i];
		int column = column_named(cell->text);

		if (column < 0 && *cell->text) {
			core_problem(&r->out->problems, LQOS_WARN,
				     "%s:%u:%u: unknown column \"%s\" is "
				     "ignored: is it misspelt?",
				     r->path, cell->line, cell->column,
				     cell->text);
		} else if (column >= 0 && layout.place[column] >= 0) {
			core_log(
				CORE_REGISTRY_LOG, LQOS_ERR,
				"%s:%u:%u: second column \"%s\": expected each "
				"once",
				r->path, cell->line, cell->column, cell->text);
			return -EINVAL;
		} else if (column >= 0) {
			layout.place[column] = i;
		}
	}

	for (int i = 0; i < COLUMNS; i++)
		if (columns[i].needed && layout.place[i] < 0)
			missing = columns[i].name;
	if (layout.place[IPV4] < 0 && layout.place[IPV6] < 0)
		missing = "IPv4 or IPv6";
	if (missing) {
		core_log(CORE_REGISTRY_LOG, LQOS_ERR,
			 "%s:%u:1: the header has no column %s", r->path,
			 first_line(r), missing);
		return -EINVAL;
	}
	find_last_used(&layout);
	r->layout = layout;
	return 0;
}

/* Without a header the number of cells tells the format. */
static void guess_layout(struct reader *r)
{
	bool v2 = r->csv->written > 14;

	r->layout.width = v2 ? 16 : 14; /* sqm, at the end, may be missing */
	for (int i = 0, place = 0; i < COLUMNS; i++) {
		bool there = v2 || (i != PARENT_NODE_ID && i != ANCHOR_NODE_ID);

		r->layout.place[i] = there ? place++ : -1;
	}
	find_last_used(&r->layout);
}

/* The row's cell of that column, or one without text. */
static struct core_csv_cell get_cell(const struct reader *r, int column)
{
	static char nothing[1];
	int place = r->layout.place[column];

	if (place < 0 || place >= r->csv->n || place >= CORE_CSV_CELLS)
		return (struct core_csv_cell){nothing, first_line(r), 1};
	return r->csv->cells[place];
}

/* Its circuit, where it can be read, stays as it is for now. */
static void hold_circuit(struct reader *r)
{
	core_shaped_hold(r->out, get_cell(r, CIRCUIT_ID).text);
}

static bool bad_row(struct reader *r, int column, const char *fmt, ...)
	LQOS_PRINTF(3, 4);

/* Always false. */
static bool bad_row(struct reader *r, int column, const char *fmt, ...)
{
	struct core_csv_cell cell = get_cell(r, column);
	char text[512];
	va_list ap;

	hold_circuit(r);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	core_problem(&r->out->problems, LQOS_ERR,
		     "%s:%u:%u: row left out: %s: %s%s", r->path, cell.line,
		     cell.column, columns[column].name, text,
		     r->csv->written > r->layout.width
			     ? " (the row has a cell too many: quote commas)"
			     : "");
	return false;
}

static bool check_width(struct reader *r)
{
	const struct core_csv_cell *first = &r->csv->cells[0];
	int comment = r->layout.place[COMMENT];
	bool semicolons = r->csv->n == 1 && strchr(first->text, ';');

	if (r->csv->n > r->layout.last_used && r->csv->n <= r->layout.width)
		return true;
	if (r->csv->n > r->layout.width && comment > r->layout.last_used) {
		/* An address, rate or name cut in two fails its own check. */
		core_problem(&r->out->problems, LQOS_WARN,
			     "%s:%u:1: %d cells where %d are known: quote a "
			     "comment that has commas",
			     r->path, first->line, r->csv->n, r->layout.width);
		return true;
	}
	hold_circuit(r);
	core_problem(&r->out->problems, LQOS_ERR,
		     "%s:%u:1: row left out: it has %d cells: expected %s%s",
		     r->path, first->line, r->csv->n,
		     r->has_header ? "as many as the header, and quotes around "
				     "a cell that has commas"
				   : "13 or 15, and a first line that names "
				     "them",
		     semicolons ? "; separate them with commas, not ;" : "");
	return false;
}

/* ---- Rows ---------------------------------------------------------------- */

static bool read_rate(struct reader *r, int column, bool may_be_0,
		      uint64_t *bits)
{
	const char *text = get_cell(r, column).text;
	bool number = *text && !text[strspn(text, "0123456789.")];
	double mbps = -1;
	char *end;

	if (!*text && may_be_0) {
		*bits = 0;
		return true;
	}
	if (number) {
		mbps = strtod(text, &end);
		number = !*end && mbps <= CORE_MBPS_MAX;
		*bits = number ? (uint64_t)(mbps * 1e6 + 0.5) : 0;
	}
	if (!number || (!*bits && !may_be_0))
		return bad_row(
			r, column,
			"\"%.40s\": expected Mbit/s %s %d, such as 25 or "
			"2.5",
			text, may_be_0 ? "from 0 to" : "above 0, to",
			CORE_MBPS_MAX);
	return true;
}

static bool read_rates(struct reader *r, int min, int max, uint64_t *min_bits,
		       uint64_t *max_bits)
{
	if (!read_rate(r, min, true, min_bits) ||
	    !read_rate(r, max, false, max_bits))
		return false;
	if (*min_bits > *max_bits)
		return bad_row(r, min,
			       "%s is above %s, which is %s: expected "
			       "at most that",
			       get_cell(r, min).text, columns[max].name,
			       get_cell(r, max).text);
	return true;
}

/* No host has an address that ends in 64 zeros: a length was forgotten. */
static void warn_if_range(struct reader *r, int column, const char *text,
			  const struct lqos_prefix *p)
{
	static const uint8_t zeros[8];
	struct core_csv_cell cell = get_cell(r, column);

	if (p->family == AF_INET6 && p->len == 128 && !strchr(text, '/') &&
	    !memcmp(p->addr + 8, zeros, sizeof(zeros)))
		core_problem(&r->out->problems, LQOS_WARN,
			     "%s:%u:%u: %s: \"%s\" is one host without a "
			     "length: expected it as in %s/56 for a range",
			     r->path, cell.line, cell.column,
			     columns[column].name, text, text);
}

/* Adds what the cell lists to r->ranges.  1: all good, 0: bad row, -errno. */
static int read_ranges(struct reader *r, int column, uint8_t family)
{
	char *rest = get_cell(r, column).text;
	char why[256], *text;

	while ((text = strsep(&rest, ","))) {
		bool repaired = false;
		struct lqos_prefix p;

		text = core_text_clean(text, &repaired);
		if (!*text)
			continue;
		if (core_prefix_parse(text, &p, why, sizeof(why)) ||
		    core_prefix_check_vlan(&p, r->address_spaces, why,
					   sizeof(why)))
			return bad_row(r, column, "%s", why);
		if (p.family != family)
			return bad_row(r, column,
				       "\"%s\": expected addresses of this "
				       "family only",
				       text);
		warn_if_range(r, column, text, &p);
		if (r->n_ranges == r->max_ranges) {
			size_t max = r->max_ranges ? 2 * r->max_ranges : 16;
			void *bigger = reallocarray(r->ranges, max, sizeof(p));

			if (!bigger)
				return -ENOMEM;
			r->ranges = bigger;
			r->max_ranges = max;
		}
		r->ranges[r->n_ranges++] = p;
	}
	return 1;
}

static uint32_t find_node(struct reader *r)
{
	struct core_csv_cell cell = get_cell(r, PARENT_NODE);
	const struct lqos_node *node;

	/* Without a tree, LibreQoS too ignores the parents. */
	if (!*cell.text || r->network->n == 1)
		return 0;
	node = core_network_find(r->network, cell.text);
	if (node)
		return node->id;
	if (strcasecmp(cell.text, "none"))
		core_problem(&r->out->problems, LQOS_WARN,
			     "%s:%u:%u: Parent Node: \"%s\" is not in "
			     "network.json: the circuit hangs at the root",
			     r->path, cell.line, cell.column, cell.text);
	return 0;
}

static void warn_if_different(struct reader *r,
			      const struct core_shaped_circuit *circuit,
			      const struct lqos_subscriber *s, uint32_t line)
{
	const struct lqos_subscriber *old = &circuit->s;
	bool rates = old->down_min != s->down_min ||
		     old->down_max != s->down_max || old->up_min != s->up_min ||
		     old->up_max != s->up_max;

	if (!rates && old->node == s->node)
		return;
	core_problem(&r->out->problems, LQOS_WARN,
		     "%s:%u:1: %s of circuit \"%s\" differ from line %u, which "
		     "is the one that counts",
		     r->path, line, rates ? "rates" : "parents", s->circuit_id,
		     circuit->line);
}

/* The circuit of this row, made if it is the first of it. */
static int take_circuit(struct reader *r, const struct lqos_subscriber *s,
			struct core_shaped_circuit **out)
{
	uint32_t line = first_line(r);
	struct core_shaped_circuit *circuit =
		core_tree_find(s, &r->out->by_id, core_circuit_compare);

	if (circuit) {
		warn_if_different(r, circuit, s, line);
	} else {
		circuit = calloc(1, sizeof(*circuit));
		if (!circuit)
			return -ENOMEM;
		circuit->s = *s;
		circuit->s.circuit_id = strdup(s->circuit_id);
		circuit->s.name = strdup(s->name);
		circuit->line = line;
		if (!circuit->s.circuit_id || !circuit->s.name ||
		    !tsearch(circuit, &r->out->by_id, core_circuit_compare)) {
			core_shaped_circuit_free(circuit);
			return -ENOMEM;
		}
		STAILQ_INSERT_TAIL(&r->out->circuits, circuit, next);
	}
	circuit->rows++;
	*out = circuit;
	return 0;
}

static int take_address(struct reader *r, struct core_shaped_circuit *circuit,
			const struct lqos_prefix *p)
{
	const char *device_id = get_cell(r, DEVICE_ID).text;
	struct core_shaped_address *address = calloc(1, sizeof(*address));
	struct core_shaped_address **same = NULL;
	char text[CORE_PREFIX_TEXT];

	if (!address)
		return -ENOMEM;
	address->p = *p;
	address->circuit = circuit;
	address->line = first_line(r);
	if (*device_id)
		address->p.device_id = strdup(device_id);
	if (!*device_id || address->p.device_id)
		same = tsearch(address, &r->out->by_range, core_prefix_compare);
	if (!same) {
		core_shaped_address_free(address);
		return -ENOMEM;
	}
	if (*same == address) {
		circuit->addresses++;
		STAILQ_INSERT_TAIL(&r->out->addresses, address, next);
		return 0;
	}
	core_shaped_address_free(address);
	r->out->problems.addresses++;
	core_problem(&r->out->problems, LQOS_WARN,
		     "%s:%u:%u: address %s of circuit \"%s\" left out: circuit "
		     "\"%s\" has it already at %s:%u",
		     r->path, first_line(r),
		     get_cell(r, p->family == AF_INET ? IPV4 : IPV6).column,
		     core_prefix_text(p, text, sizeof(text)),
		     circuit->s.circuit_id, (*same)->circuit->s.circuit_id,
		     r->path, (*same)->line);
	return 0;
}

static int take_row(struct reader *r)
{
	struct lqos_subscriber s = {.cpu = UINT32_MAX};
	struct core_shaped_circuit *circuit;
	int rc;

	if (!r->has_header)
		guess_layout(r);
	if (!check_width(r))
		return 0;

	s.circuit_id = get_cell(r, CIRCUIT_ID).text;
	s.name = get_cell(r, CIRCUIT_NAME).text;
	if (!*s.name)
		s.name = s.circuit_id;
	if (!*s.circuit_id) {
		bad_row(r, CIRCUIT_ID, "expected an id, found nothing");
		return 0;
	}
	if (!read_rates(r, DOWN_MIN, DOWN_MAX, &s.down_min, &s.down_max) ||
	    !read_rates(r, UP_MIN, UP_MAX, &s.up_min, &s.up_max))
		return 0;
	r->n_ranges = 0;
	rc = read_ranges(r, IPV4, AF_INET);
	if (rc > 0)
		rc = read_ranges(r, IPV6, AF_INET6);
	if (rc <= 0)
		return rc;
	s.node = find_node(r);

	rc = take_circuit(r, &s, &circuit);
	for (size_t i = 0; !rc && i < r->n_ranges; i++)
		rc = take_address(r, circuit, &r->ranges[i]);
	if (rc)
		return rc;
	if (!r->n_ranges)
		core_problem(&r->out->problems, LQOS_WARN,
			     "%s:%u:1: circuit \"%s\": this row has neither "
			     "IPv4 nor IPv6 address: no packet is its own",
			     r->path, first_line(r), s.circuit_id);
	r->out->problems.rows++;
	return 0;
}

/* A last row without a line end may be whole, but not with fewer cells than any
 * other. */
static bool is_cut(const struct reader *r, int got, int cells)
{
	return r->csv->ends_file && (got < 0 || r->csv->written < cells);
}

static int read_rows(struct reader *r)
{
	const struct core_csv_cell *first = &r->csv->cells[0];
	int rc = 0, got, cells = 0; /* at least, of each row so far */
	bool header_may_come = true;

	while (!rc && (got = core_csv_next(r->csv))) {
		if (is_cut(r, got, cells)) {
			r->out->cut.line = r->csv->pos.line;
			r->out->cut.column = r->csv->pos.column;
			hold_circuit(r);
			break;
		}
		if (got > 0 && (!cells || r->csv->written < cells))
			cells = r->csv->written;
		if (got < 0) {
			core_problem(
				&r->out->problems, LQOS_ERR,
				"%s:%u:%u: row left out: this quote is "
				"not closed at the end of a cell: expected "
				"\"...\", with a quote inside as \"\"",
				r->path, r->csv->open.line,
				r->csv->open.column);
			hold_circuit(r);
			continue;
		}
		if (r->csv->repaired)
			core_problem(
				&r->out->problems, LQOS_WARN,
				"%s:%u:1: this is not UTF-8, foreign "
				"characters became \"?\": save the file as "
				"UTF-8",
				r->path, first->line);
		if (r->csv->nul)
			core_problem(
				&r->out->problems, LQOS_WARN,
				"%s:%u:1: this row has NUL bytes, which became "
				"blanks: is the file damaged?",
				r->path, first->line);
		r->has_header |= header_may_come && is_header(r);
		r->out->header = r->has_header;
		rc = r->has_header && header_may_come ? read_header(r)
						      : take_row(r);
		header_may_come = false;
	}
	return rc;
}

/* ---- The whole ----------------------------------------------------------- */

int core_shaped_parse(struct core_shaped **out, const char *path,
		      const char *text, size_t len,
		      const struct core_network *network, bool address_spaces)
{
	CORE_CLEANUP(core_shaped_free) struct core_shaped *shaped = NULL;
	CORE_CLEANUP(core_csv_free) struct core_csv *csv = NULL;
	struct reader r = {.path = path,
			   .network = network,
			   .address_spaces = address_spaces};
	int rc;

	rc = core_csv_new(&csv, text, len);
	if (rc)
		return core_fail(CORE_REGISTRY_LOG, rc,
				 "%s: cannot be read: expected CSV in UTF-8",
				 path);
	rc = core_shaped_new(&shaped);
	if (rc)
		return rc;

	r.csv = csv;
	r.out = shaped;
	rc = read_rows(&r);
	free(r.ranges);
	if (!rc)
		*out = steal_ptr(shaped);
	return rc;
}

int core_shaped_read(struct core_shaped **out, const char *path,
		     const struct core_network *network, bool address_spaces)
{
	autofree char *text = NULL;
	size_t len = 0;
	int rc = 0;

	if (path && *path)
		rc = core_file_read(path, &text, &len);
	if (rc)
		return core_fail(CORE_REGISTRY_LOG, rc,
				 "cannot read shaped_devices %s (without "
				 "subscribers, leave the option empty)",
				 path);
	return core_shaped_parse(out, path, text ? text : "", len, network,
				 address_spaces);
}
