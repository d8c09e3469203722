/* The configuration: fdiald.conf(5) as structures. Read once, immutable, shared by all workers
 * (reference counted, thread-safe). Reading it is not thread-safe (libConfuse's lexer has global
 * state) and may block (files, names of users): before the workers start, or in the main thread. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/address.h"
#include "daemon/base/quota.h"
#include "daemon/base/stats.h"
#include "daemon/policy/pattern.h"
#include "daemon/policy/proxy.h"
#include "daemon/tls/tls.h"

#define CONFIG_PATH           "/etc/fdial/fdiald.conf" /* drop-ins: CONFIG_PATH ".d" / *.conf */
#define CONFIG_FILE_MAX       (1024 * 1024)
#define CONFIG_FILES_MAX      256  /* drop-ins */
#define CONFIG_SECTIONS_MAX   1024 /* in one file */
#define CONFIG_RULES_MAX      1024
#define CONFIG_TLS_MAX        64
#define CONFIG_PROXIES_MAX    64
#define CONFIG_LIST_MAX       1024 /* values in one list */
#define CONFIG_STRING_MAX     4096 /* bytes of one value */
#define CONFIG_TITLE_MAX      64
#define CONFIG_SOCKET_DEFAULT "fdial"
#define CONFIG_SOCKET_MAX     255 /* FileDescriptorName=, systemd.socket(5) */
#define CONFIG_WORKERS_MAX    256
#define CONFIG_PENDING_MAX    65536
#define CONFIG_RELAYS_MAX     65536
#define CONFIG_RATE_MAX       1000000
#define CONFIG_DURATION_MAX_S (365 * 24 * 3600)

#define CONFIG_PENDING_DEFAULT         64
#define CONFIG_RELAYS_DEFAULT          100
#define CONFIG_DRAIN_TIMEOUT_DEFAULT_S 30

enum client_kind {
    CLIENT_UID,
    CLIENT_GID, /* primary or supplementary */
    CLIENT_UNIT,
    CLIENT_CGROUP, /* and those below */
};

struct client_match {
    enum client_kind kind;
    uint32_t id;
    char *name; /* of the unit, or the cgroup's path; NULL with ids */
};

enum seal {
    SEAL_REQUIRED,
    SEAL_OFF,
};

enum mode {
    MODE_ENFORCE,
    MODE_REPORT, /* what no rule allows is let through and logged */
};

/* Who resolves the name of a target that is reached by proxies. */
enum resolve_by {
    RESOLVE_LOCAL, /* we: its addresses are checked, and a proxy gets one of them */
    RESOLVE_PROXY, /* the last proxy */
};

/* Where connections come from. */
struct source {
    struct address address; /* family AF_UNSPEC: an interface instead */
    char interface[IF_NAMESIZE];
};

struct rule {
    char *name;
    struct stats *stats; /* by its name; NULL until config_prepare() */
    struct client_match *clients;
    size_t n_clients;
    char *socket; /* listener name; NULL: the default one */
    struct pattern *allow;
    size_t n_allow;
    struct pattern *deny;
    size_t n_deny;
    unsigned addresses;                      /* mask of enum address_class */
    unsigned handoff;                        /* mask of enum handoff */
    struct source *source;                   /* NULL: the system chooses */
    const struct proxy *via[PROXY_HOPS_MAX]; /* in the order of the hops; of the configuration */
    size_t n_via;                            /* 0: direct */
    struct pattern *no_proxy;                /* targets that are reached directly all the same */
    size_t n_no_proxy;
    enum resolve_by resolve;
    struct send_proxy send_proxy; /* to the target */
    enum seal seal;
    enum mode mode;
    struct tls_context *tls; /* NULL only where no `allow` pattern is of a TLS scheme */
    uint32_t max_pending;
    uint32_t max_relays;
    struct quota_rate max_rate;
    uint64_t idle_timeout_us; /* 0: none */
    uint64_t max_lifetime_us; /* 0: none */
};

struct config {
    unsigned n_references;
    unsigned workers; /* 0: one per core */
    bool sqpoll;
    bool ktls;
    uint64_t drain_timeout_us; /* 0: relays are ended at once */
    char *metrics;             /* path of the socket they are served on; NULL: none */
    gid_t metrics_group;       /* (gid_t)-1: none */
    char *nameservers;         /* as resolver_options.servers; NULL: resolv.conf */
    bool needs_cgroup;         /* a rule asks for the client's unit or cgroup */
    char **warnings;           /* "file:line: sentence", for the log and --check-config */
    size_t n_warnings;
    struct proxy *proxies;
    size_t n_proxies;
    struct rule *rules;
    size_t n_rules;
};

#define CONFIG_ERROR_MAX 512

/* Reads `path` and its drop-ins. Returns 0, or -errno with "file:line: what" in error (-EINVAL: it
 * is in the text). -ENOENT only where there is neither `path` nor a drop-in: the caller may go on
 * without a configuration then. */
int config_load(struct config **ret, const char *path, char error[CONFIG_ERROR_MAX]);
/* From memory, for tests and fuzzing; `name` stands for the file. */
int config_parse(struct config **ret, const char *name, const char *text, size_t n,
                 char error[CONFIG_ERROR_MAX]);
/* The built-in rule of --user: this uid, any target, any address, seal required. -EINVAL for the
 * overflow uid, which matches nothing. */
int config_new_user(struct config **ret, uid_t uid, char error[CONFIG_ERROR_MAX]);
/* No rule: denies all. */
int config_new_empty(struct config **ret, char error[CONFIG_ERROR_MAX]);

/* What it needs to be used: its rules count in the table from now on, and each of the workers has
 * memories of its own. Returns 0 or -ENOMEM. */
int config_prepare(struct config *config, struct stats_table *table, unsigned n_workers);

struct config *config_ref(struct config *config);
struct config *config_unref(struct config *config); /* returns NULL */

/* None of the targets that the rule allows is of another scheme. */
bool config_rule_has_unix_only(const struct rule *rule);
