//! What can be wrong with a playbook: in its text (with line and column), and while it runs.

use std::fmt;

/// One mistake in a playbook's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct PlaybookError {
    /// Line in the source, from 1.
    pub line: usize,
    /// Column in the source, from 1, in characters.
    pub column: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for PlaybookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Why a run of a playbook cannot go on. None of these is worth a retry: the same facts and the same
/// journal give the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaybookRunError {
    /// An expression or a template could not be worked out.
    #[error(
        "{place} could not be worked out: {reason} (in `{expression}`). Correct the playbook and start the task again."
    )]
    Expression {
        /// Where in the playbook, in words.
        place: String,
        /// The expression as written.
        expression: String,
        /// Why.
        reason: String,
    },
    /// Something grew past its bound.
    #[error(
        "{what} is too large: {size} bytes, at most {limit} are possible. Make it smaller, or narrow what the step asks for."
    )]
    TooLarge {
        /// What grew.
        what: String,
        /// Its size, in bytes.
        size: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The journal is not one that this playbook can have written.
    #[error(
        "the record of this run does not fit its playbook: entry {entry} is {found:?}, and {expected} was due. The playbook must not change during a run; start the task again."
    )]
    Journal {
        /// Position in the journal, from 1.
        entry: usize,
        /// The step that the journal names.
        found: String,
        /// What should have been there.
        expected: String,
    },
    /// The facts are not an object.
    #[error("the facts of the task are not an object, so playbook {playbook:?} cannot be applied")]
    Facts {
        /// The playbook's name.
        playbook: String,
    },
}

/// How an expression failed, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EvalError {
    /// The expression is wrong for these values.
    Reason { expression: String, reason: String },
    /// The result is too large.
    TooLarge { size: usize, limit: usize },
}

impl EvalError {
    pub(super) fn new(expression: &str, reason: impl Into<String>) -> Self {
        Self::Reason { expression: expression.to_owned(), reason: reason.into() }
    }

    /// Says where the expression stands.
    pub(super) fn at(self, place: impl Into<String>) -> PlaybookRunError {
        match self {
            Self::Reason { expression, reason } => {
                PlaybookRunError::Expression { place: place.into(), expression, reason }
            }
            Self::TooLarge { size, limit } => PlaybookRunError::TooLarge { what: place.into(), size, limit },
        }
    }
}

/// The name among `known` that was probably meant, as a half sentence, or nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let best = known.into_iter().map(|name| (distance(word, name), name)).min();
    match best {
        Some((edits, name)) if edits <= 2 && edits < name.len() => format!("; did you mean {name:?}?"),
        _ => String::new(),
    }
}

/// Edits between two short words (Levenshtein); long words count as far apart.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
