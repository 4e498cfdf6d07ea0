//! `steward db maintain`: upkeep beside the running work.

use std::{io::IsTerminal, sync::Arc};

use store::{maintain, migrate};
use tokio_util::sync::CancellationToken;

use super::{Json, verify::shown};
use crate::{Error, Result, config::Config, output};

pub(super) async fn run(config: Config, Json { json }: Json) -> Result<()> {
    if let Some(file) = config.sqlite_file()
        && !file.exists()
    {
        return Err(Error::refused(format!(
            "there is no database at {}; make it with: steward db migrate",
            file.display()
        )));
    }
    migrate::require_current(&config.database).await?;
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    let listener = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            output::note("Stopping after this step …");
            interrupted.cancel();
        }
    });
    let progress: maintain::Progress =
        if std::io::stderr().is_terminal() { Arc::new(shown) } else { Arc::new(|_: &str| {}) };
    let actions = maintain::run(&config.database, progress, &stop).await;
    listener.abort();
    output::list(json, &actions?, "nothing needed upkeep", &["place", "done", "more"], |a| {
        vec![a.place.clone(), a.what.to_owned(), a.said.clone()]
    })
}
