//! `steward memory`: facts that the employee remembers, told by people or learned at work.

use domain::{ids::Beginning, memory as rules};
use store::{beginnings::Kind, memories::Memory};
use uuid::Uuid;

use super::{Json, Place};
use crate::{Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// What is known for your work and for everybody's, newest first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..=2000))]
        limit: i64,
        #[command(flatten)]
        json: Json,
    },
    /// One fact, with its source
    Show {
        /// Its id
        id: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Tell the employee a fact
    Add {
        /// The fact, at most 1000 characters
        fact: String,
        /// For everybody's work, and not only for yours
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Change a fact's words; what was learned from outside content stays marked so
    Edit {
        /// Its id
        id: Beginning,
        /// The fact, at most 1000 characters
        fact: String,
        #[command(flatten)]
        json: Json,
    },
    /// Forget a fact
    Forget {
        /// Its id
        id: Beginning,
    },
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List { limit, json } => {
            let found = place.memories(limit).await?;
            output::list(json.json, &found, "nothing is known yet", &["id", "fact", "source", "noted"], |m| {
                vec![m.id.to_string(), m.content.clone(), rules::source_of(m).to_owned(), output::time(m.created_at)]
            })
        }
        Command::Show { id, json } => {
            let id = one(place, &id).await?;
            let memory = place.memory(id).await?;
            if json.json { output::json(&memory) } else { show(&memory) }
        }
        Command::Add { fact, all, json } => {
            let memory = place.add_memory(&fact, all).await?;
            output::told(json.json, &memory, format!("It is noted as {}.", memory.id))
        }
        Command::Edit { id, fact, json } => {
            let id = one(place, &id).await?;
            let memory = place.edit_memory(id, fact).await?;
            output::told(json.json, &memory, "It is changed.")
        }
        Command::Forget { id } => {
            let id = one(place, &id).await?;
            place.forget_memory(id).await?;
            output::line("It is forgotten.")
        }
    }
}

async fn one(place: &Place, typed: &Beginning) -> Result<Uuid> {
    place.id_of(Kind::Memory, typed).await
}

fn show(memory: &Memory) -> Result<()> {
    output::fields(&[
        ("fact", memory.content.clone()),
        ("source", rules::source_of(memory).to_owned()),
        ("task", memory.task_id.map(|id| id.to_string()).unwrap_or_default()),
        ("for", if memory.user_id.is_some() { "one person's work" } else { "everybody's work" }.to_owned()),
        ("noted", output::time(memory.created_at)),
        ("changed", output::maybe_time(memory.edited_at)),
    ])
}
