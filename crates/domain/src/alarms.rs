//! Telling the administrators of what needs them.

use serde_json::json;
use store::{
    Actor, Store,
    notifications::{self, NewNotification},
    users,
};

/// Tells every admin. `about` says what it is about, in a word for programs.
pub async fn tell_admins(store: &Store, about: &str, title: &str, message: &str) -> store::Result<()> {
    let service = Actor::service();
    for admin in users::people_with_role(&service, store, "admin").await? {
        let new = NewNotification {
            user_id: admin.id,
            title: title.chars().take(255).collect(),
            message: Some(message.to_owned()),
            r#type: "alert",
            data: json!({ "about": about }),
        };
        notifications::create(&service, store, &new).await?;
    }
    Ok(())
}
