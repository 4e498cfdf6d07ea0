//! The limit on PostgreSQL: pgbench with the store's own statements, pipelined and prepared as the store sends them.

use std::fmt::Write as _;

use crate::{
    cluster::{Cluster, HOST, run},
    error::{Error, Result},
};

/// How long pgbench runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// Whole seconds.
    Seconds(u64),
    /// Transactions of each client.
    Each(usize),
}

/// One script in several variants, each with values of its own; pgbench draws one for each transaction.
#[derive(Debug, Default)]
pub(crate) struct Script {
    variants: Vec<String>,
    values: Vec<(String, String)>,
}

/// What a request sends before its statement: the transaction and who acts in it. `me` is a pgbench variable.
pub(crate) fn begin(me: &str) -> String {
    format!(
        "BEGIN;\nSELECT set_config('role', :role, true), set_config('app.current_user_id', :{me}, true), \
         set_config('app.ip_address', '', true), set_config('app.user_agent', '', true), set_config('app.request_id', '', true);\n"
    )
}

/// A statement of the store by its name, its parameters replaced.
pub(crate) fn statement(name: &str, params: &[&str]) -> Result<String> {
    let found = store::every_statement().into_iter().find(|s| s.name == name);
    let text = found.ok_or_else(|| Error::Tool(format!("the store has no statement {name}")))?.postgres();
    Ok(filled(text, params))
}

/// A statement with its parameters replaced.
pub(crate) fn filled(text: &str, params: &[&str]) -> String {
    // From the last, so that $1 does not meet $10.
    params
        .iter()
        .enumerate()
        .rev()
        .fold(text.to_owned(), |text, (i, value)| text.replace(&format!("${}", i + 1), value))
}

impl Script {
    /// One variant, sent in one round trip.
    pub(crate) fn pipelined(text: &str) -> String {
        format!("\\startpipeline\n{text}\\endpipeline\n")
    }

    /// Adds a variant.
    pub(crate) fn variant(&mut self, text: String) {
        self.variants.push(text);
    }

    /// Sets a variable for every variant.
    pub(crate) fn value(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.push((name.into(), value.into()));
    }

    /// Transactions a second.
    pub(crate) fn run(&self, cluster: &Cluster, database: &str, clients: usize, length: Length) -> Result<f64> {
        let mut command = cluster.program("pgbench");
        // As the store's sessions plan.
        command.env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan");
        command.args(["-n", "-M", "prepared", "-U", "postgres", "-h", HOST]);
        command.arg("-p").arg(cluster.port().to_string());
        command.arg("-c").arg(clients.to_string()).arg("-j").arg(clients.min(2).to_string());
        match length {
            Length::Seconds(seconds) => command.arg("-T").arg(seconds.to_string()),
            Length::Each(times) => command.arg("-t").arg(times.to_string()),
        };
        command.arg("-D").arg("role=app_user");
        for (name, value) in &self.values {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        // Files of their own, where the server's user may read them.
        let folder = tempfile::Builder::new().prefix("scripts-").tempdir()?;
        open_to_all(folder.path())?;
        for (i, variant) in self.variants.iter().enumerate() {
            let file = folder.path().join(format!("{i}.sql"));
            std::fs::write(&file, variant)?;
            command.arg("-f").arg(file);
        }
        let said = run(command.arg(database))?;
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .ok_or_else(|| Error::Tool(format!("pgbench said no tps: {said}")))?;
        if said.contains("ERROR") || said.contains("aborted") {
            return Err(Error::Tool(format!("pgbench met errors: {said}")));
        }
        Ok(rate)
    }
}

fn open_to_all(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}

/// The variables of one variant: `me0`, `task0` …
pub(crate) fn named(names: &[&str], variant: usize) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let mut text = (*name).to_owned();
            // Writing to a String does not fail.
            let _ = write!(text, "{variant}");
            text
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn parameters_are_filled_in() {
        assert_eq!(filled("a = $1 AND b = $10", &["x", "", "", "", "", "", "", "", "", "y"]), "a = x AND b = y");
    }
}
