// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI Live Update: QEMU's monitor, behind the second serial port.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <asm/termbits.h>
#include <asm/ioctls.h>

#include "plu.h"

#define PORT	"/dev/ttyS1"
#define RETURN	"\"return\": \""

static int port = -1;
static char answer[65536];
static size_t answer_len;

static void write_port(const char *text)
{
	struct pollfd poll_port = { .events = POLLOUT };
	size_t len = strlen(text);
	ssize_t ret;

	poll_port.fd = port;
	while (len) {
		ret = write(port, text, len);
		if (ret < 0 && errno != EAGAIN)
			plu_bail(PORT ": %s", strerror(errno));
		if (ret > 0) {
			text += ret;
			len -= ret;
		} else {
			poll(&poll_port, 1, 1000);
		}
	}
}

static void read_port(void)
{
	ssize_t len;

	do {
		len = read(port, answer + answer_len, sizeof(answer) - 1 - answer_len);
		if (len > 0)
			answer_len += len;
	} while (len > 0);
	answer[answer_len] = '\0';
}

/*
 * Until the port is set up, its terminal echoes what the monitor says. The monitor takes
 * that for commands and complains, which may go back and forth for a while, and what we
 * send meanwhile may be lost or stand behind the rest of an echo. So begin with a byte
 * that JSON has no use for, with which the monitor forgets what it has heard so far, and
 * ask again, now and then.
 */
static bool is_listening(void *asked)
{
	if (!((*(unsigned int *)asked)++ % 128))
		write_port("\xff\n{\"execute\":\"qmp_capabilities\",\"id\":\"hello\"}\n");
	read_port();

	return strstr(answer, "\"id\": \"hello\"");
}

static void open_port(void)
{
	struct termios settings;
	unsigned int asked = 0;

	if (port >= 0)
		return;
	port = open(PORT, O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (port < 0 || ioctl(port, TCGETS, &settings))
		plu_skip(PORT ": %s", strerror(errno));

	/* As it comes, with nothing done to it */
	settings.c_iflag = 0;
	settings.c_oflag = 0;
	settings.c_lflag = 0;
	settings.c_cflag = B115200 | CS8 | CREAD | CLOCAL;
	if (ioctl(port, TCSETS, &settings))
		plu_bail(PORT ": %s", strerror(errno));

	if (!plu_wait_for(is_listening, &asked))
		plu_skip("QEMU's monitor does not answer on " PORT);
}

/* Is there a whole line that answers the command with this number? */
static bool has_answered(void *id)
{
	const char *mark;

	read_port();
	mark = strstr(answer, id);

	return mark && strchr(mark, '\n');
}

/*
 * The machine's own protocol, for the commands that people use: those take what stands on
 * QEMU's command line as it stands there.
 */
const char *plu_monitor(const char *fmt, ...)
{
	static unsigned int number;
	char command[256], id[32];
	char *begin, *end;
	va_list args;

	open_port();
	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (strchr(command, '"') || strchr(command, '\\'))
		plu_bail("not for QEMU's monitor: %s", command);

	answer_len = 0;
	snprintf(id, sizeof(id), "\"id\": \"%u\"", ++number);
	write_port("{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"");
	write_port(command);
	write_port("\"},");
	write_port(id);
	write_port("}\n");
	if (!plu_wait_for(has_answered, id))
		plu_skip("QEMU's monitor does not answer '%s': %s", command, answer);

	/* Other lines tell of events. */
	*strchr(strstr(answer, id), '\n') = '\0';
	begin = strrchr(answer, '\n');
	begin = strstr(begin ?: answer, RETURN);
	if (!begin)
		plu_bail("QEMU's monitor, told '%s', says: %s", command, answer);
	begin += strlen(RETURN);
	end = strstr(begin, "\\r\\n\"") ?: strchr(begin, '"');
	*end = '\0';

	return begin;
}
