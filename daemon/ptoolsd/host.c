/* SPDX-License-Identifier: MIT */
/*
 * host -- this machine's name as the kernel has it, that name up to its first dot, localhost, and the addresses of
 * its interfaces. Nothing is resolved: names that only a name server knows are not this daemon's to know.
 */
#include "daemon/ptoolsd/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/core.h"

static void add(char **names, size_t *n, const char *name, size_t bytes)
{
    if (bytes == 0 || *n == HOST_NAMES_MAX || !name_ok_host(name, bytes))
        return;
    for (size_t i = 0; i < *n; i++)
        if (strlen(names[i]) == bytes && strncasecmp(names[i], name, bytes) == 0)
            return;
    names[*n] = strndup(name, bytes);
    if (names[*n])
        ++*n;
}

static void add_address(char **names, size_t *n, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const void *at;

    if (!address || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return;
    at = address->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                                       : &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (inet_ntop(address->sa_family, at, text, sizeof text))
        add(names, n, text, strlen(text));
}

size_t host_names(char *names[HOST_NAMES_MAX])
{
    char name[HOST_BYTES_MAX + 1] = "";
    struct ifaddrs *interfaces = NULL;
    size_t n = 0;

    if (gethostname(name, sizeof name - 1) == 0) {
        add(names, &n, name, strlen(name));
        add(names, &n, name, strcspn(name, "."));
    }
    add(names, &n, "localhost", 9);
    if (getifaddrs(&interfaces) == 0) {
        for (const struct ifaddrs *i = interfaces; i; i = i->ifa_next)
            add_address(names, &n, i->ifa_addr);
        freeifaddrs(interfaces);
    }
    return n;
}

int host_tell(struct core *core)
{
    char *names[HOST_NAMES_MAX];
    const size_t n = host_names(names);
    const int r = n > 0 ? core_host(core, (const char *const *)names, n) : -ENOMEM;

    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return r;
}
