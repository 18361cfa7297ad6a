/* SPDX-License-Identifier: MIT */
/*
 * symbols -- reads the symbol table of an ELF file, for backtraces.
 *
 * Called from signal handlers, also when the heap is broken: system calls only, no memory, no locks
 * (libunwind's unw_get_proc_name() allocates, dladdr() locks and does not know static functions). The
 * file is not believed: every offset is held against its size. The full table is preferred, the dynamic
 * one is what a stripped file has left.
 */
#include "daemon/worker/symbols.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"

struct image {
    const uint8_t *data;
    size_t n;
};

/* n things of `each` bytes at offset, or NULL if they are not all in the file, or not aligned. */
static const void *image_at(const struct image *image, uint64_t offset, uint64_t n, size_t each)
{
    if (offset > image->n || n > (image->n - offset) / each || offset % 4)
        return NULL;
    return image->data + offset;
}

static const ElfW(Shdr) *sections(const struct image *image, size_t *ret_n)
{
    const ElfW(Ehdr) *head = image_at(image, 0, 1, sizeof *head);

    if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(ElfW(Shdr)) ||
        head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return NULL;
    *ret_n = head->e_shnum;
    return image_at(image, head->e_shoff, head->e_shnum, sizeof(ElfW(Shdr)));
}

static bool name_copy(const struct image *image, const ElfW(Shdr) *strings, uint64_t at, char *ret, size_t cap)
{
    const char *names = (const char *)image->data;
    uint64_t end = strings->sh_offset + strings->sh_size;
    size_t n = 0;

    if (strings->sh_offset > image->n || strings->sh_size > image->n - strings->sh_offset || at >= strings->sh_size)
        return false;
    for (at += strings->sh_offset; at < end && names[at] && n + 1 < cap; at++)
        ret[n++] = names[at];
    ret[n] = '\0';
    return n > 0;
}

static bool find_in_table(const struct image *image, const ElfW(Shdr) *all, size_t n_all, const ElfW(Shdr) *table,
                          uint64_t address, char *ret_name, size_t cap, uint64_t *ret_offset)
{
    size_t n = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbol = image_at(image, table->sh_offset, n, sizeof *symbol);

    if (!symbol || table->sh_link >= n_all)
        return false;
    for (; n > 0; n--, symbol++) {
        if ((symbol->st_info & 0xf) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || address < symbol->st_value ||
            address - symbol->st_value >= MAX(symbol->st_size, 1u))
            continue;
        if (!name_copy(image, &all[table->sh_link], symbol->st_name, ret_name, cap))
            continue;
        *ret_offset = address - symbol->st_value;
        return true;
    }
    return false;
}

static bool find(const struct image *image, uint64_t address, char *ret_name, size_t cap, uint64_t *ret_offset)
{
    static const uint32_t types[] = { SHT_SYMTAB, SHT_DYNSYM };
    size_t n = 0;
    const ElfW(Shdr) *all = sections(image, &n);

    if (!all)
        return false;
    for (size_t t = 0; t < ELEMENTS(types); t++)
        for (size_t i = 0; i < n; i++)
            if (all[i].sh_type == types[t] &&
                find_in_table(image, all, n, &all[i], address, ret_name, cap, ret_offset))
                return true;
    return false;
}

bool symbols_find(const char *file, uint64_t address, char *ret_name, size_t cap, uint64_t *ret_offset)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct image image = { 0 };
    bool found = false;
    struct stat st;
    void *map;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            image = (struct image){ map, (size_t)st.st_size };
            found = find(&image, address, ret_name, cap, ret_offset);
            munmap(map, image.n);
        }
    }
    close(fd);
    return found;
}
