/* SPDX-License-Identifier: MIT */
/* Names from ELF files, also from broken ones. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/worker/symbols.h"
#include "tests/support/suite.h"

__attribute__((__noinline__)) static int static_function(int x)
{
    __asm__ volatile("");
    return x + 1;
}

static uint64_t own_bias(void)
{
    struct link_map *map;
    void *handle = dlopen(NULL, RTLD_NOW);

    ck_assert_int_eq(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
    dlclose(handle);
    return map->l_addr;
}

START_TEST(static_functions_have_names)
{
    uint64_t address = (uint64_t)(uintptr_t)static_function - own_bias(), offset;
    char name[64];

    ck_assert(symbols_find("/proc/self/exe", address, name, sizeof name, &offset));
    ck_assert_str_eq(name, "static_function");
    ck_assert_uint_eq(offset, 0);
    ck_assert(symbols_find("/proc/self/exe", address + 1, name, 7, &offset));
    ck_assert_str_eq(name, "static"); /* cut */
    ck_assert_uint_eq(offset, 1);
    ck_assert(!symbols_find("/proc/self/exe", 3, name, sizeof name, &offset)); /* in the header: no function */
    ck_assert_int_eq(static_function(1), 2);
}
END_TEST

START_TEST(other_files_have_none)
{
    uint64_t offset;
    char name[64];

    ck_assert(!symbols_find("/nowhere", 0, name, sizeof name, &offset));
    ck_assert(!symbols_find("/", 0, name, sizeof name, &offset));
    ck_assert(!symbols_find("/dev/null", 0, name, sizeof name, &offset));
    ck_assert(!symbols_find("/proc/self/status", 0, name, sizeof name, &offset));
}
END_TEST

/* Whatever stands in the file, it is read within its bounds. */
START_TEST(broken_files_do_no_harm)
{
    char path[32], name[64];
    int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd = memfd_create("elf", MFD_CLOEXEC);
    off_t size = lseek(exe, 0, SEEK_END);
    uint64_t address = (uint64_t)(uintptr_t)static_function - own_bias(), offset;
    uint8_t *good, *bad;
    ElfW(Ehdr) *head;
    uint32_t random = 1;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    good = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, exe, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    bad = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    head = (void *)bad;
    for (int i = 0; i < 500; i++) {
        ElfW(Shdr) *sections;
        unsigned n;

        memcpy(bad, good, (size_t)size);
        sections = (void *)(bad + head->e_shoff);
        n = head->e_shnum;
        for (int k = 0; k < 3; k++) { /* wild words in the table of sections */
            random = random * 1664525 + 1013904223;
            ((uint32_t *)sections)[random % (n * sizeof *sections / 4)] = (random >> 7) * (random & 8 ? 1u : 4u);
        }
        if (i % 50 == 0)
            head->e_shoff = (uint64_t)random << 20;
        if (i % 50 == 1)
            head->e_shnum = 65535;
        symbols_find(path, address, name, sizeof name, &offset);
    }
    memcpy(bad, good, (size_t)size);
    ck_assert(symbols_find(path, address, name, sizeof name, &offset));
    for (off_t cut = size; cut > 0; cut /= 2) {
        ck_assert_int_eq(ftruncate(fd, cut), 0);
        symbols_find(path, address, name, sizeof name, &offset);
    }
    munmap(good, (size_t)size);
    munmap(bad, (size_t)size);
    close(exe);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/symbols");
    TCase *tc = suite_case(suite, "symbols");

    tcase_add_test(tc, static_functions_have_names);
    tcase_add_test(tc, other_files_have_none);
    tcase_add_test(tc, broken_files_do_no_harm);
    return suite_run(suite);
}
