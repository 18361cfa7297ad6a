/* SPDX-License-Identifier: MIT */
/*
 * template -- the process that loads modules and forks workers, and the link to it. See template.c.
 */
#ifndef PTOOLSD_TEMPLATE_H
#define PTOOLSD_TEMPLATE_H

#include <sys/types.h>

#include "daemon/ptoolsd/supervisor.h"

struct template;
struct process;

int template_new(struct supervisor *s, struct template **ret);
struct template *template_free(struct template *t);
DEFINE_AUTO(template)
/* Asks for a process; process_born() or core_worker_gone() follows. */
void template_spawn(struct template *t, struct process *p);
/* Asks for a module; core_module_loaded() follows, also if the template cannot. */
void template_load(struct template *t, const char *module);
/* Sends it a descriptor to close, which takes long. false: it does not take it now. */
bool template_close(struct template *t, int fd);
/* Whether a process that it was asked for may be there, and is not known yet. */
bool template_is_forking(const struct template *t);
pid_t template_pid(const struct template *t);
/* Starts it anew, with the modules as they are now; workers stay. */
void template_renew(struct template *t);
/* Its process has ended. */
void template_ended(struct template *t);

#endif
