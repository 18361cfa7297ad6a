/* SPDX-License-Identifier: MIT */
/*
 * no_symbol -- a shared object that is no module.
 */
int no_symbol_at_all(void);

int no_symbol_at_all(void)
{
    return 0;
}
