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
#define PROMPT	"(qemu) "

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

/* What is sent while the port is set up may be lost: ask again, now and then. */
static bool is_prompting(void *asked)
{
	if (!((*(unsigned int *)asked)++ % 128))
		write_port("\n");
	read_port();

	return strstr(answer, PROMPT);
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

	/* Up to now a terminal may have echoed what the monitor had to say: end that line. */
	if (!plu_wait_for(is_prompting, &asked))
		plu_skip("QEMU's monitor does not answer on " PORT);
}

/* Has it said what we wait for, and the next prompt? */
static bool has_answered(void *arg)
{
	const char *mark;

	read_port();
	mark = strstr(answer, arg);

	return mark && strstr(mark, PROMPT);
}

/*
 * The monitor echoes what it is told, redrawing the line for each character, and there
 * may be prompts of earlier. So tell it to work out a sum as well, which stands nowhere
 * but in its answer.
 */
const char *plu_monitor(const char *fmt, ...)
{
	static unsigned int number = 1000000;
	char command[256], sum[64];
	char *begin, *end;
	va_list args;

	open_port();
	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);

	answer_len = 0;
	write_port(command);
	snprintf(sum, sizeof(sum), "\nprint /d %u+1\n", number);
	write_port(sum);
	snprintf(sum, sizeof(sum), "\r\n%u\r\n", ++number);
	if (!plu_wait_for(has_answered, sum))
		plu_skip("QEMU's monitor does not answer on " PORT ": %s", answer);

	/* It is between the echo, redrawn for the last time, and the next prompt. */
	strlcat(command, "\033[K\r\n", sizeof(command));
	begin = strstr(answer, command);
	if (!begin)
		plu_bail("QEMU's monitor says: %s", answer);
	begin += strlen(command);
	end = strstr(begin, PROMPT);
	if (end)
		*end = '\0';

	return begin;
}
