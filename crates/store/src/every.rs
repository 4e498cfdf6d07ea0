//! The list of every statement of the store, for what looks at them all: the tests that prepare them on both databases, and
//! the checks of their plans on big tables (`bench/`).

use crate::{
    activity, api_tokens, approvals, audit_trail, beginnings, briefing, cache, contacts, events, file_attachments,
    handbook, idempotency_keys, kept_files, log_keeping, login_tries, master_key, mcp_servers, memories, model_turns,
    notification_channels, notification_outbox, notifications, passkeys, playbooks, policies, push_subscriptions, run,
    runs, schedules, sealed, second_factors, server_grants, sessions, statement::Statement, system_logs, task_queue,
    tasks, users, watchers,
};

/// Every statement, table by table.
pub fn every_statement() -> Vec<&'static Statement> {
    [
        activity::ALL,
        api_tokens::ALL,
        approvals::ALL,
        audit_trail::ALL,
        beginnings::ALL,
        briefing::ALL,
        cache::ALL,
        contacts::ALL,
        events::ALL,
        file_attachments::ALL,
        handbook::ALL,
        idempotency_keys::ALL,
        kept_files::ALL,
        log_keeping::ALL,
        login_tries::ALL,
        master_key::ALL,
        mcp_servers::ALL,
        memories::ALL,
        model_turns::ALL,
        notification_channels::ALL,
        notification_outbox::ALL,
        notifications::ALL,
        playbooks::ALL,
        policies::ALL,
        run::ALL,
        runs::ALL,
        schedules::ALL,
        sealed::ALL,
        passkeys::ALL,
        push_subscriptions::ALL,
        second_factors::ALL,
        server_grants::ALL,
        sessions::ALL,
        system_logs::ALL,
        task_queue::ALL,
        tasks::ALL,
        users::ALL,
        watchers::ALL,
    ]
    .concat()
}
