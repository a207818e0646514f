// SPDX-License-Identifier: GPL-2.0
/*
 * From kernel A over B and C to D, over a switch: addresses, bus numbers, ACS, ARI
 * forwarding and bus mastering are the same in each, though each is told to set all of
 * them in another way. Some devices are handed on before they are finished, some after.
 * With a device of the same kind that is not preserved, each kernel does as it is told,
 * and so does kernel E, which is handed nothing, with all of them.
 */

#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "plu.h"

/* For what is not preserved: other bus numbers, no ACS. ARI needs no telling. */
#define OTHERWISE	"pci=assign-busses,hpbussize=8,config_acs=0000000@pci:0:0"

/* Not what any kernel would make it. */
#define OUR_ACS		(PCI_ACS_SV | PCI_ACS_CR)

/* An NVMe controller with virtual functions has ARI. */
static const struct plu_id nvme[] = { { 0x1b36, 0x0010 }, { } };

#define NVME(number, port) \
	"-device nvme-subsys,id=s" #number "\n" \
	"-device nvme,subsys=s" #number ",serial=" #number ",bus=" #port "," \
	"sriov_max_vfs=1,sriov_vq_flexible=2,sriov_vi_flexible=1\n"

static const char *topology(void)
{
	return "-device edu,addr=3\n"
		"-device pcie-root-port,id=rp1,chassis=1,addr=4\n"
		"-device x3130-upstream,id=up,bus=rp1\n"
		"-device xio3130-downstream,id=dn1,bus=up,addr=0,chassis=2\n"
		"-device edu,bus=dn1\n"
		"-device xio3130-downstream,id=dn2,bus=up,addr=1,chassis=3\n"
		NVME(1, dn2)
		"-device xio3130-downstream,id=dn3,bus=up,addr=2,chassis=4\n"
		NVME(2, dn3)
		"-device pcie-root-port,id=rp2,chassis=5,addr=5\n"
		NVME(3, rp2);
}

/* Which is not preserved, and whose port has ARI forwarding off. */
#define NR_DEVICES	5
static struct plu_device *left_alone, *no_ari;

static void assign_roles(void)
{
	struct plu_device *d;

	if (plu.nr_devices != NR_DEVICES)
		plu_skip("%u devices instead of %u", plu.nr_devices, NR_DEVICES);
	for (d = plu.dev; d < plu_end(); d++) {
		if (d->vendor != nvme->vendor)
			continue;
		if (plu_level(d) == 1)
			left_alone = d;
		else
			no_ari = d;
		if (plu_driver_override(d->bdf, PLU_DRIVER))
			plu_bail("%s: the driver does not drive it", d->bdf);
	}
}

static void set_acs(const char *bdf, __u16 controls)
{
	unsigned int pos = plu_ext_capability(bdf, PCI_EXT_CAP_ID_ACS);

	if (pos)
		plu_config_write(bdf, pos + PCI_ACS_CTRL, 2, controls);
}

static void clear_ari(const char *bdf)
{
	unsigned int pos = plu_capability(bdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL2;

	plu_config_write(bdf, pos, 2,
			 plu_config_read(bdf, pos, 2) & ~PCI_EXP_DEVCTL2_ARI);
}

/* What is to be the same in the next kernel, or else not to be. */
static void set_up_port(struct plu_device *d)
{
	set_acs(plu_bridge_above(d, 0), OUR_ACS);
	clear_ari(plu_bridge_above(d, 0));
	plu_set_bus_master(d->bdf, true);
}

static void set_up(void)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_bus_master(d->bdf, true);
		for (unsigned int level = 0; level < plu_level(d); level++)
			set_acs(plu_bridge_above(d, level), OUR_ACS);
	}
	clear_ari(plu_bridge_above(no_ari, 0));
	set_up_port(left_alone);
}

static bool is_same(const struct plu_device *d)
{
	struct plu_routing now = plu_read_routing(d->bdf);
	const struct plu_routing *was = &d->handed;
	bool same = !strcmp(d->bdf, d->handed_bdf) && now.numbers == was->numbers &&
		    now.acs == was->acs && now.ari == was->ari &&
		    now.bus_master == was->bus_master;

	plu_say("%s %s: bus numbers 0x%06x, ACS 0x%02x, ARI %d, bus master %d%s", d->bdf,
		d->path, now.numbers, now.acs, now.ari, now.bus_master,
		same ? "" : ", not the same");

	return same;
}

static bool are_same(const struct plu_device *d, const struct plu_device *end)
{
	bool same = true;

	for (; d < end; d++)
		if (plu_count_incoming(d, PLU_INCOMING))
			same &= is_same(d);

	return same;
}

/* Is it worth something that nothing changes? */
static bool is_varied(void)
{
	unsigned int acs = 0, ari = 0, no = 0;
	struct plu_device *b;

	for (b = plu.bridge; b < plu_bridges_end(); b++) {
		struct plu_routing now = plu_read_routing(b->bdf);

		acs += now.acs == OUR_ACS;
		ari += now.ari;
		no += !now.ari;
	}

	plu_say("of %u bridges, %u with our ACS controls, %u with ARI, %u without",
		plu.nr_bridges, acs, ari, no);

	return acs >= 2 && ari && no;
}

static void take_over(const char *kernel)
{
	struct plu_routing port;
	bool same;

	plu_take_over();
	assign_roles();
	plu_check("%s: all devices but one are incoming", kernel);
	same = are_same(plu.dev, plu_end());
	same &= are_same(plu.bridge, plu_bridges_end());
	plu_ok(same, "%s: they and their bridges are set up as they were", kernel);
	port = plu_read_routing(plu_bridge_above(left_alone, 0));
	plu_ok(!port.acs && port.ari && !plu_is_bus_master(left_alone->bdf),
	       "%s: the other one, and its bridge, are not", kernel);
}

static void kernel_a(void)
{
	struct plu_device *d;
	int session;

	plu_find_devices(NR_DEVICES);
	assign_roles();
	set_up();
	plu_ok(is_varied(), "A: devices and bridges are set up in our way");

	session = plu_session("chain_topology-A");
	for (d = plu.dev; d < plu_end(); d++) {
		plu_set_cookie(d, 0xa70b0100 + d->token);
		if (d != left_alone)
			plu_preserve(session, d);
	}
	plu_check("A: all but one are outgoing");
}

static void retrieve(int session)
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++)
		if (d->incoming == PLU_INCOMING)
			plu_retrieve(session, d);
}

static void preserve(int session, bool (*which)(const struct plu_device *d))
{
	struct plu_device *d;

	for (d = plu.dev; d < plu_end(); d++) {
		if (d == left_alone || !which(d))
			continue;
		/* A file that was retrieved belongs to its session until that ends. */
		d->fd = plu_open(d);
		plu_preserve(session, d);
	}
}

static bool is_odd(const struct plu_device *d)
{
	return (d - plu.dev) % 2;
}

static bool is_even(const struct plu_device *d)
{
	return !is_odd(d);
}

static void hand_on(const char *kernel, const char *from, const char *to,
		    bool (*before)(const struct plu_device *d),
		    bool (*after)(const struct plu_device *d))
{
	int incoming, outgoing;

	take_over(kernel);
	incoming = plu_retrieve_session(from);
	retrieve(incoming);
	outgoing = plu_session(to);
	preserve(outgoing, before);
	plu_check("%s: some are preserved again before they are finished", kernel);
	plu_finish(incoming);
	preserve(outgoing, after);
	plu_check("%s: some after that", kernel);
	set_up_port(left_alone);
}

static void kernel_b(void)
{
	hand_on("B", "chain_topology-A", "chain_topology-B", is_odd, is_even);
}

static void kernel_c(void)
{
	hand_on("C", "chain_topology-B", "chain_topology-C", is_even, is_odd);
}

static void kernel_d(void)
{
	struct plu_device *d;
	bool same = true;
	int session;

	take_over("D");
	session = plu_retrieve_session("chain_topology-C");
	retrieve(session);
	for (d = plu.dev; d < plu_end(); d++)
		if (d != left_alone)
			same &= plu_file_is(d->fd, d, 0xa70b0100 + d->token);
	plu_ok(same, "D: each is retrieved, works, and has the cookie of A");
	plu_finish(session);
	plu_check("D: nothing is left");
}

static void kernel_e(void)
{
	unsigned int moved = 0, acs = 0;
	struct plu_device *d;

	plu_take_over();
	assign_roles();
	plu_check("E: nothing is incoming");
	for (d = plu.dev; d < plu_end(); d++)
		moved += !!strcmp(d->bdf, d->handed_bdf);
	for (d = plu.bridge; d < plu_bridges_end(); d++)
		acs += !!plu_read_routing(d->bdf).acs;
	plu_say("%u devices have moved, %u bridges have ACS controls", moved, acs);
	plu_ok(moved && !acs && plu_read_routing(plu_bridge_above(no_ari, 0)).ari,
	       "E: bus numbers, ACS and ARI forwarding are others");
	for (d = plu.dev; d < plu_end() && !plu_is_bus_master(d->bdf); d++)
		;
	plu_ok(d == plu_end(), "E: no device is a bus master");
}

static const struct plu_test test = {
	.name = "chain_topology",
	.qemu = topology,
	.also = nvme,
	.stage = {
		{ .run = kernel_a, .plan = 2 },
		{ .run = kernel_b, .plan = 5, .cmdline = OTHERWISE },
		{ .run = kernel_c, .plan = 5, .cmdline = OTHERWISE },
		{ .run = kernel_d, .plan = 5, .cmdline = OTHERWISE },
		{ .run = kernel_e, .plan = 3, .cmdline = OTHERWISE },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
