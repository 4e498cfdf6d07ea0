//! The verbs by which one comes in, tried as [`crate::verbs`] tries the others.

use serde_json::json;
use store::{
    Result, Transaction, api_tokens, cache::Use, login_tries, passkeys, push_subscriptions, second_factors, sessions,
};
use uuid::Uuid;

use crate::{
    common::in_seconds,
    verbs::{done, seen},
    world::{World, new_passkey, new_token},
};

/// Tries `verb` and says how it went; an error is the caller's to name.
pub async fn attempt(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let (me, soon) = (&w.actor, in_seconds(600));
    let create = async |user_id: Uuid| {
        api_tokens::create(me, tx, &new_token(user_id, &"7".repeat(64))).await.map(|_| done(true))
    };
    let whose = w.creator;
    Ok(match verb {
        "passkeys.create" => {
            let new = new_passkey(w.other, &"e".repeat(64));
            done(passkeys::create(me, tx, &new).await?.is_some())
        }
        "passkeys.list" => seen(!passkeys::list(me, tx, whose).await?.is_empty()),
        "passkeys.keys" => seen(!passkeys::keys(me, tx, whose, "desk.example.org").await?.is_empty()),
        "passkeys.by_credential" => seen(passkeys::by_credential(me, tx, &w.passkey_sha256).await?.is_some()),
        "passkeys.used" => done(passkeys::used(me, tx, w.passkey, json!({}), 9, store::now()).await?),
        "passkeys.remove" => done(passkeys::remove(me, tx, w.passkey).await?),
        "push_subscriptions.put" => {
            done(push_subscriptions::put(me, tx, w.other, "phone", &"d".repeat(64), json!({})).await?)
        }
        "push_subscriptions.list" => seen(!push_subscriptions::list(me, tx, whose).await?.is_empty()),
        "push_subscriptions.sealed" => seen(!push_subscriptions::sealed(me, tx, whose).await?.is_empty()),
        "push_subscriptions.remove" => done(push_subscriptions::remove(me, tx, w.browser).await?),
        "push_subscriptions.create_key" => done(push_subscriptions::create_key(me, tx, json!({})).await?),
        "push_subscriptions.key" => seen(push_subscriptions::key(me, tx).await?.is_some()),
        "second_factors.begin" => done(second_factors::begin(me, tx, w.other, json!({})).await?),
        "second_factors.secret" => seen(second_factors::secret(me, tx, whose, true).await?.is_some()),
        "second_factors.confirm" => done(second_factors::confirm(me, tx, whose, 9).await?),
        "second_factors.take_step" => done(second_factors::take_step(me, tx, whose, 9).await?),
        "second_factors.get" => seen(second_factors::get(me, tx, whose).await?.is_some()),
        "second_factors.remove" => done(second_factors::remove(me, tx, whose).await?),
        "second_factors.set_codes" => {
            second_factors::set_codes(me, tx, whose, vec!["6".repeat(64)]).await.map(|()| done(true))?
        }
        "second_factors.take_code" => done(second_factors::take_code(me, tx, whose, &"5".repeat(64)).await?),
        "second_factors.codes_left" => seen(second_factors::codes_left(me, tx, whose).await? > 0),
        "api_tokens.create (one's own)" => create(me.user_id().unwrap_or(Uuid::nil())).await?,
        "api_tokens.create (an agent's)" => create(w.agent).await?,
        "api_tokens.create (another's)" => create(w.other).await?,
        "api_tokens.get" => seen(api_tokens::get(me, tx, w.api_token).await?.is_some()),
        "api_tokens.list (the creator's)" => {
            seen(!api_tokens::list(me, tx, Some(w.creator), true, 10).await?.is_empty())
        }
        "api_tokens.list (everybody's)" => {
            seen(api_tokens::list(me, tx, None, true, 1000).await?.iter().any(|t| t.user_id == w.creator))
        }
        "api_tokens.revoke" => done(api_tokens::revoke(me, tx, w.api_token).await?),
        "api_tokens.by_token" => seen(api_tokens::by_token(me, tx, &w.api_token_sha256).await?.is_some()),
        "api_tokens.touch_all" => {
            let (at, token_sha256) = (in_seconds(0), w.api_token_sha256.clone());
            let used = Use { session_id: w.api_token, token_sha256, at, expires_at: at, is_token: true };
            done(api_tokens::touch_all(me, tx, &[used]).await? > 0)
        }
        "login_tries.note" => {
            let counted = login_tries::note(me, tx, std::slice::from_ref(&w.link), in_seconds(-900)).await?;
            done(counted.iter().any(|c| c.tries > 1))
        }
        "login_tries.forgive" => {
            login_tries::forgive(me, tx, std::slice::from_ref(&w.link)).await.map(|()| done(true))?
        }
        "sessions.list" => seen(!sessions::list(me, tx, w.creator, 10).await?.is_empty()),
        "sessions.authenticated" => done(sessions::authenticated(me, tx, w.session).await?),
        "sessions.revoke_others" => done(sessions::revoke_others(me, tx, w.creator, Uuid::nil()).await? > 0),
        "sessions.create" => {
            sessions::create(me, tx, w.creator, &"9".repeat(64), soon, None, None).await.map(|_| done(true))?
        }
        "sessions.by_token" => seen(sessions::by_token(me, tx, &w.token).await?.is_some()),
        "sessions.touch" => sessions::touch(me, tx, w.session, soon).await.map(|()| done(true))?,
        "sessions.touch_all" => {
            let at = soon + jiff::SignedDuration::from_mins(2);
            let used =
                Use { session_id: w.session, token_sha256: w.token.clone(), at, expires_at: at, is_token: false };
            done(sessions::touch_all(me, tx, &[used]).await? > 0)
        }
        "sessions.revoke_of_program" => done(sessions::revoke_of_program(me, tx, w.creator, "program").await? > 0),
        "sessions.revoke_all_of" => done(sessions::revoke_all_of(me, tx, w.creator).await? > 0),
        "sessions.revoke" => done(sessions::revoke(me, tx, w.session).await?),
        "sessions.cleanup" => sessions::cleanup(me, tx).await.map(|_| done(true))?,
        "sessions.create_setup_link" => {
            sessions::create_setup_link(me, tx, &"8".repeat(64), soon).await.map(|()| done(true))?
        }
        "sessions.take_setup_link" => done(sessions::take_setup_link(me, tx, &w.link).await?),
        "sessions.clear_setup_links" => sessions::clear_setup_links(me, tx).await.map(|()| done(true))?,
        other => panic!("{other} is in VERBS and not tried"),
    })
}
