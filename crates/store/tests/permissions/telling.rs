//! The verbs by which people are told, and what briefings are made of, tried as [`crate::verbs`] tries the others.

use serde_json::json;
use store::{
    Actor, Result, Transaction,
    beginnings::{self, Kind},
    briefing, notification_channels, notification_outbox, notifications, tasks,
};
use uuid::Uuid;

use crate::{
    common::seconds,
    verbs::{done, seen},
    world::{World, new_notification},
};

/// Tries `verb` and says how it went; an error is the caller's to name.
pub async fn attempt(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    let held = notification_outbox::Outgoing {
        notification_id: w.notification,
        state: "planning".to_owned(),
        attempts: 0,
        due_at: store::now(),
        lease_until: None,
        last_error: None,
    };
    Ok(match verb {
        "notifications.create (to the creator)" => {
            notifications::create(me, tx, &new_notification(w.creator)).await.map(|_| done(true))?
        }
        "notifications.create (to another)" => {
            notifications::create(me, tx, &new_notification(w.other)).await.map(|_| done(true))?
        }
        "notifications.unread" => seen(notifications::unread(me, tx, 10).await? > 0),
        "notifications.list" => {
            seen(notifications::list(me, tx, None, 1000).await?.iter().any(|n| n.id == w.notification))
        }
        "notifications.page" => {
            seen(notifications::page(me, tx, None, None, 1000).await?.iter().any(|n| n.id == w.notification))
        }
        "notifications.put_copy" => {
            let of = notifications::get(&Actor::service(), tx, w.notification).await?.expect("the notification");
            notifications::put_copy(me, tx, Uuid::now_v7(), "sms", &of, None).await.map(done)?
        }
        "notifications.get" => seen(notifications::get(me, tx, w.notification).await?.is_some()),
        "notifications.sent" => done(notifications::sent(me, tx, w.copy).await?),
        "notifications.list_ways" => seen(notifications::list_ways(me, tx, 1000).await?.iter().any(|n| n.id == w.copy)),
        "notifications.read_all" => done(notifications::read_all(me, tx).await? > 0),
        "notifications.set_status" => done(notifications::set_status(me, tx, w.notification, "read").await?),
        "beginnings.find (task)" => begins(tx, w, Kind::Task, w.task.id).await?,
        "beginnings.find (approval)" => begins(tx, w, Kind::Approval, w.approval).await?,
        "beginnings.find (attachment)" => begins(tx, w, Kind::Attachment, w.attachment).await?,
        "beginnings.find (memory)" => begins(tx, w, Kind::Memory, w.memory).await?,
        "briefing.ended" => {
            let (from, to) = (store::now() - seconds(86_400), store::now() + seconds(60));
            let row = tasks::Task { status: "cancelled".to_owned(), ..w.task.clone() };
            // By whoever may: the creator.
            tasks::set_status(&Actor::user(w.creator), tx, &row).await?;
            seen(briefing::ended(me, tx, from, to, 1000).await?.iter().any(|t| t.id == w.task.id))
        }
        "briefing.open" => seen(briefing::open(me, tx, 1000).await?.iter().any(|t| t.id == w.task.id)),
        "briefing.approvals" => {
            let (from, to) = (store::now() - seconds(86_400), store::now() + seconds(60));
            seen(briefing::approvals(me, tx, from, to, 1000).await?.iter().any(|a| a.id == w.approval))
        }
        "briefing.runs" => seen(!briefing::runs(me, tx, vec![w.task.id], 10).await?.is_empty()),
        "briefing.steps" => seen(!briefing::steps(me, tx, vec![w.task.id], 10).await?.is_empty()),
        "briefing.turns" => {
            let (from, to) = (store::now() - seconds(86_400), store::now() + seconds(60));
            seen(!briefing::turns(me, tx, vec![w.task.id], from, to, 10).await?.is_empty())
        }
        "briefing.reminders" => {
            let (now, service) = (store::now(), Actor::service());
            let of = notifications::get(&service, tx, w.notification).await?.expect("the notification");
            notifications::put_copy(&service, tx, Uuid::now_v7(), "web", &of, Some(now + seconds(600))).await?;
            seen(!briefing::reminders(me, tx, now, now + seconds(3600), 10).await?.is_empty())
        }
        "briefing.waits" => seen(!briefing::waits(me, tx, vec![w.task.id], 10).await?.is_empty()),
        "notification_outbox.claim" => done(!notification_outbox::claim(me, tx, seconds(60), 1).await?.is_empty()),
        "notification_outbox.finish" => done(notification_outbox::finish(me, tx, &held, "done", None).await?),
        "notification_outbox.retry" => done(notification_outbox::retry(me, tx, &held, seconds(60), "e").await?),
        "notification_outbox.list" => seen(!notification_outbox::list(me, tx, vec![w.notification]).await?.is_empty()),
        "notification_channels.put" => done(notification_channels::put(me, tx, "sms", json!({}), None).await?),
        "notification_channels.list" => seen(!notification_channels::list(me, tx).await?.is_empty()),
        "notification_channels.ways" => seen(!notification_channels::ways(me, tx).await?.is_empty()),
        "notification_channels.delete" => done(notification_channels::delete(me, tx, "email").await?),
        other => panic!("no try for {other}"),
    })
}

async fn begins(tx: &Transaction, w: &World, kind: Kind, id: Uuid) -> Result<String> {
    Ok(seen(beginnings::find(&w.actor, tx, kind, (id, id), 10).await?.iter().any(|row| row.id == id)))
}
