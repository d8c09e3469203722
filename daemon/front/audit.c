#include "daemon/front/audit.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/escape.h"
#include "daemon/base/log.h"
#include "daemon/front/peer.h"

/* Whether a line about this user may be written now; tells first how many could not be. */
static bool may_log(const struct peer *peer, enum log_level level)
{
    uid_t uid = peer->identity->uid;
    struct audit_budget *budget = &peer->front->audit[uid % AUDIT_USERS];
    uint64_t second = ring_now_us(peer->front->env.ring) / US_PER_S;

    if (!log_is_on(level))
        return false;
    if (budget->second != second) {
        if (budget->n_left_out > 0)
            log_warning("%u lines about uid %u left out", budget->n_left_out, uid);
        *budget = (struct audit_budget){.second = second};
    }
    if (budget->n_lines == AUDIT_LINES_PER_S) {
        budget->n_left_out++;
        return false;
    }
    budget->n_lines++;
    return true;
}

void audit_failure(const struct peer *peer, const struct failure *failure, struct text target)
{
    char shown[LOG_LINE_MAX / 2];

    if (!may_log(peer, LOG_LEVEL_INFO))
        return;
    escape(shown, sizeof shown, target.data, target.n);
    log_info("uid %u pid %d: %s: %s: %s%s%s", peer->identity->uid, peer->identity->pid, shown,
             stage_name(failure->stage), error_text(failure->code), failure->detail[0] ? ": " : "",
             failure->detail);
}

void audit_reported(const struct peer *peer, const struct rule *rule, const struct target *target)
{
    char text[TARGET_TEXT_MAX];
    char shown[LOG_LINE_MAX / 2];

    if (!may_log(peer, LOG_LEVEL_WARNING))
        return;
    target_format(target, text);
    escape(shown, sizeof shown, text, strlen(text));
    log_warning("uid %u pid %d: %s: would be denied, let through by rule '%s', which only reports",
                peer->identity->uid, peer->identity->pid, shown, rule->name);
}

void audit_dropped(const struct peer *peer, enum error_code code, const char *detail)
{
    if (may_log(peer, LOG_LEVEL_INFO))
        log_info("session of uid %u pid %d dropped: %s: %s", peer->identity->uid,
                 peer->identity->pid, error_text(code), detail);
}
