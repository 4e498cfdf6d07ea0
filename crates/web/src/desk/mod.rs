//! The desk: pages for people. They work without script; nothing on them is inline.

mod account;
mod account_factor;
mod account_telling;
mod activity;
mod approval;
mod approvals;
mod arguments;
mod as_read;
mod audit;
mod backups;
mod begin;
mod briefing;
mod browsers;
mod contacts;
mod deciding;
mod diff;
mod drawing;
mod entry;
mod files;
mod findings;
mod form;
mod graph;
mod handbook;
mod jobs;
pub(crate) mod layout;
mod logs;
mod memory;
mod models;
mod needs;
mod parts;
mod passkeys;
mod past;
mod playbooks;
mod presets;
mod promote;
mod rule_form;
mod rules;
mod servers;
mod settings;
mod story;
mod system;
mod task;
mod task_form;
mod tasks;
mod today;
mod user;
mod users;
mod watcher_fields;
mod watcher_form;
mod watchers;
mod ways;
mod words;

pub(crate) use account_telling::try_way;
pub(crate) use approval::{give, send_back};
pub(crate) use models::at_hand as models;
pub(crate) use playbooks::{keep as keep_playbook, read as read_playbook};
pub(crate) use watchers::preview;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use crate::app::App;

/// The pages' addresses.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(today::page))
        .route("/more", get(layout::more))
        .route("/begin", get(begin::page))
        .route("/begin/server", post(begin::server))
        .route("/begin/tools", post(begin::tools))
        .route("/begin/watcher", post(begin::watcher))
        .route("/setup/{token}", get(entry::setup_page).post(entry::setup))
        .route("/login", get(entry::login_page).post(entry::login))
        .route("/login/code", post(entry::login_code))
        .route("/logout", post(entry::logout))
        .merge(work())
        .merge(house())
}

/// What is done: approvals and tasks.
fn work() -> Router<App> {
    Router::new()
        .route("/approvals", get(approvals::page))
        .route("/approvals/batch", post(approvals::decide_several))
        .route("/approvals/{id}", get(approval::page))
        .route("/approvals/{id}/ask", post(approval::ask))
        .route("/approvals/{id}/decision", post(approval::decide))
        .route("/approvals/{id}/extend", post(approval::extend))
        .route("/tasks", get(tasks::page))
        .route("/tasks/new", get(task_form::new_page).post(task_form::create))
        .route("/tasks/{id}", get(task::page))
        .route("/tasks/{id}/playbook", get(promote::page).post(promote::change))
        .route("/tasks/{id}/edit", get(task_form::edit_page).post(task_form::edit))
        .route("/tasks/{id}/needs", get(needs::page).post(needs::change))
        .route("/tasks/{id}/assign", post(task_form::assign))
        .route("/tasks/{id}/status", post(task::set_status))
        .route("/tasks/{id}/files", post(files::add).layer(DefaultBodyLimit::disable()))
        .route("/files/{id}", get(files::content))
        .route("/files/{id}/text", get(files::text))
        .route("/files/{id}/remove", post(files::remove))
        .route("/notifications", get(logs::notifications))
        .route("/notifications/read", post(logs::mark_read))
        .route("/notifications/archive", post(logs::archive))
}

/// What it is done with, and what stands of it.
fn house() -> Router<App> {
    Router::new()
        .route("/watchers", get(watchers::page))
        .route("/watchers/new", get(watcher_form::new_page).post(watcher_form::create))
        .route("/watchers/{id}", get(watchers::one))
        .route("/watchers/{id}/edit", get(watcher_form::edit_page).post(watcher_form::edit))
        .route("/watchers/{id}/test", post(watchers::test))
        .route("/watchers/run", post(watchers::run))
        .route("/watchers/remove", post(watchers::remove))
        .route("/servers", get(servers::page))
        .route("/servers/new", get(servers::new_page).post(servers::create))
        .route("/servers/run", post(servers::run))
        .route("/servers/remove", post(servers::remove))
        .route("/servers/tools", post(servers::approve))
        .route("/policies", get(rules::page))
        .route("/policies/new", get(rule_form::new_page).post(rule_form::create))
        .route("/policies/{id}/edit", get(rule_form::edit_page).post(rule_form::edit))
        .route("/policies/move", post(rules::step))
        .route("/policies/run", post(rules::run))
        .route("/policies/try", post(rules::try_call))
        .route("/policies/remove", post(rules::remove))
        .route("/policies/past", get(past::page))
        .route("/policies/presets", get(presets::page).post(presets::apply))
        .route("/policies/contacts", get(contacts::page).post(contacts::add))
        .route("/policies/contacts/remove", post(contacts::remove))
        .route("/handbook", get(handbook::page).post(handbook::save))
        .route("/memory", get(memory::page).post(memory::add))
        .route("/memory/edit", post(memory::edit))
        .route("/memory/forget", post(memory::forget))
        .route("/models", get(models::page))
        .route("/playbooks", get(playbooks::page))
        .route("/playbooks/check", post(playbooks::check))
        .route("/playbooks/switch", post(playbooks::switch))
        .route("/playbooks/remove", post(playbooks::remove))
        .route("/activity", get(activity::page))
        .route("/briefing", get(briefing::page))
        .route("/logs", get(logs::page))
        .route("/audit", get(audit::page))
        .route("/audit/verify", post(audit::verify))
        .route("/users", get(users::page).post(users::create))
        .route("/users/{id}", get(user::page).post(user::change))
        .route("/users/{id}/password", post(user::set_password))
        .route("/users/{id}/factor", post(user::remove_factor))
        .route("/users/{id}/role", post(users::set_role))
        .route("/users/{id}/status", post(users::set_status))
        .route("/system", get(system::page))
        .route("/system/run", post(jobs::run))
        .route("/system/cancel", post(jobs::cancel))
        .route("/system/pause", post(jobs::pause))
        .route("/system/job", get(jobs::page).post(jobs::change))
        .route("/system/findings", get(findings::page))
        .route("/account", get(account::page))
        .route("/account/passkeys/remove", post(passkeys::remove))
        .route("/account/browsers/remove", post(browsers::remove))
        .route("/sw.js", get(browsers::worker))
        .route("/account/tokens", post(account::make_token))
        .route("/account/tokens/revoke", post(account::revoke_token))
        .route("/account/leave", post(account::leave))
        .merge(account_more())
}

/// Oneself, in more detail.
fn account_more() -> Router<App> {
    Router::new()
        .route("/account/sessions/end", post(account::end_session))
        .route("/account/password", post(account::set_password))
        .route("/account/second-factor", get(account_factor::page))
        .route("/account/second-factor/begin", post(account_factor::begin))
        .route("/account/second-factor/confirm", post(account_factor::confirm))
        .route("/account/second-factor/codes", post(account_factor::codes))
        .route("/account/second-factor/remove", post(account_factor::remove))
        .route("/account/telling", get(account_telling::page).post(account_telling::set))
        .route("/account/telling/test", post(account_telling::test))
        .route("/account/telling/{way}", get(ways::page).post(ways::set))
}
