//! `steward backup setup` where no server's archive is set up: where backups go, for whom they are sealed, and whether the
//! place takes them.

use ::backup::{Safe, claim::Whose, ship};
use bytes::Bytes;
use store::Target;

use super::{archive::confirmed, blocking};
use crate::{Error, Result, config::Config, output};

/// How backups are set up.
#[derive(Debug, serde::Serialize)]
struct SetUp {
    place: String,
    place_answers: String,
    /// Whose the place is.
    owner: String,
    /// What a bucket does against removal.
    locked: Option<String>,
    sealed_for: String,
    kept: String,
    log: String,
    /// Who backs the database up (PostgreSQL).
    role: Option<String>,
    keep_elsewhere: String,
}

/// Takes the place over from whoever has it, once the person has said so.
pub(super) async fn take_over(safe: &Safe, is_said: bool) -> Result<()> {
    let (claim, place) = (safe.claim(), safe.place.describe());
    let why = match claim.whose().await? {
        Whose::Own(_) => return output::line(format!("{place} is this database's already; nothing was changed.")),
        Whose::Nobodys => format!("{place} is nobody's yet"),
        Whose::Others(why) => format!("{place} belongs to another database: {why}"),
    };
    output::line(format!(
        "{why}. Taken over, it belongs to this database: the backups there stay until newer ones have taken their turn, and the other database, where it still runs, makes none there any more and says so."
    ))?;
    if !is_said && !blocking(|| confirmed("Take it over?")).await? {
        return Err(Error::refused("nothing was changed"));
    }
    claim.take_over().await?;
    output::line(format!("{place} is this database's now. Make a backup at once: steward backup create"))
}

pub(super) async fn run(config: &Config, safe: &Safe, json: bool) -> Result<()> {
    let probe = format!("probe/{}", std::process::id());
    let answers = async {
        safe.place.put_bytes(&probe, Bytes::from_static(b"Steward looks whether it can write here.")).await?;
        safe.place.get_bytes(&probe, 1024).await?;
        safe.place.remove(&probe).await
    }
    .await;
    let owner = match safe.claim().whose().await {
        Ok(Whose::Own(since)) => format!("this database, since {}", output::time(since)),
        Ok(Whose::Nobodys) => "nobody yet: this database, with its first backup".to_owned(),
        Ok(Whose::Others(why)) => format!("another database: {why}"),
        Err(e) => e.to_string(),
    };
    let people = !config.backups.recipients.is_empty();
    let keep = config.backups.keep;
    let (role, sees_all) = match config.database.target {
        Target::Sqlite(_) => (None, true),
        Target::Postgres(_) => {
            let reading = config.backups.database.as_ref().unwrap_or(&config.database);
            match store::backup::postgres::reader(reading).await {
                Ok(role) => (Some(format!("{role}, which sees every row")), true),
                Err(e) => (Some(e.to_string()), false),
            }
        }
    };
    let log = if role.is_some() {
        "archived by the server itself: run this on the database's machine by a superuser (DATABASE_URL=postgres://postgres@…)".to_owned()
    } else if config.ships_log() {
        let folder = config.backup_dir();
        let standing = blocking(move || Ok(ship::standing(&folder)?)).await?;
        match (standing.is_followed, standing.last_commit_at) {
            (true, Some(at)) => format!("shipped; newest commit {}", output::time(at)),
            (true, None) => "shipped; nothing was committed yet".to_owned(),
            (false, _) => "shipped from the next start on".to_owned(),
        }
    } else {
        "not shipped: only the moments of backups can be restored (backup_ship_log = \"on\")".to_owned()
    };
    let found = SetUp {
        place: safe.place.describe(),
        place_answers: answers.as_ref().map_or_else(ToString::to_string, |()| "yes: written, read, removed".to_owned()),
        owner,
        locked: safe.place.lock().await.map(|lock| lock.to_string()),
        sealed_for: if people {
            config.backups.recipients.join(", ")
        } else {
            format!("whoever holds {}", config.master_key_file.display())
        },
        kept: format!("{} days, {} weeks, {} months", keep.daily, keep.weekly, keep.monthly),
        log,
        role,
        keep_elsewhere: if people {
            "the private key of a recipient; it opens everything, the master key included".to_owned()
        } else {
            format!("a copy of {}: without it no backup opens", config.master_key_file.display())
        },
    };
    if json {
        output::json(&found)?;
    } else {
        let mut fields =
            vec![("place", found.place), ("it answers", found.place_answers), ("it belongs to", found.owner)];
        fields.extend(found.locked.map(|locked| ("against removal", locked)));
        fields.extend(found.role.map(|role| ("backed up by", role)));
        fields.extend([
            ("sealed for", found.sealed_for),
            ("kept", found.kept),
            ("the log", found.log),
            ("keep elsewhere", found.keep_elsewhere),
        ]);
        output::fields(&fields)?;
    }
    answers.map_err(Error::from)?;
    safe.claim().check().await?;
    if sees_all { Ok(()) } else { Err(Error::refused("no backup can be made by this role; see above")) }
}
