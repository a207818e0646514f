# SPDX-License-Identifier: GPL-2.0
#
# PCI Live Update: the ways in. `make help` lists them; the work is done by scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo test check test-long test-debug fuzz soak enumeration-cost kernel apply unapply lint clean distclean mutants bench bench-compare

# Given on the command line or in the environment, and read by the scripts.
export KDIR DEBUG ACCEL LLVM V T FORCE ROUNDS SEED N HOSTILE VFIO

Q := $(if $(filter 1,$(V)),,@)

help: ## this list
	@echo 'make TARGET [SETTING=...]'
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo
	@echo 'Settings:'
	@echo '  KDIR=DIRECTORY  a kernel tree of your own instead of the one from Debian'
	@echo '  DEBUG=1         a kernel with KASAN, lockdep, kmemleak and more checks'
	@echo '  DEBUG=kcsan     a kernel that finds data races'
	@echo '  ACCEL=kvm       KVM instead of emulation'
	@echo '  V=1             show commands'

demo: ## PCI devices survive a kexec, shown live: the main job (VFIO=1: as a virtual machine monitor sees it)
	$(Q)scripts/demo.sh

test: ## everything that must pass
	$(Q)scripts/test.sh

check: ## one test, or some: make check T=basic
	$(Q)scripts/test.sh $(or $(T),"")

test-long: ## users of vfio-pci are killed, and devices pulled out, between any two calls, with all that can be done then
	$(Q)scripts/test-long.sh

test-debug: ## all tests, or those named with T=, on kernels that look for mistakes with memory, locks and data races
	$(Q)scripts/test-debug.sh $(T)

fuzz: ## read a million random hand-overs: make fuzz ROUNDS=1000000 SEED=NUMBER
	$(Q)scripts/fuzz.sh

soak: ## kexec after kexec: make soak N=100 HOSTILE=100 SEED=NUMBER
	$(Q)scripts/soak.sh

mutants: ## would the tests notice? each of a list of wrong changes to the code is to make one fail (M=NAME: that one)
	$(Q)scripts/mutants.sh $(M)

bench: ## what live update costs, counted in instructions
	$(Q)scripts/bench.sh

bench-compare: ## two results of that: make bench-compare A=FILE B=FILE
	$(Q)scripts/bench-compare.sh "$(A)" "$(B)"

enumeration-cost: ## what the option costs at boot, counted in instructions
	$(Q)scripts/enumeration-cost.sh

kernel: ## build the kernel that demo and test boot
	$(Q)scripts/setup.sh
	$(Q)scripts/build-kernel.sh

apply: ## lay this project into your own kernel tree: make apply KDIR=DIRECTORY
	$(Q)scripts/apply.sh "$(KDIR)"

unapply: ## take it out again: make unapply KDIR=DIRECTORY
	$(Q)scripts/apply.sh -R "$(KDIR)"

lint: ## format and style: rustfmt, clippy, checkpatch, shellcheck, kernel-doc
	$(Q)scripts/lint.sh

clean: ## remove what was built in this checkout
	$(Q)rm -rf build

distclean: clean ## also remove the cache: downloads, kernel trees, object folders
	$(Q)scripts/distclean.sh
