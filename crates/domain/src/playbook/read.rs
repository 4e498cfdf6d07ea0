//! From a YAML tree to a playbook. Reading goes on after a mistake, so that one look shows them all.

use serde_json::Value;

use super::check::{self, Scope};
use super::error::{PlaybookError, did_you_mean};
use super::matcher::{Globs, Matcher, regex};
use super::scan::{self, Part};
use super::template::{Expression, MAX_DEPTH, Template, Tree};
use super::yaml::{self, At, Key, Node, Yaml};
use super::{MAX_SOURCE_BYTES, Playbook};

mod more;
mod parts;

/// The most mistakes reported at once.
const MAX_ERRORS: usize = 100;
/// The longest name of a playbook, step or server, in characters.
const MAX_NAME_CHARS: usize = 100;
/// The longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4 * 1024;

const PLAYBOOK: &[&str] =
    &["name", "description", "match", "results", "vars", "choose", "steps", "on_failure", "on_denied", "finish"];
const MATCH: &[&str] = &["name", "name_regex", "mime_type", "size_bytes", "watcher", "source", "when"];

pub(super) fn playbook(source: &str) -> Result<Playbook, Vec<PlaybookError>> {
    if source.len() > MAX_SOURCE_BYTES {
        let message =
            format!("the playbook has {} bytes, at most {MAX_SOURCE_BYTES} are possible; split it", source.len());
        return Err(vec![PlaybookError { line: 1, column: 1, message }]);
    }
    let root = yaml::parse(source).map_err(|error| vec![error])?;
    let mut reader = Reader { source, errors: Vec::new(), seen_steps: Vec::new() };
    let playbook = reader.playbook(&root);
    let mut errors = reader.errors;
    errors.sort();
    errors.dedup();
    errors.truncate(MAX_ERRORS);
    match playbook {
        Some(playbook) if errors.is_empty() => Ok(playbook),
        _ if errors.is_empty() => Err(vec![root.at.error("this is not a playbook")]),
        _ => Err(errors),
    }
}

struct Reader<'s> {
    source: &'s str,
    errors: Vec<PlaybookError>,
    /// Names of the steps read so far, and where.
    seen_steps: Vec<(String, At)>,
}

/// The entries of a mapping whose keys are known.
struct Fields<'n> {
    at: At,
    entries: Vec<(&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| *node)
    }
}

impl Reader<'_> {
    fn error(&mut self, at: At, message: impl Into<String>) {
        self.errors.push(at.error(message));
    }

    fn playbook(&mut self, root: &Node) -> Option<Playbook> {
        if matches!(root.value, Yaml::Null) {
            self.error(root.at, "the playbook is empty; it needs at least `name` and `steps`");
            return None;
        }
        let fields = self.fields(root, "a playbook", PLAYBOOK)?;
        let name = self.required(&fields, "name", "a playbook").and_then(|node| self.playbook_name(node));
        let description =
            fields.get("description").and_then(|node| self.text(node, "description", MAX_DESCRIPTION_BYTES));
        let mut scope = Scope { all_steps: parts::step_names(root), ..Scope::default() };
        let matcher = match fields.get("match") {
            Some(node) => self.matcher(node, "match", &scope),
            None => Matcher::default(),
        };
        let results_are_outside = fields.get("results").is_some_and(|node| self.results(node));
        let vars = self.vars(fields.get("vars"), &mut scope);
        let choose = self.choose(fields.get("choose"), &mut scope);
        let steps_node = self.required(&fields, "steps", "a playbook");
        let steps = steps_node.map_or_else(Vec::new, |node| self.steps(node, &mut scope));
        if let Some(node) = steps_node {
            self.bounded(node, &steps);
        }
        let on_failure = self.whole_reaction(fields.get("on_failure"), "on_failure", &mut scope);
        let on_denied = self.whole_reaction(fields.get("on_denied"), "on_denied", &mut scope);
        let finish = fields.get("finish").and_then(|node| self.template(node, "finish", &scope));
        Some(Playbook {
            name: name?,
            description,
            matcher,
            results_are_outside,
            vars,
            choose,
            steps,
            on_failure,
            on_denied,
            finish,
        })
    }

    /// What the results of calls are taken for.
    fn results(&mut self, node: &Node) -> bool {
        match &node.value {
            Yaml::Text(word) if word == "outside" => true,
            Yaml::Text(word) if word == "trusted" => false,
            _ => {
                self.error(
                    node.at,
                    "`results` is `outside` (what tools answer counts as content from outside) or `trusted`, as it is when left out",
                );
                true
            }
        }
    }

    fn playbook_name(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node, "name", MAX_NAME_CHARS)?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            self.error(node.at, format!("{name:?} cannot name a playbook; use letters, digits, `-`, `_` and `.`"));
            return None;
        }
        Some(name)
    }

    /// The entries of a mapping; unknown and doubled keys are reported.
    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        for (key, _) in &entries {
            if !known.contains(&key.name.as_str()) {
                let hint = did_you_mean(&key.name, known.iter().copied());
                self.error(key.at, format!("{what} has no field {:?}{hint} (fields: {})", key.name, known.join(", ")));
            }
        }
        Some(Fields { at: node.at, entries })
    }

    /// The entries of a mapping whose keys are free; doubled keys are reported.
    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<Vec<(&'n Key, &'n Node)>> {
        let Yaml::Map(entries) = &node.value else {
            self.error(
                node.at,
                format!("{what} must be a mapping (`field: value`), and this is {}", node.value.kind()),
            );
            return None;
        };
        let mut seen: Vec<(&Key, &Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if let Some((first, _)) = seen.iter().find(|(other, _)| other.name == key.name) {
                let message = format!("{:?} is given twice, first in line {}; keep one", key.name, first.at.line);
                self.error(key.at, message);
            } else {
                seen.push((key, value));
            }
        }
        Some(seen)
    }

    fn required<'n>(&mut self, fields: &Fields<'n>, name: &str, what: &str) -> Option<&'n Node> {
        let found = fields.get(name);
        if found.is_none() {
            self.error(fields.at, format!("{what} needs the field {name:?}, which is missing here"));
        }
        found
    }

    /// Plain text, without templates. A number or a truth value written without quotes is not text.
    fn text(&mut self, node: &Node, field: &str, limit: usize) -> Option<String> {
        let Yaml::Text(text) = &node.value else {
            self.error(
                node.at,
                format!(
                    "{field:?} must be text, and this is {}; put it in quotes if it is meant as text",
                    node.value.kind()
                ),
            );
            return None;
        };
        if text.len() > limit {
            self.error(node.at, format!("{field:?} has {} bytes, at most {limit} are possible", text.len()));
            return None;
        }
        Some(text.clone())
    }

    /// A condition: `true`, `false`, or an expression without braces.
    fn condition(&mut self, node: &Node, field: &str, scope: &Scope) -> Option<Expression> {
        let source = match &node.value {
            Yaml::Bool(value) => value.to_string(),
            Yaml::Text(text) => text.trim().to_owned(),
            other => {
                self.error(
                    node.at,
                    format!(
                        "{field:?} must be a condition such as `steps.read.state == \"succeeded\"`, and this is {}",
                        other.kind()
                    ),
                );
                return None;
            }
        };
        if source.starts_with("{{") {
            self.error(node.at, format!("{field:?} is an expression already; leave out `{{{{` and `}}}}`"));
            return None;
        }
        match Expression::parse(&source) {
            Ok(expression) => {
                let at = node.at.of(self.source, &source, 0);
                self.references(at, &source, scope);
                Some(expression)
            }
            Err(reason) => {
                self.error(node.at, format!("{field:?} cannot be read: {reason} (in `{source}`)"));
                None
            }
        }
    }

    /// Text with `{{ … }}` in it.
    fn template(&mut self, node: &Node, field: &str, scope: &Scope) -> Option<Template> {
        let Yaml::Text(text) = &node.value else {
            self.error(node.at, format!("{field:?} must be text, and this is {}; put it in quotes", node.value.kind()));
            return None;
        };
        self.template_text(node.at, text, scope)
    }

    fn template_text(&mut self, at: At, text: &str, scope: &Scope) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => {
                for part in scan::split(text).unwrap_or_default() {
                    if let Part::Expression(expression, offset) = part {
                        self.references(at.of(self.source, &expression, offset), &expression, scope);
                    }
                }
                Some(template)
            }
            Err((offset, message)) => {
                let fragment = text.get(offset..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                let exact = at.of(self.source, fragment, offset);
                self.error(exact, format!("{message} (in `{}`)", text.trim()));
                None
            }
        }
    }

    fn references(&mut self, at: At, expression: &str, scope: &Scope) {
        for (offset, message) in check::references(expression, scope) {
            // On a later line of a folded scalar only the expression's own place is certain.
            let before = expression.get(..offset).unwrap_or_default();
            let column = if before.contains('\n') { at.column } else { at.column + before.chars().count() };
            self.error(At { column, ..at }, format!("{message} (in `{expression}`)"));
        }
    }

    /// Any YAML value, with templates in its texts.
    fn tree(&mut self, node: &Node, scope: &Scope, levels: usize) -> Option<Tree> {
        let Some(deeper) = levels.checked_sub(1) else {
            self.error(node.at, format!("this nests deeper than {MAX_DEPTH} levels"));
            return None;
        };
        Some(match &node.value {
            Yaml::Null => Tree::Value(Value::Null),
            Yaml::Bool(value) => Tree::Value(Value::Bool(*value)),
            Yaml::Number(number) => Tree::Value(Value::Number(number.clone())),
            Yaml::Text(text) => Tree::Template(self.template_text(node.at, text, scope)?),
            Yaml::List(items) => Tree::List(items.iter().filter_map(|item| self.tree(item, scope, deeper)).collect()),
            Yaml::Map(_) => {
                let entries = self.entries(node, "this")?;
                Tree::Object(
                    entries
                        .into_iter()
                        .filter_map(|(key, item)| Some((key.name.clone(), self.tree(item, scope, deeper)?)))
                        .collect(),
                )
            }
        })
    }

    fn matcher(&mut self, node: &Node, what: &str, scope: &Scope) -> Matcher {
        let mut matcher = Matcher::default();
        let Some(fields) = self.fields(node, &format!("`{what}`"), MATCH) else { return matcher };
        matcher.name = fields.get("name").and_then(|node| self.globs(node, "name"));
        matcher.mime_type = fields.get("mime_type").and_then(|node| self.globs(node, "mime_type"));
        matcher.watcher = fields.get("watcher").and_then(|node| self.globs(node, "watcher"));
        matcher.source = fields.get("source").and_then(|node| self.globs(node, "source"));
        if let Some(node) = fields.get("name_regex")
            && let Some(pattern) = self.text(node, "name_regex", usize::MAX)
        {
            match regex(&pattern) {
                Ok(regex) => matcher.name_regex = Some(regex),
                Err(message) => self.error(node.at, message),
            }
        }
        if let Some(node) = fields.get("size_bytes") {
            self.sizes(node, &mut matcher);
        }
        matcher.when = fields.get("when").and_then(|node| self.condition(node, "when", scope));
        matcher
    }

    /// One pattern or a list of them.
    fn globs(&mut self, node: &Node, field: &str) -> Option<Globs> {
        let items = match &node.value {
            Yaml::List(items) if !items.is_empty() => items.as_slice(),
            Yaml::List(_) => {
                self.error(
                    node.at,
                    format!("{field:?} is an empty list, which nothing fits; leave it out or name a pattern"),
                );
                return None;
            }
            _ => std::slice::from_ref(node),
        };
        let mut globs = Globs::new();
        for item in items {
            if let Some(pattern) = self.text(item, field, usize::MAX)
                && let Err(message) = globs.add(&pattern)
            {
                self.error(item.at, message);
            }
        }
        Some(globs)
    }

    fn sizes(&mut self, node: &Node, matcher: &mut Matcher) {
        let Some(fields) = self.fields(node, "`size_bytes`", &["min", "max"]) else { return };
        matcher.min_size_bytes = fields.get("min").and_then(|node| self.bytes(node, "min"));
        matcher.max_size_bytes = fields.get("max").and_then(|node| self.bytes(node, "max"));
        if let (Some(min), Some(max)) = (matcher.min_size_bytes, matcher.max_size_bytes)
            && min > max
        {
            self.error(node.at, format!("\"min\" ({min}) is larger than \"max\" ({max}), so nothing fits"));
        }
    }

    fn bytes(&mut self, node: &Node, field: &str) -> Option<u64> {
        let number = match &node.value {
            Yaml::Number(number) => number.as_u64(),
            _ => None,
        };
        if number.is_none() {
            self.error(node.at, format!("{field:?} must be a whole number of bytes, 0 or more, such as 1048576"));
        }
        number
    }
}
