// SPDX-License-Identifier: GPL-2.0
/*
 * There is no memory, at each place where some is asked for, while the driver's module is
 * loaded: when it registers the handler of its files with LUO, binds the PCI core's data
 * to it, registers as a PCI driver, and is bound to a device. It is not loaded, or it is
 * and the device has no driver; nothing is left of it, and it can be loaded afterwards.
 */

#include <errno.h>
#include <string.h>

#include "plu.h"

#define SESSION	"faults_module"

/* A device without interrupt: ACPI, which is asked for those, cannot be without memory. */
static const char *topology(void)
{
	return "-device pci-testdev,addr=3";
}

static struct plu_device *d;
static unsigned int unbound;

static int load(void)
{
	return plu_load_module(PLU_DRIVER, "");
}

/* A driver that cannot be bound is there all the same. */
static void settle_loaded(int ret)
{
	if (ret)
		return;
	if (!plu_exists(plu_sysfs(d, "driver"))) {
		unbound++;
		ret = plu_bind(d, PLU_DRIVER);
		if (ret)
			plu_bail("%s: cannot be bound: %s", d->bdf, strerror(-ret));
	}
	d->driver = PLU_DRIVER;
}

static void unload(void)
{
	int ret = plu_unload_module(PLU_DRIVER);

	if (ret)
		plu_bail("%s stays loaded: %s", PLU_DRIVER, strerror(-ret));
	d->driver = NULL;
	d->cookie = 0;
}

static bool is_gone(void)
{
	return !plu_exists("/sys/module/" PLU_DRIVER) &&
	       !plu_exists("/sys/bus/pci/drivers/" PLU_DRIVER) && plu_is_as_expected();
}

/* The handler of its files and the PCI core's data work. */
static void use(void)
{
	int session = plu_session(SESSION);

	plu_preserve(session, d);
	plu_check("its files can be preserved");
	plu_close_session(session);
	d->fd = -1;
}

static void load_and_unload(void)
{
	int ret = load();

	if (ret)
		plu_bail("cannot load the driver: %s", strerror(-ret));
	settle_loaded(0);
	unload();
}

static const struct plu_attempt loading = {
	.what = "the driver is loaded",
	.call = load,
	.settle = settle_loaded,
	.undo = unload,
	.is_same = is_gone,
	/* So the driver core calls it if it cannot tell of a driver's module. */
	.or_error = -EINVAL,
	.rounds = 0,
};

static void run(void)
{
	if (!plu_exists("/sys/module/" PLU_DRIVER "/refcnt"))
		plu_does_not_apply(PLU_DRIVER " is built in");
	plu_find_devices(1);
	d = &plu.dev[0];
	unload();
	plu_check("the driver is not loaded");

	plu_fail_each(&loading);
	plu_say("%u times loaded, but not bound", unbound);
	plu_find_leaks("the driver is loaded and unloaded", load_and_unload, 100);
	plu_gives(load(), 0, "it can be loaded");
	settle_loaded(0);
	plu_check("and is bound");
	use();
}

static const struct plu_test test = {
	.name = "faults_module",
	.qemu = topology,
	.stage = {
		{ .run = run, .plan = PLU_FAIL_RESULTS + 4, .cmdline = "loglevel=7" },
	},
};

int main(int argc, char *argv[])
{
	return plu_main(argc, argv, &test);
}
