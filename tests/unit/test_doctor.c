/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each check of `lqosctl doctor`, once where something is wrong and once where
 * it is not, on a made-up machine: sysfs and procfs are directories, and what
 * is in no file is set by hand.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/doctor.h"

static char top[64];
static struct core_settings settings;
static struct doctor d;

/* ---- The machine --------------------------------------------------------- */

static void make_parents(char *path)
{
	for (char *p = path + strlen(top) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		assert_true(!mkdir(path, 0755) || errno == EEXIST);
		*p = '/';
	}
}

static void put(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	make_parents(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void put_link(const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	make_parents(path);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static void take(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(unlink(path), 0);
}

static int open_dir(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_true(!mkdir(path, 0755) || errno == EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put_interface(const char *name)
{
	static const char *const files[][2] = {
		{"flags", "0x1003"},
		{"carrier", "1"},
		{"speed", "10000"},
		{"mtu", "1500"},
		{"brport/state", "3"},
		{"queues/rx-0/rps_cpus", "0"},
		{"queues/tx-0/xps_cpus", "00,00000000"},
		{"queues/tx-1/xps_cpus", "00,00000000"},
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "sys/class/net/%s/%s", name,
			 files[i][0]);
		put(path, files[i][1]);
	}
	snprintf(path, sizeof(path), "sys/class/net/%s/master", name);
	put_link(path, "../br0");
}

static struct doctor_port *add_port(const char *name, enum lqos_side side)
{
	uint32_t i = d.topology.n_ports++;
	struct core_port *port = &d.topology.ports[i];

	strcpy(port->name, name);
	port->side = side;
	d.ports[i] = (struct doctor_port){
		.port = port,
		.ifindex = i + 2,
		.gro = 1,
		.lro = 0,
		.rxvlan = 0,
	};
	put_interface(name);
	return &d.ports[i];
}

/* A machine on which everything is fine, and no daemon runs. */
static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/lqos-doctor-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	settings = (struct core_settings){
		.modules = "steering,throughput",
		.shaped_devices = "/etc/lqos/ShapedDevices.csv",
		.run_dir = "/run/lqos",
		.xdp_mode = "auto",
		.max_subscribers = 65536,
		.max_prefixes = 131072,
		.lookup_cache = 16384,
	};
	memset(&d, 0, sizeof(d));
	d.proc = open_dir("proc");
	d.sys = open_dir("sys");
	d.bpffs = top;
	d.config = "lqos.ini";
	d.settings = &settings;
	d.check = "test";
	d.root = true;
	d.jited = 1;
	d.cpus = 2;
	d.findings = json_array();
	add_port("eth0", LQOS_TO_INTERNET);
	add_port("eth1", LQOS_TO_SUBSCRIBERS);
	d.ports[0].peer = &d.ports[1];
	d.ports[1].peer = &d.ports[0];
	put("sys/class/net/br0/flags", "0x1003");
	put("sys/class/net/br0/bridge/vlan_filtering", "0");
	return 0;
}

static int unlink_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	close(d.proc);
	close(d.sys);
	json_decref(d.findings);
	json_decref(d.status);
	return nftw(top, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A daemon that answers what is in text. */
static void start_daemon(const char *text)
{
	json_error_t error;

	d.daemon = 4242;
	json_decref(d.status);
	d.status = json_loads(text, 0, &error);
	assert_non_null(d.status);
}

/* ---- Findings ------------------------------------------------------------ */

static const char *said(const char *key)
{
	return json_string_value(json_object_get(d.last, key));
}

/* What was said last: its level, part of its text, part of its first command
 * (NULL: it has none). */
static void expect(const char *level, const char *text, const char *command)
{
	const char *first = json_string_value(
		json_array_get(json_object_get(d.last, "commands"), 0));

	assert_non_null(d.last);
	assert_string_equal(said("level"), level);
	if (!strstr(said("text"), text))
		fail_msg("\"%s\" is not in \"%s\"", text, said("text"));
	if (!command)
		assert_null(first);
	else if (!first || !strstr(first, command))
		fail_msg("\"%s\" is not in \"%s\"", command,
			 first ? first : "(none)");
	d.last = NULL;
}

static void run(void (*check)(struct doctor *d))
{
	check(&d);
}

static void
run_port(void (*check)(struct doctor *d, const struct doctor_port *p), int port)
{
	check(&d, &d.ports[port]);
}

/* ---- The machine as a whole ---------------------------------------------- */

static void rights(void **state)
{
	(void)state;
	run(doctor_rights);
	expect("ok", "root", NULL);
	d.root = false;
	run(doctor_rights);
	expect("warn", "not root", "sudo lqosctl doctor");
}

static int yes(void)
{
	return 1;
}

static int no(void)
{
	return 0;
}

static int who_knows(void)
{
	return -EPERM;
}

static void kernel(void **state)
{
	static const struct doctor_probe fine[] = {
		{"this", "Linux 9.1", yes, NULL}, {}};
	static const struct doctor_probe old[] = {
		{"this", "Linux 9.1", yes, NULL},
		{"that", "Linux 9.2", no, NULL},
		{}};
	static const struct doctor_probe worse[] = {
		{"that", "Linux 9.2", no, "it is slower"}, {}};
	static const struct doctor_probe locked[] = {
		{"that", "Linux 9.2", who_knows, NULL}, {}};

	(void)state;
	d.probes = fine;
	run(doctor_kernel);
	expect("ok", "has all that is needed", NULL);
	d.probes = old;
	run(doctor_kernel);
	expect("FAIL", "no that, without which", NULL);
	d.probes = worse;
	run(doctor_kernel);
	expect("warn", "Linux 9.2: it is slower", NULL);
	d.probes = locked;
	run(doctor_kernel);
	expect("warn", "does not let us find out", NULL);
	d.root = false;
	run(doctor_kernel);
	expect("ok", "Linux", NULL);
}

static void bpffs(void **state)
{
	(void)state;
	run(doctor_bpffs);
	expect("warn", top, "mount -t bpf -o mode=0700 bpf /tmp/");
	d.bpffs = "/sys/fs/bpf";
	if (access("/sys/fs/bpf", R_OK))
		return; /* neither root nor a BPF file system */
	run(doctor_bpffs);
	assert_int_equal(d.ok + d.warned, 2);
}

static void jit(void **state)
{
	(void)state;
	run(doctor_jit);
	expect("ok", "compiled", NULL);
	d.jited = -1;
	run(doctor_jit);
	expect("ok", "root", NULL);
	d.jited = 0;
	run(doctor_jit);
	expect("FAIL", "interpreted", "sysctl -w net.core.bpf_jit_enable=1");
	d.jited = 1;
	put("proc/sys/net/core/bpf_jit_harden", "2\n");
	run(doctor_jit);
	expect("warn", "hardened", "sysctl -w net.core.bpf_jit_harden=1");
}

#define CLOCK "sys/devices/system/clocksource/clocksource0/"

static void clocksource(void **state)
{
	(void)state;
	run(doctor_clocksource);
	expect("ok", "no choice", NULL);
	put(CLOCK "current_clocksource", "tsc\n");
	run(doctor_clocksource);
	expect("ok", "tsc", NULL);
	put(CLOCK "current_clocksource", "hpet\n");
	put(CLOCK "available_clocksource", "hpet acpi_pm \n");
	run(doctor_clocksource);
	expect("warn", "hpet", "dmesg");
	put(CLOCK "available_clocksource", "tsc hpet acpi_pm \n");
	run(doctor_clocksource);
	expect("warn", "hpet", "echo tsc >/sys/devices/system/clocksource");
}

static void governor(void **state)
{
	(void)state;
	run(doctor_governor);
	expect("ok", "not Linux's", NULL);
	put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
	    "performance\n");
	run(doctor_governor);
	expect("ok", "performance", NULL);
	put("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
	    "powersave\n");
	run(doctor_governor);
	expect("warn", "\"powersave\"", "cpupower frequency-set");
}

static void irqbalance(void **state)
{
	(void)state;
	put("proc/17/comm", "irqbalanced\n");
	run(doctor_irqbalance);
	expect("ok", "does not run", NULL);
	put("proc/18/comm", "irqbalance\n");
	run(doctor_irqbalance);
	expect("warn", "pid 18", "systemctl disable --now irqbalance");
}

static void memory(void **state)
{
	(void)state;
	run(doctor_memory);
	expect("ok", "are wanted at most", NULL);
	put("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:  4194304 kB\n");
	run(doctor_memory);
	expect("ok", "4096 MiB are free, at most 105", NULL);
	put("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:  131072 kB\n");
	run(doctor_memory);
	expect("FAIL", "128 MiB are free, and max_subscribers = 65536", NULL);
	d.daemon = 1; /* has what it wanted */
	run(doctor_memory);
	expect("ok", "128 MiB", NULL);
}

static void limits(void **state)
{
	(void)state;
	run(doctor_limits);
	expect("ok", "enough", NULL);
	put("proc/self/limits",
	    "Limit Soft Hard Units\n"
	    "Max open files            1024                 524288  files\n");
	run(doctor_limits);
	expect("ok", "enough", NULL);
	put("proc/4242/limits",
	    "Max open files            1024                 4095  files\n");
	d.daemon = 4242;
	run(doctor_limits);
	expect("warn", "lqosd may open 4095", "LimitNOFILE");
}

static void netfilter(void **state)
{
	(void)state;
	run(doctor_netfilter);
	expect("ok", "do not go through", NULL);
	put("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
	put("proc/sys/net/bridge/bridge-nf-call-ip6tables", "1\n");
	put("proc/sys/net/bridge/bridge-nf-call-arptables", "0\n");
	run(doctor_netfilter);
	expect("warn", "goes through iptables, ip6tables (",
	       "sysctl -w net.bridge.bridge-nf-call-iptables=0 "
	       "net.bridge.bridge-nf-call-ip6tables=0");
	d.topology.forwards = true;
	run(doctor_netfilter);
	expect("ok", "do not go through", NULL);
}

static void libreqos(void **state)
{
	(void)state;
	put("proc/7/comm", "lqosd\n");
	put_link("proc/7/exe", "/usr/sbin/lqosd");
	run(doctor_libreqos);
	expect("ok", "not here", NULL);
	put("map_traffic", "");
	put("tc_classify_control", "");
	run(doctor_libreqos);
	expect("warn", "2 maps of LibreQoS", "remove_pinned_maps.sh");
	put("proc/8/comm", "lqosd\n");
	put_link("proc/8/exe", "/opt/libreqos/src/bin/lqosd");
	run(doctor_libreqos);
	expect("FAIL", "(pid 8)", "lqos_scheduler");
}

/* ---- The daemon ---------------------------------------------------------- */

static void daemon_lives(void **state)
{
	(void)state;
	run(doctor_daemon);
	expect("warn", "no lqosd runs: nothing", "systemctl start lqosd");
	d.left = 3;
	run(doctor_daemon);
	expect("warn", "goes on as it was", "systemctl start lqosd");
	d.daemon = 4242;
	run(doctor_daemon);
	expect("FAIL", "lqosd (pid 4242) lives, but does not answer",
	       "systemctl restart lqosd");
	start_daemon("{\"version\": \"1.2\"}");
	run(doctor_daemon);
	expect("ok", "lqosd 1.2 answers", NULL);
}

static void subscribers(void **state)
{
	(void)state;
	run(doctor_subscribers);
	assert_null(d.last); /* nobody to ask */
	start_daemon("{\"subscribers\": 5, \"problems\": {\"skipped\": 0}}");
	run(doctor_subscribers);
	expect("ok", "5", NULL);
	start_daemon("{\"subscribers\": 5, \"problems\": {\"skipped\": 2}}");
	run(doctor_subscribers);
	expect("warn", "2 rows and 0 addresses", "lqosd -t -c lqos.ini");
	start_daemon("{\"subscribers\": 5, \"problems\": {\"addresses\": 3}}");
	run(doctor_subscribers);
	expect("warn", "0 rows and 3 addresses", "lqosd -t -c lqos.ini");
	start_daemon("{\"subscribers\": 0}");
	run(doctor_subscribers);
	expect("FAIL", "ShapedDevices.csv", "lqosd -t");
}

static void bypass(void **state)
{
	(void)state;
	start_daemon("{\"bypass\": {\"bypass\": false, \"seconds_left\": 0}}");
	run(doctor_bypass);
	expect("ok", "off", NULL);
	start_daemon("{\"bypass\": {\"bypass\": true, \"seconds_left\": 7}}");
	run(doctor_bypass);
	expect("warn", "another 7 s", "lqosctl bypass off");
}

static void losses(void **state)
{
	(void)state;
	start_daemon("{\"counters\": {\"total\": {\"received\": 900, "
		     "\"cpu_lost\": 0}}}");
	run(doctor_losses);
	expect("ok", "no packet", NULL);
	start_daemon("{\"counters\": {\"total\": {\"received\": 900, "
		     "\"cpu_lost\": 3}}}");
	run(doctor_losses);
	expect("warn", "3 of 900 packets", "mpstat");
}

/* ---- Interfaces ---------------------------------------------------------- */

static void interface(void **state)
{
	(void)state;
	run_port(doctor_interface, 0);
	expect("ok", "no hardware, 10000 Mbit/s", NULL);
	put_link("sys/class/net/eth0/device/driver", "../../drivers/ixgbe");
	run_port(doctor_interface, 0);
	expect("ok", "up, ixgbe", NULL);
	put("sys/class/net/eth0/carrier", "0\n");
	run_port(doctor_interface, 0);
	expect("FAIL", "no carrier", "ethtool eth0");
	put("sys/class/net/eth0/flags", "0x1002\n");
	run_port(doctor_interface, 0);
	expect("FAIL", "down", "ip link set dev eth0 up");
	d.ports[1].ifindex = 0;
	run_port(doctor_interface, 1);
	expect("FAIL", "none of that name", "ip -br link");
}

static void mtu(void **state)
{
	(void)state;
	run_port(doctor_mtu, 0);
	expect("ok", "1500", NULL);
	put("sys/class/net/eth1/mtu", "9000\n");
	run_port(doctor_mtu, 1);
	expect("ok", "9000", NULL);
	run_port(doctor_mtu, 0);
	expect("warn", "eth1 has 9000", "ip link set dev eth0 mtu 9000");
}

static void queues(void **state)
{
	(void)state;
	run_port(doctor_queues, 0);
	expect("ok", "2 for 2", NULL);
	d.cpus = 8;
	run_port(doctor_queues, 0);
	expect("ok", "more it cannot have", NULL);
	d.ports[0].channels = (struct interface_channels){2, 63, false};
	run_port(doctor_queues, 0);
	expect("warn", "only 2 CPUs shape", "ethtool -L eth0 rx 8 tx 8");
	d.ports[0].channels.combined = true;
	run_port(doctor_queues, 0);
	expect("warn", "only 2 CPUs shape", "ethtool -L eth0 combined 8");
	d.topology.ports[0].side = LQOS_STICK;
	run_port(doctor_queues, 0);
	expect("warn", "2 queues", "ethtool -L eth0 combined 16");
	take("sys/class/net/eth1/queues/tx-1/xps_cpus");
	assert_int_equal(
		unlinkat(d.sys, "class/net/eth1/queues/tx-1", AT_REMOVEDIR), 0);
	run_port(doctor_queues, 1);
	expect("warn", "a single queue", NULL);
}

static void offloads(void **state)
{
	(void)state;
	run_port(doctor_offloads, 0);
	expect("ok", "as they should", NULL);
	d.ports[0].gro = d.ports[0].lro = d.ports[0].rxvlan = -1;
	run_port(doctor_offloads, 0);
	expect("ok", "as they should", NULL);
	d.ports[0].gro = 0;
	run_port(doctor_offloads, 0);
	expect("warn", "generic-receive-offload", "ethtool -K eth0 gro on");
	d.ports[0].gro = 1;
	d.ports[0].lro = 1;
	run_port(doctor_offloads, 0);
	expect("FAIL", "large-receive-offload", "ethtool -K eth0 lro off");
	d.ports[0].lro = 0;
	d.ports[0].rxvlan = 1;
	run_port(doctor_offloads, 0);
	expect("ok", "as they should", NULL);
	d.daemon = getpid();
	run_port(doctor_offloads, 0);
	expect("FAIL", "lose them", "ethtool -K eth0 rxvlan off");
	settings.modules = "throughput";
	run_port(doctor_offloads, 0);
	expect("ok", "as they should", NULL); /* they stay on their CPU */
	settings.address_spaces = true;
	run_port(doctor_offloads, 0);
	expect("FAIL", "does not see the tags", "ethtool -K eth0 rxvlan off");
	settings.address_spaces = false;
	d.topology.ports[0].side = LQOS_STICK;
	run_port(doctor_offloads, 0);
	expect("FAIL", "does not see the tags", "ethtool -K eth0 rxvlan off");
}

static void xdp(void **state)
{
	struct doctor_port *p = &d.ports[0];

	(void)state;
	run_port(doctor_xdp, 0);
	expect("ok", "nobody's", NULL);
	d.daemon = 4242;
	run_port(doctor_xdp, 0);
	expect("FAIL", "is not attached", "systemctl restart lqosd");
	p->xdp = 77;
	strcpy(p->xdp_name, "lq_from_inet");
	p->xdp_native = true;
	run_port(doctor_xdp, 0);
	expect("ok", "native", NULL);
	p->xdp_native = false;
	run_port(doctor_xdp, 0);
	expect("warn", "generic, which is slow: its driver", "dmesg");
	put("sys/class/net/eth0/mtu", "9000\n");
	run_port(doctor_xdp, 0);
	expect("warn", "MTU of 9000", "ip link set dev eth0 mtu 1500");
	settings.xdp_mode = "generic";
	run_port(doctor_xdp, 0);
	expect("ok", "as configured", NULL);
	strcpy(p->xdp_name, "katran");
	run_port(doctor_xdp, 0);
	expect("FAIL", "somebody else's program (katran, id 77)",
	       "ip link set dev eth0 xdpgeneric off");
	p->xdp_native = true;
	run_port(doctor_xdp, 0);
	expect("FAIL", "somebody else's", "ip link set dev eth0 xdpdrv off");
	p->xdp_link = 5;
	run_port(doctor_xdp, 0);
	expect("FAIL", "somebody else's", "bpftool link detach id 5");
}

static void filter(void **state)
{
	(void)state;
	run_port(doctor_filter, 0);
	expect("ok", "nothing in the way", NULL);
	d.daemon = 4242;
	run_port(doctor_filter, 0);
	expect("FAIL", "egress is gone", "systemctl restart lqosd");
	d.ports[0].egress = true;
	run_port(doctor_filter, 0);
	expect("ok", "attached", NULL);
	d.topology.forwards = true;
	run_port(doctor_filter, 0);
	expect("FAIL", "ingress is gone", "systemctl restart lqosd");
	d.ports[0].ingress = true;
	run_port(doctor_filter, 0);
	expect("ok", "attached", NULL);
	d.ports[0].ingress_qdisc = true;
	run_port(doctor_filter, 0);
	expect("FAIL", "ingress qdisc", "tc qdisc del dev eth0 ingress");
}

static void tree(void **state)
{
	(void)state;
	run_port(doctor_tree, 0);
	expect("ok", "none is needed", NULL);
	start_daemon("{\"steered\": true}");
	run_port(doctor_tree, 0);
	expect("warn", "no HTB classes", "lqosctl steering tree");
	d.ports[0].htb = true;
	run_port(doctor_tree, 0);
	expect("ok", "HTB", NULL);
	d.ports[0].htb = false;
	start_daemon("{\"steered\": false}");
	run_port(doctor_tree, 0);
	expect("ok", "none is needed", NULL);
}

static void xps(void **state)
{
	(void)state;
	run_port(doctor_xps, 0);
	expect("ok", "off", NULL);
	put("sys/class/net/eth0/queues/tx-1/xps_cpus", "00,00000002\n");
	run_port(doctor_xps, 0);
	expect("ok", "turns it off", NULL);
	start_daemon("{\"steered\": true}");
	run_port(doctor_xps, 0);
	expect("FAIL", "set it again", "/sys/class/net/eth0/queues/tx-*/xps");
	start_daemon("{\"steered\": false}");
	run_port(doctor_xps, 0);
	expect("ok", "on", NULL);
}

#define INTERRUPTS(a, b)                                                \
	"           CPU0       CPU1\n"                                  \
	" 40:    " a " 0   PCI-MSI 1-edge      eth0-TxRx-0\n"           \
	" 41:    " b " 0   PCI-MSI 2-edge      eth0-TxRx-1\n"           \
	" 42:          0          0   PCI-MSI 3-edge      eth0\n"       \
	" 43:       5555          0   PCI-MSI 4-edge      eth01-TxRx\n" \
	" 44:       5555          0   PCI-MSI 5-edge      nvme0q1\n"    \
	"NMI:       5555          0   Non-maskable interrupts\n"

static void interrupts(void **state)
{
	(void)state;
	run_port(doctor_interrupts, 0);
	expect("ok", "none of its own", NULL);
	put("proc/interrupts", INTERRUPTS("2000000", "1500000"));
	put("proc/irq/40/smp_affinity_list", "0-1\n");
	put("proc/irq/40/effective_affinity_list", "0\n");
	put("proc/irq/41/smp_affinity_list", "1\n");
	put("proc/irq/43/smp_affinity_list", "0\n");
	put("proc/irq/44/smp_affinity_list", "0\n");
	run_port(doctor_interrupts, 0);
	expect("ok", "2, on several", NULL);
	put("proc/irq/41/smp_affinity_list", "0\n");
	run_port(doctor_interrupts, 0);
	expect("FAIL", "all 2 queues interrupt CPU 0",
	       "for q in 40 41; do echo $((i++ % 2)) "
	       ">/proc/irq/$q/smp_affinity_list");
	put("proc/irq/41/smp_affinity_list", "1\n");
	put("proc/interrupts", INTERRUPTS("2000000", "150000"));
	run_port(doctor_interrupts, 0);
	expect("warn", "one of 2 receive queues has 93 %",
	       "ethtool -n eth0 rx-flow-hash");
	/* By its device, whatever its label says. */
	put("sys/class/net/eth1/device/msi_irqs/44", "msix\n");
	run_port(doctor_interrupts, 1);
	expect("ok", "one", NULL);
}

static void interrupts_uneven(void **state)
{
	char text[1024] = "      CPU0 CPU1 CPU2 CPU3\n", path[64];

	(void)state;
	d.cpus = 4;
	for (int i = 0; i < 6; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 " %d: 9 9 9 9 PCI eth0-rx-%d\n", 50 + i, i);
		snprintf(path, sizeof(path), "proc/irq/%d/smp_affinity_list",
			 50 + i);
		put(path, i < 5 ? "2\n" : "3\n");
	}
	put("proc/interrupts", text);
	run_port(doctor_interrupts, 0);
	expect("warn", "5 of 6 queues interrupt CPU 2", "for q in 50 51");
}

/* ---- Bridges ------------------------------------------------------------- */

static void bridge(void **state)
{
	(void)state;
	run_port(doctor_bridge, 0);
	expect("ok", "in br0", NULL);
	put("sys/class/net/br0/bridge/vlan_filtering", "1\n");
	run_port(doctor_bridge, 0);
	expect("warn", "filters VLANs",
	       "ip link set dev br0 type bridge vlan_filtering 0");
	put("sys/class/net/eth0/brport/state", "4\n");
	run_port(doctor_bridge, 0);
	expect("FAIL", "STP state 4", "stp_state 0");
	put("sys/class/net/br0/flags", "0x1002\n");
	run_port(doctor_bridge, 0);
	expect("FAIL", "br0 is down", "ip link set dev br0 up");
	put_link("sys/class/net/eth0/master", "../br7");
	run_port(doctor_bridge, 0);
	expect("ok", "see eth1", NULL);
	run_port(doctor_bridge, 1);
	expect("FAIL", "eth0 is in br7 and this is in br0",
	       "ip link set dev eth1 master br7");
	take("sys/class/net/eth1/master");
	run_port(doctor_bridge, 1);
	expect("FAIL", "eth0 is in br7 and this is in none",
	       "ip link set dev eth1 master br7");
	take("sys/class/net/eth0/master");
	run_port(doctor_bridge, 0);
	expect("FAIL", "nothing forwards between eth0 and eth1",
	       "ip link set dev eth0 master br0");
	run_port(doctor_bridge, 1);
	assert_null(d.last); /* said once */
	put("proc/sys/net/ipv4/ip_forward", "1\n");
	run_port(doctor_bridge, 0);
	expect("ok", "routed", NULL);
}

static void bridge_of_ours(void **state)
{
	(void)state;
	d.topology.forwards = true;
	run_port(doctor_bridge, 0);
	expect("FAIL", "it is a port of br0", "ip link set dev eth0 nomaster");
	take("sys/class/net/eth0/master");
	run_port(doctor_bridge, 0);
	expect("ok", "lqosd forwards", NULL);
}

static void bridge_of_one(void **state)
{
	(void)state;
	d.ports[0].peer = NULL;
	run_port(doctor_bridge, 0);
	expect("ok", "only watched", NULL);
}

/* ---- Traffic ------------------------------------------------------------- */

/* 10.0.0.0/8 and 2001::/16 are subscribers'; vlan 7 has 192.0.2.0/24 too. */
static bool owned(void *arg, int family, const void *addr, uint16_t vlan)
{
	const uint8_t *byte = addr;

	(void)arg;
	if (family == AF_INET6)
		return byte[0] == 0x20 && byte[1] == 0x01;
	return byte[0] == 10 || (vlan == 7 && byte[0] == 192);
}

struct frame {
	uint8_t bytes[256];
	size_t len;
};

static void add(struct frame *f, const char *hex)
{
	unsigned int byte;

	for (; *hex; hex += 2 + (hex[2] == ' ')) {
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		f->bytes[f->len++] = byte;
	}
}

/* Ethernet with what is between it and IP, in hex from its type on. */
static void make_frame(struct frame *f, const char *between, const char *from,
		       const char *to)
{
	uint8_t *ip;

	memset(f, 0, sizeof(*f));
	f->len = 12;
	add(f, between);
	ip = f->bytes + f->len;
	if (strchr(from, ':')) {
		ip[0] = 0x60;
		assert_int_equal(inet_pton(AF_INET6, from, ip + 8), 1);
		assert_int_equal(inet_pton(AF_INET6, to, ip + 24), 1);
		f->len += 40;
	} else {
		ip[0] = 0x45;
		assert_int_equal(inet_pton(AF_INET, from, ip + 12), 1);
		assert_int_equal(inet_pton(AF_INET, to, ip + 16), 1);
		f->len += 20;
	}
}

static void frames(void **state)
{
	static const struct {
		const char *between;
		uint16_t vlan; /* taken off before */
		bool v6;
	} cases[] = {
		{"0800", 0, false},
		{"86dd", 0, true},
		{"8100 0064 0800", 0, false},
		{"88a8 0064 8100 2001 86dd", 0, true},
		{"0800", 100, false},
		{"8864 1100 0001 0016 0021", 0, false},
		{"8100 0064 8864 1100 0001 002a 0057", 0, true},
		{"8847 0001 0140", 0, false},
		{"8847 0001 0040 0002 0140", 0, true},
	};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor_traffic t[ORIGINS] = {};
		const char *subscriber =
			cases[i].v6 ? "2001:db8::1" : "10.1.2.3";
		const char *host = cases[i].v6 ? "fd00::1" : "198.51.100.1";

		make_frame(&f, cases[i].between, subscriber, host);
		doctor_count(&d, &d.ports[0], f.bytes, f.len, cases[i].vlan,
			     owned, NULL, t);
		make_frame(&f, cases[i].between, host, subscriber);
		doctor_count(&d, &d.ports[0], f.bytes, f.len, cases[i].vlan,
			     owned, NULL, t);
		make_frame(&f, cases[i].between, subscriber, subscriber);
		doctor_count(&d, &d.ports[0], f.bytes, f.len, cases[i].vlan,
			     owned, NULL, t);
		assert_int_equal(t[FROM_INTERNET].frames, 3);
		assert_int_equal(t[FROM_INTERNET].ip, 3);
		assert_int_equal(t[FROM_INTERNET].from_subscribers, 1);
		assert_int_equal(t[FROM_INTERNET].to_subscribers, 1);
		assert_int_equal(t[FROM_SUBSCRIBERS].frames, 0);
		/* However short it is cut, nothing is read beyond. */
		for (size_t len = 0; len < f.len; len++) {
			uint8_t *cut = malloc(len + 1);

			memcpy(cut, f.bytes, len);
			doctor_count(&d, &d.ports[0], cut, len, 0, owned, NULL,
				     t);
			free(cut);
		}
		assert_int_equal(t[FROM_INTERNET].ip, 3);
	}
}

static void frames_on_a_stick(void **state)
{
	struct doctor_traffic t[ORIGINS] = {};
	struct frame f;

	(void)state;
	d.topology.ports[0].side = LQOS_STICK;
	d.topology.vlans[0].internet = 6;
	d.topology.vlans[0].subscribers = 7;
	d.topology.n_vlans = 1;
	make_frame(&f, "8100 e006 0800", "198.51.100.1", "10.0.0.1");
	doctor_count(&d, &d.ports[0], f.bytes, f.len, 0, owned, NULL, t);
	make_frame(&f, "8100 e007 0800", "192.0.2.1", "198.51.100.1");
	doctor_count(&d, &d.ports[0], f.bytes, f.len, 0, owned, NULL, t);
	make_frame(&f, "8100 0008 0800", "10.0.0.1", "198.51.100.1");
	doctor_count(&d, &d.ports[0], f.bytes, f.len, 0, owned, NULL, t);
	assert_int_equal(t[FROM_INTERNET].frames, 1);
	assert_int_equal(t[FROM_INTERNET].to_subscribers, 1);
	assert_int_equal(t[FROM_SUBSCRIBERS].frames, 1);
	assert_int_equal(t[FROM_SUBSCRIBERS].from_subscribers, 1);
}

static void direction(void **state)
{
	struct doctor_traffic *t = &d.ports[0].traffic[FROM_INTERNET];

	(void)state;
	run_port(doctor_direction, 0);
	expect("ok", "not looked at", NULL);
	d.traffic_known = true;
	run_port(doctor_direction, 0);
	expect("warn", "nothing arrived from the internet's side",
	       "tcpdump -c 5 -ni eth0");
	t->frames = t->ip = 300;
	run_port(doctor_direction, 0);
	expect("warn", "none of 300 packets", "tcpdump");
	t->ip = 3;
	run_port(doctor_direction, 0);
	expect("ok", "nothing of subscribers came", NULL);
	t->ip = 300;
	t->to_subscribers = 190;
	t->from_subscribers = 10;
	run_port(doctor_direction, 0);
	expect("ok", "190 arrive on the right side", NULL);
	t->to_subscribers = 10;
	t->from_subscribers = 190;
	run_port(doctor_direction, 0);
	expect("FAIL",
	       "190 of 200 packets of subscribers that arrive from the "
	       "internet's side are sent by them",
	       "sed -i");
	d.interfaces_given = true;
	run_port(doctor_direction, 0);
	expect("FAIL", "exchanged", "lqosctl doctor -i eth1,eth0");
	t = &d.ports[1].traffic[FROM_SUBSCRIBERS];
	*t = (struct doctor_traffic){300, 300, 10, 190};
	run_port(doctor_direction, 1);
	expect("FAIL", "are for them", "lqosctl doctor -i eth1,eth0");
	*t = (struct doctor_traffic){300, 300, 190, 10};
	run_port(doctor_direction, 1);
	expect("ok", "190 arrive", NULL);
	/* A few of subscribers among themselves, or too few to tell. */
	*t = (struct doctor_traffic){3, 3, 0, 3};
	run_port(doctor_direction, 1);
	expect("ok", "of 3 packets", NULL);
}

/* ---- The table ----------------------------------------------------------- */

static void all_checks_run(void **state)
{
	const struct doctor_check *check;

	(void)state;
	d.ports[1].ifindex = 0;
	doctor_run(&d, doctor_checks());
	for (check = doctor_checks(); check->name; check++) {
		const json_t *finding;
		unsigned int gone = 0, here = 0;
		size_t i;

		assert_true(!check->run != !check->run_port);
		json_array_foreach(d.findings, i, finding) {
			const char *of = json_string_value(
				json_object_get(finding, "interface"));

			if (strcmp(check->name,
				   json_string_value(
					   json_object_get(finding, "check"))))
				continue;
			assert_int_equal(!of, !!check->run);
			here += of && !strcmp(of, "eth0");
			gone += of && !strcmp(of, "eth1");
		}
		if (check->run_port)
			assert_int_equal(here, 1);
		/* Of one that is not there, one thing is said. */
		assert_int_equal(gone, !strcmp(check->name, "interface"));
	}
	assert_int_equal(d.ok + d.warned + d.failed,
			 json_array_size(d.findings));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rights),
		TEST(kernel),
		TEST(bpffs),
		TEST(jit),
		TEST(clocksource),
		TEST(governor),
		TEST(irqbalance),
		TEST(memory),
		TEST(limits),
		TEST(netfilter),
		TEST(libreqos),
		TEST(daemon_lives),
		TEST(subscribers),
		TEST(bypass),
		TEST(losses),
		TEST(interface),
		TEST(mtu),
		TEST(queues),
		TEST(offloads),
		TEST(xdp),
		TEST(filter),
		TEST(tree),
		TEST(xps),
		TEST(interrupts),
		TEST(interrupts_uneven),
		TEST(bridge),
		TEST(bridge_of_ours),
		TEST(bridge_of_one),
		TEST(frames),
		TEST(frames_on_a_stick),
		TEST(direction),
		TEST(all_checks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
