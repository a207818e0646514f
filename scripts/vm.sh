# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: how a guest is started. What it is for stands on its kernel's command line.

# The devices of a test that asks for none of its own: on the root bus, behind a root port, behind a switch with two
# downstream ports, and behind a bridge to conventional PCI.
DEFAULT_TOPOLOGY='
	-device edu,addr=3
	-device pcie-root-port,id=rp1,chassis=1,addr=4
	-device edu,bus=rp1
	-device pcie-root-port,id=rp2,chassis=2,addr=5
	-device x3130-upstream,id=up,bus=rp2
	-device xio3130-downstream,id=dn1,bus=up,chassis=3
	-device xio3130-downstream,id=dn2,bus=up,chassis=4
	-device edu,bus=dn1
	-device pci-testdev,bus=dn2
	-device pcie-pci-bridge,id=pb,addr=6
	-device pci-testdev,bus=pb,addr=1
'

# liveupdate= stands before what a test adds, which may say otherwise.
# no_timer_check: on a busy machine the timer does not tick as often as the kernel wants to see at boot.
# earlyprintk: a kernel that dies before it has a console says why.
COMMAND_LINE="console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 oops=panic printk.devkmsg=on no_timer_check liveupdate=on"

# KHO reserves twice what the kernel has allocated so far. That is too much where KASAN's shadow is part of it, an eighth of
# the memory; and the next kernel's shadow must fit in.
if [ "${VARIANT:-}" = debug ]; then COMMAND_LINE+=" kho_scratch=32M,32M,640M"; fi

# What is found by chance gets more time where there is something that finds it.
# init_on_alloc: emulation is slow to write into a page in which code of the previous kernel has run, until all of the page was
# written to. That made these kernels five times slower. It hides the use of memory that was not initialised: main is there for that.
case ${VARIANT:-} in debug | kcsan) COMMAND_LINE+=" plu.seconds=60 init_on_alloc=1" ;; esac

# make_guest: in a folder of this run's own, GUEST, which goes away with it.
make_guest() {
	mkdir -p "$BUILD/$VARIANT/logs"
	GUEST=$(mktemp -d "$BUILD/$VARIANT/guest.XXXXXX")
	# A socket in there has a short name, as it must.
	export GUEST SCRATCH
	trap 'rm -rf "$SCRATCH" "$GUEST"' EXIT
	"$TOP/scripts/build-guest.sh" "$GUEST"
}

# make_initrd TEST FILE: of this test only, as each kernel unpacks all of it, and reads it again for the next one. Without a
# test, or with one that is not known, there is none.
make_initrd() {
	local lists=("$GUEST/rootfs.list")
	[ "$1" != config_off ] || lists+=("$GUEST/rootfs-off.list")
	awk -v test="$1" '
		BEGIN { keep["/tests/" test]; keep["/tests/kexec_load"]; if (test == "vfio_example") keep["/tests/vfio_vmm"] }
		!/^file \/tests\// || $2 in keep || test == "vfio_own" && $2 ~ /^\/tests\/vfio\//
	' "${lists[@]}" >"$2.list"
	"$GUEST/gen_init_cpio" "$2.list" >"$2"
	rm "$2.list"
}

# check_settings: before anything is done for them in vain
check_settings() {
	[ -z "${KDIR:-}" ] || check_kernel_tree "$KDIR"
	case ${ACCEL:-tcg} in
	tcg) ;;
	kvm) [ -w /dev/kvm ] || die "ACCEL=kvm: /dev/kvm is missing or not yours to use." "Leave ACCEL away for emulation." ;;
	*) die "ACCEL=$ACCEL: kvm or tcg is wanted." ;;
	esac
}

# has_device NAME: does this QEMU know it?
has_device() { grep -q "^name \"$1\"" <<<"$(qemu-system-x86_64 -device help 2>/dev/null)"; }

# qemu_command KERNEL INITRD COMMAND-LINE [TOPOLOGY]: sets the array QEMU. In the topology, which is split at white space,
# the word `default` stands for the devices above; none at all means the same. `-device?` is `-device` for a QEMU that
# knows the device, and nothing for another.
# The guest's second serial port leads to QEMU's monitor, for tests that plug and unplug.
qemu_command() {
	# One thread for both processors: with two, QEMU 10 aborts now and then when one of them writes to a BAR. Two guests at
	# a time keep the machine busy all the same.
	local word words devices optional='' accel=${ACCEL:-tcg} socket=$SCRATCH/monitor.$BASHPID
	[ "$accel" != tcg ] || accel=tcg,thread=single
	local smp=(-smp 2) memory=(-m 1G)
	# More would not all be below 4 GB, and some devices reach no further.
	[ "$VARIANT" != debug ] || memory=(-m 2800M)
	# Who wants instructions to be counted gets emulation with one processor.
	case " ${4:-} " in *[[:space:]]-icount[[:space:]]*) accel=tcg,thread=single smp=(-smp 1) ;; esac
	case " ${4:-} " in *[[:space:]]-smp[[:space:]]*) smp=() ;; esac
	case " ${4:-} " in *[[:space:]]-m[[:space:]]*) memory=() ;; esac
	QEMU=(qemu-system-x86_64 -M "q35,hpet=off" -accel "$accel" "${smp[@]}" "${memory[@]}" -no-reboot -nodefaults -display none
		-chardev "socket,id=monitor,path=$socket,server=on,wait=off" -mon "chardev=monitor,mode=control"
		-chardev "socket,id=com2,path=$socket" -device "isa-serial,chardev=com2,index=1")
	[ "$accel" != kvm ] || QEMU+=(-cpu host)
	read -r -d '' -a words <<<"${4:-default}" || true
	for word in "${words[@]}"; do
		case $optional$word in
		default) read -r -d '' -a devices <<<"$DEFAULT_TOPOLOGY" || true ;;
		'-device?') optional=-device/; continue ;;
		-device/*) if has_device "${word%%,*}"; then devices=(-device "$word"); else devices=(); fi ;;
		*) devices=("$word") ;;
		esac
		optional=''
		QEMU+=("${devices[@]}")
	done
	QEMU+=(-kernel "$1" -initrd "$2" -append "$3")
}

# how_ended CODE LOG SECONDS: what is wrong with how a guest ended that had so many seconds; nothing if it ended well
how_ended() {
	case $1 in
	0) ;;
	124 | 137) say "hangs: not done after $3 s; its last line: $(grep -v '^[[:space:]]*$' "$2" | tail -n 1 | tr -d '\r')" ;;
	*) say "QEMU ended with code $1: $(tail -n 3 "$2.qemu")" ;;
	esac
}

# deadline STAGES: seconds after which a guest hangs. Checks in the kernel make it many times slower.
deadline() {
	local seconds=$(( 60 + 75 * $1 ))
	case $VARIANT in debug | kcsan) seconds=$(( seconds * 6 )) ;; esac
	echo "$seconds"
}

# run_guest LOG STAGES DONE [ARGUMENT...]: runs the guest of QEMU, with more arguments, which says DONE if all went well.
# Prints what is wrong, a line each, or "skip: why".
run_guest() {
	local log=$1 code=0 limit
	limit=$(deadline "$2")
	rm -f "$log"
	timeout --foreground -k 5 "$limit" "${QEMU[@]}" "${@:4}" -serial "file:$log" </dev/null >"$log.qemu" 2>&1 || code=$?
	touch "$log"
	how_ended "$code" "$log" "$limit"
	LC_ALL=C awk -v done="$3" -f "$TOP/scripts/judge.awk" "$log"
	sed -n 's/.*# expect-qemu: \(.*[^\r]\)\r*$/\1/p' "$log" | while IFS= read -r text; do
		grep -qF -- "$text" "$log.qemu" || say "QEMU was expected to say, and did not: $text"
	done
}

# show_end LOG
show_end() {
	say "the end of its log:"
	sed '/^[[:space:]]*$/d' "$1" | tail -n 12 | tr -d '\r' | sed 's/^/    /'
	say "the whole log: $1"
}
