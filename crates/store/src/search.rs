//! The language of every search box: words, `"an exact phrase"`, `-without`, `or`, `begin*`. One parser for both
//! databases; what it makes is their own query text, with the words quoted, so that nothing typed is a syntax error.
//! Words are brought to their stem by the database. `docs/search.md` says how the two differ.

use uuid::Uuid;

/// Words and phrases that are looked at; further ones are passed over.
const TERMS: usize = 64;
/// Characters that are looked at.
const CHARS: usize = 4096;
/// Characters of one word or phrase; PostgreSQL keeps no word of more than 2046 bytes.
const TERM_CHARS: usize = 500;

/// What FTS5 finds nothing with.
const NOTHING: &str = "\"\"";

/// PostgreSQL's `english.stop`, by which its index leaves these out; FTS5's holds them, so the query must.
const STOP: &str = " i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers \
    herself it its itself they them their theirs themselves what which who whom this that these those am is are was were be \
    been being have has had having do does did doing a an the and but if or because as until while of at by for with about \
    against between into through during before after above below to from up down in out on off over under again further then \
    once here there when where why how all any both each few more most other some such no nor not only own same so than too \
    very s t can will just don should now ";

/// What somebody looks for: one of several groups, each with all its wanted and none of its unwanted terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    wanted: Vec<Term>,
    unwanted: Vec<Term>,
}

/// A word or a phrase; it holds no `"` and at least one letter or digit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    text: String,
    is_prefix: bool,
}

impl Query {
    /// Reads what was typed. Anything can be typed; signs that mean nothing are passed over.
    pub fn parse(typed: &str) -> Self {
        let mut groups = vec![Group::default()];
        for Typed { text, is_quoted, is_unwanted, is_prefix } in terms(typed) {
            if !is_quoted && !is_unwanted && text.eq_ignore_ascii_case("or") {
                groups.push(Group::default());
                continue;
            }
            let Some(group) = groups.last_mut() else { continue };
            let Some(term) = Term::new(&text, is_prefix) else { continue };
            if is_unwanted { group.unwanted.push(term) } else { group.wanted.push(term) }
        }
        groups.retain(|group| !(group.wanted.is_empty() && group.unwanted.is_empty()));
        Self { groups }
    }

    /// For `to_tsquery('english', …)`; empty where nothing is looked for, which finds nothing.
    pub fn tsquery(&self) -> String {
        let groups = self.groups.iter().map(|group| {
            let wanted = group.wanted.iter().map(Term::tsquery);
            let unwanted = group.unwanted.iter().map(|term| format!("!{}", term.tsquery()));
            wanted.chain(unwanted).collect::<Vec<_>>().join(" & ")
        });
        groups.collect::<Vec<_>>().join(" | ")
    }

    /// For FTS5, which knows no "everything without": what `wanted` finds, and all that `unwanted` does not find.
    /// Either may be `""`, which stands for nothing at all.
    pub fn fts5(&self) -> Fts5 {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for group in &self.groups {
            if group.wanted.is_empty() {
                unwanted.push(format!("({})", quoted(&group.unwanted, " OR ")));
                continue;
            }
            let mut query = format!("({})", quoted(&group.wanted, " AND "));
            for term in &group.unwanted {
                query = format!("({query} NOT {})", term.fts5());
            }
            wanted.push(query);
        }
        let or_nothing = |parts: Vec<String>, by: &str| {
            if parts.is_empty() { NOTHING.to_owned() } else { parts.join(by) }
        };
        // Without the one, or without the other: that is all but what has both.
        Fts5 { wanted: or_nothing(wanted, " OR "), unwanted: or_nothing(unwanted, " AND ") }
    }

    /// The texts that a search statement takes: for PostgreSQL, for FTS5 (wanted, unwanted), and the two marks.
    pub(crate) fn texts(&self, marks: &Marks) -> Vec<String> {
        let Fts5 { wanted, unwanted } = self.fts5();
        vec![self.tsquery(), wanted, unwanted, marks.open.clone(), marks.close.clone()]
    }
}

/// The two halves of a query for FTS5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fts5 {
    /// What is looked for.
    pub wanted: String,
    /// What everything else is looked for by.
    pub unwanted: String,
}

impl Term {
    /// None where nothing is left to look for: no letter or digit, or only words that are never searched for.
    fn new(text: &str, is_prefix: bool) -> Option<Self> {
        let is_long = text.chars().nth(TERM_CHARS).is_some();
        let text: String = text.chars().take(TERM_CHARS).collect();
        let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).peekable();
        words.peek()?;
        if words.all(|word| STOP.contains(&format!(" {} ", word.to_lowercase()))) {
            return None;
        }
        // Of a word too long to be kept, its beginning is looked for.
        Some(Self { text, is_prefix: is_prefix || is_long })
    }

    fn tsquery(&self) -> String {
        let text = self.text.replace('\\', "\\\\").replace('\'', "''");
        format!("'{text}'{}", if self.is_prefix { ":*" } else { "" })
    }

    fn fts5(&self) -> String {
        format!("\"{}\"{}", self.text, if self.is_prefix { " *" } else { "" })
    }
}

fn quoted(terms: &[Term], by: &str) -> String {
    terms.iter().map(Term::fts5).collect::<Vec<_>>().join(by)
}

struct Typed {
    text: String,
    is_quoted: bool,
    is_unwanted: bool,
    is_prefix: bool,
}

fn terms(typed: &str) -> Vec<Typed> {
    let typed: String = typed.chars().take(CHARS).map(|c| if c == '\0' { ' ' } else { c }).collect();
    let mut found = Vec::new();
    let mut rest = typed.trim_start();
    while !rest.is_empty() && found.len() < TERMS {
        let is_unwanted = rest.starts_with('-');
        let text = rest.trim_start_matches('-');
        let (term, is_quoted, after) = if let Some(open) = text.strip_prefix('"') {
            let (phrase, after) = open.split_once('"').unwrap_or((open, ""));
            (phrase, true, after)
        } else {
            let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
            (&text[..end], false, &text[end..])
        };
        let word = term.trim_end_matches('*');
        let is_prefix = !is_quoted && word.len() < term.len();
        let text = if is_quoted { term } else { word };
        found.push(Typed { text: text.to_owned(), is_quoted, is_unwanted, is_prefix });
        rest = after.trim_start();
    }
    found
}

/// What the database puts around what it found. They are drawn anew for each search, so that no text can hold them.
#[derive(Debug)]
pub(crate) struct Marks {
    open: String,
    close: String,
}

impl Marks {
    pub(crate) fn new() -> Self {
        let tag = Uuid::new_v4().simple();
        Self { open: format!("[{tag}["), close: format!("]{tag}]") }
    }

    /// Takes a marked text apart.
    pub(crate) fn read(&self, marked: &str) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut push = |text: &str, hit: bool| {
            if !text.is_empty() {
                pieces.push(Piece { text: text.to_owned(), hit });
            }
        };
        for part in marked.split(&self.open) {
            match part.split_once(&self.close) {
                Some((hit, after)) => {
                    push(hit, true);
                    push(&after.replace(&self.close, ""), false);
                }
                None => push(part, false),
            }
        }
        pieces
    }
}

/// A piece of a snippet: plain text, never markup. Whoever shows it escapes it as any text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it is what was looked for.
    pub hit: bool,
}

/// The whole text in pieces, with each word marked that is a hit in `found`, which holds the text or most of it.
pub(crate) fn mark(text: &str, found: &[Piece]) -> Vec<Piece> {
    let mut hits: Vec<&str> = found.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
    hits.retain(|hit| !hit.is_empty());
    // The longest first, so that of two that begin alike the whole one is marked.
    hits.sort_unstable_by_key(|hit| std::cmp::Reverse(hit.len()));
    hits.dedup();
    let is_inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (mut pieces, mut plain, mut before) = (Vec::new(), 0, None);
    let mut place = 0;
    while let Some(c) = text[place..].chars().next() {
        let rest = &text[place..];
        let hit = hits.iter().find(|hit| {
            rest.strip_prefix(**hit).is_some_and(|after| {
                // Within a word it is none.
                let begins_inside = is_inside(before) && is_inside(hit.chars().next());
                let ends_inside = is_inside(hit.chars().last()) && is_inside(after.chars().next());
                !begins_inside && !ends_inside
            })
        });
        let Some(hit) = hit else {
            before = Some(c);
            place += c.len_utf8();
            continue;
        };
        if plain < place {
            pieces.push(Piece { text: text[plain..place].to_owned(), hit: false });
        }
        pieces.push(Piece { text: (*hit).to_owned(), hit: true });
        before = hit.chars().last();
        place += hit.len();
        plain = place;
    }
    if plain < text.len() {
        pieces.push(Piece { text: text[plain..].to_owned(), hit: false });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_a_query() {
        for (typed, tsquery, wanted, unwanted) in [
            ("the invoice march", "'invoice' & 'march'", r#"("invoice" AND "march")"#, NOTHING),
            (
                r#""invoice of march" -draft"#,
                "'invoice of march' & !'draft'",
                r#"(("invoice of march") NOT "draft")"#,
                NOTHING,
            ),
            ("invoice or receipt", "'invoice' | 'receipt'", r#"("invoice") OR ("receipt")"#, NOTHING),
            (r#"un"closed phrase"#, "'un' & 'closed phrase'", r#"("un" AND "closed phrase")"#, NOTHING),
            ("invo* -dra*", "'invo':* & !'dra':*", r#"(("invo" *) NOT "dra" *)"#, NOTHING),
            ("a-b NEAR( col:x * ^", "'a-b' & 'NEAR(' & 'col:x'", r#"("a-b" AND "NEAR(" AND "col:x")"#, NOTHING),
            ("-alone", "!'alone'", NOTHING, r#"("alone")"#),
            ("-a1 -b1 or -c1", "!'a1' & !'b1' | !'c1'", NOTHING, r#"("a1" OR "b1") AND ("c1")"#),
            ("x1 or -y1", "'x1' | !'y1'", r#"("x1")"#, r#"("y1")"#),
            (r"o'neil\ \'", r"'o''neil\\'", r#"("o'neil\")"#, NOTHING),
            ("  \"\" -- the it's or \"to be\"* \u{0}", "", NOTHING, NOTHING),
        ] {
            let query = Query::parse(typed);
            assert_eq!(query.tsquery(), tsquery, "{typed}");
            assert_eq!(query.fts5(), Fts5 { wanted: wanted.to_owned(), unwanted: unwanted.to_owned() }, "{typed}");
        }
    }

    #[test]
    fn what_is_typed_is_bounded() {
        assert!(Query::parse(&"x1 ".repeat(100_000)).fts5().wanted.len() < 1000);
        let long = Query::parse(&"y".repeat(100_000)).tsquery();
        assert!(long.len() == TERM_CHARS + 4 && long.ends_with("':*"), "{}", long.len());
    }

    #[test]
    fn a_text_is_marked_whole() {
        let piece = |text: &str, hit| Piece { text: text.to_owned(), hit };
        let found = [piece("an ", false), piece("invoice", true), piece("due", true), piece("due-date", true)];
        assert_eq!(
            mark("an <invoice>, pre-due, invoices ünvoice due-date", &found),
            [
                piece("an <", false),
                piece("invoice", true),
                piece(">, pre-", false),
                piece("due", true),
                piece(", invoices ünvoice ", false),
                piece("due-date", true)
            ]
        );
        assert_eq!(mark("ä", &[piece("", true)]), [piece("ä", false)]);
        assert_eq!(mark("", &found), []);
    }

    #[test]
    fn marked_text_is_taken_apart() {
        let marks = Marks::new();
        let (o, c) = (&marks.open, &marks.close);
        let piece = |text: &str, hit| Piece { text: text.to_owned(), hit };
        assert_eq!(
            marks.read(&format!("an {o}invoice{c} <b> {o}{c}{o}due{c}")),
            [piece("an ", false), piece("invoice", true), piece(" <b> ", false), piece("due", true)]
        );
        assert_eq!(marks.read(""), []);
        // What looks like a mark is none.
        assert_eq!(marks.read("[x[ y ]x]"), [piece("[x[ y ]x]", false)]);
    }
}
