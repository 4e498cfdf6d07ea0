//! `steward audit export`, `key` and `verify --file`: the trail as a file that proves itself (`docs/audit.md`).

use std::{
    fs::File,
    io::{BufWriter, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use domain::audit_file::{self, Checked, KEY_PURPOSE, SigningKey, Summary, Writer};
use store::{
    audit_trail::{self, Links},
    canonical::GENESIS_SHA256,
};

use super::{Context, audit::Export, blocking, db::count, place::sees_all};
use crate::{Error, Result, output};

type Out = Writer<BufWriter<Box<dyn Write + Send>>>;

/// The key that signs: drawn from the master key, so that it is kept and backed up with that one.
pub(super) async fn signing_key(ctx: &Context) -> Result<SigningKey> {
    let seed = ctx.vault().await?.derive(KEY_PURPOSE);
    Ok(SigningKey::from_seed(&seed)?)
}

/// Writes the file whole or not at all.
pub(super) async fn export(ctx: &Context, args: Export) -> Result<()> {
    sees_all(ctx).await?;
    if args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::refused("the export is no text for a terminal; say where to write with --out FILE"));
    }
    let (from, to) = range(ctx, &args).await?;
    let previous = match audit_trail::links(&ctx.actor, &ctx.store, from - 2, 1).await?.pop() {
        Some(link) if from > 1 => link.sha256,
        _ => GENESIS_SHA256.to_owned(),
    };
    if let Some(path) = args.out.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::refused(format!(
            "{} is there already, and nothing is written over; name another file",
            path.display()
        )));
    }
    let (key, made_at) = (signing_key(ctx).await?, output::time(store::now()));
    let unfinished = args.out.as_deref().map(Unfinished::beside);
    let target = unfinished.as_ref().map(|u| u.temporary.clone());
    let mut writer = blocking(move || {
        let out: Box<dyn Write + Send> = match &target {
            Some(path) => Box::new(new_file(path)?),
            None => Box::new(std::io::stdout()),
        };
        Ok(Writer::begin(BufWriter::new(out), key, made_at, (from, to), previous)?)
    })
    .await?;
    let mut links = Links::after(from - 1);
    while let Some(batch) = links.next(&ctx.actor, &ctx.store).await? {
        let is_last = batch.last().is_some_and(|link| link.position >= to);
        writer = blocking(move || {
            for link in batch.iter().take_while(|link| link.position <= to) {
                writer.push(link)?;
            }
            Ok::<Out, Error>(writer)
        })
        .await?;
        if is_last {
            break;
        }
    }
    let summary = blocking(move || {
        let (_, summary) = writer.finish()?;
        unfinished.map_or(Ok(()), Unfinished::finish)?;
        Ok(summary)
    })
    .await?;
    tell(&summary, args.out.as_deref());
    Ok(())
}

/// Beside the answer: the standard output may be the file itself.
fn tell(summary: &Summary, out: Option<&Path>) {
    output::note(format!(
        "Exported {} (positions {} to {}){}; the head is {}, signed for {}.",
        count(usize::try_from(summary.count).unwrap_or(0), "change"),
        summary.header.from_position,
        summary.header.to_position,
        out.map(|path| format!(" to {}", path.display())).unwrap_or_default(),
        summary.head,
        summary.header.public_key
    ));
}

/// The positions that are asked for.
async fn range(ctx: &Context, args: &Export) -> Result<(i64, i64)> {
    let whole = audit_trail::positions(&ctx.actor, &ctx.store, args.since, args.before).await?;
    let nothing = || Error::refused("there are no changes in that range; see: steward audit list");
    let (first, last) = whole.ok_or_else(nothing)?;
    let (from, to) = (args.from.unwrap_or(first), args.to.unwrap_or(last));
    if from > to || to > last {
        return Err(Error::refused(format!("the chain goes from position 1 to {last}; choose --from and --to in it")));
    }
    Ok((from, to))
}

/// Checks a file, off the async threads.
pub(super) async fn check(path: PathBuf, key: Option<String>) -> Result<Checked> {
    blocking(move || {
        let file = File::open(&path).map_err(|e| Error::file(format!("{} can't be read", path.display()), e))?;
        audit_file::check(file, key.as_deref())
            .map_err(|e| Error::refused(format!("{} does not prove itself: {e}", path.display())))
    })
    .await
}

fn new_file(path: &Path) -> Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::file(format!("{} can't be made", path.display()), e))
}

/// A file that gets its name when it is whole, and is gone if it never is.
#[derive(Debug)]
struct Unfinished {
    temporary: PathBuf,
    target: PathBuf,
}

impl Unfinished {
    fn beside(target: &Path) -> Self {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(format!(".{}.part", uuid::Uuid::now_v7().simple()));
        Self { temporary: temporary.into(), target: target.to_owned() }
    }

    fn finish(self) -> Result<()> {
        let place = |e| Error::file(format!("{} can't be written", self.target.display()), e);
        File::open(&self.temporary).and_then(|file| file.sync_all()).map_err(place)?;
        std::fs::rename(&self.temporary, &self.target).map_err(place)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already where it was finished.
        drop(std::fs::remove_file(&self.temporary));
    }
}
