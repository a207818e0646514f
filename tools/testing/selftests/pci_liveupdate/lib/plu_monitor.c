// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: QEMU's monitor, behind the second serial port.
 *
 * The port is used without the kernel's driver. A terminal echoes what it is sent until
 * it has been told not to; the monitor, which speaks first, would take that for commands
 * and answer, and so on.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/serial_reg.h>

#include "plu.h"

#define PORTS	"/dev/port"
#define COM2	0x2f8
#define RETURN	"\"return\": \""

static int ports = -1;
static char answer[65536];
static size_t answer_len;

static void set(unsigned int reg, unsigned char value)
{
	if (lseek(ports, COM2 + reg, SEEK_SET) < 0 || write(ports, &value, 1) != 1)
		plu_bail(PORTS ": %s", strerror(errno));
}

static unsigned char get(unsigned int reg)
{
	unsigned char value;

	if (lseek(ports, COM2 + reg, SEEK_SET) < 0 || read(ports, &value, 1) != 1)
		plu_bail(PORTS ": %s", strerror(errno));

	return value;
}

static bool can_send(void *unused)
{
	return get(UART_LSR) & UART_LSR_THRE;
}

static void send(const char *text)
{
	for (; *text; text++) {
		if (!plu_wait_for(can_send, NULL))
			plu_skip("there is no serial port at %#x", COM2);
		set(UART_TX, *text);
	}
}

/* Is there a whole line that answers the command with this id? */
static bool has_answered(void *id)
{
	const char *mark;

	while (get(UART_LSR) & UART_LSR_DR && answer_len < sizeof(answer) - 1)
		answer[answer_len++] = get(UART_RX);
	answer[answer_len] = '\0';
	mark = strstr(answer, id);

	return mark && strchr(mark, '\n');
}

/* The answer to a command, without what else was said meanwhile: tidings of events. */
static char *ask_monitor(const char *command, const char *arguments)
{
	static unsigned int number;
	char *line;
	char id[32];

	snprintf(id, sizeof(id), "\"id\": \"%u\"", ++number);
	answer_len = 0;
	send("{\"execute\": \"");
	send(command);
	send("\", \"arguments\": {");
	send(arguments);
	send("}, ");
	send(id);
	send("}\n");
	if (!plu_wait_for(has_answered, id))
		plu_skip("QEMU's monitor does not answer at %#x: %s", COM2, answer);

	*strchr(strstr(answer, id), '\n') = '\0';
	line = strrchr(answer, '\n');

	return line ? line + 1 : answer;
}

static void open_monitor(void)
{
	if (ports >= 0)
		return;
	ports = open(PORTS, O_RDWR);
	if (ports < 0)
		plu_skip(PORTS ": %s (CONFIG_DEVPORT?)", strerror(errno));

	set(UART_LCR, UART_LCR_WLEN8);
	set(UART_IER, 0);
	set(UART_FCR, UART_FCR_ENABLE_FIFO);
	/* Complains if an earlier kernel did this already. */
	ask_monitor("qmp_capabilities", "");
}

/*
 * The machine's own protocol, for the commands that people use: those take what stands on
 * QEMU's command line as it stands there.
 */
const char *plu_monitor(const char *fmt, ...)
{
	char arguments[320] = "\"command-line\": \"";
	size_t len = strlen(arguments);
	char *line, *text, *end;
	va_list args;

	open_monitor();
	va_start(args, fmt);
	vsnprintf(arguments + len, sizeof(arguments) - len - 1, fmt, args);
	va_end(args);
	if (strchr(arguments + len, '"') || strchr(arguments + len, '\\'))
		plu_bail("not for QEMU's monitor: %s", arguments + len);
	len += strlen(arguments + len);
	snprintf(arguments + len, sizeof(arguments) - len, "\"");

	line = ask_monitor("human-monitor-command", arguments);
	text = strstr(line, RETURN);
	if (!text)
		plu_bail("QEMU's monitor, told %s, says: %s", arguments, line);
	text += strlen(RETURN);
	end = strstr(text, "\\r\\n\"") ?: strchr(text, '"');
	*end = '\0';

	return text;
}
