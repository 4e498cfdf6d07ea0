//! Expressions and templates: evaluated by minijinja without loops, functions, files, clock or chance, bounded in
//! fuel and size, and always to a JSON value. No JSON is ever made by pasting text.

use std::sync::OnceLock;

use minijinja::value::{Serde, Value as Jinja, ValueKind};
use minijinja::{Environment, UndefinedBehavior, filters, tests};
use serde_json::Value;

use super::error::EvalError;
use super::scan::{self, Part};

/// The longest expression, in bytes.
pub(super) const MAX_EXPRESSION_BYTES: usize = 2 * 1024;
/// The largest value a template may give, in bytes of JSON or text.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// How deep lists and objects of an argument may nest.
pub(super) const MAX_DEPTH: usize = 64;
/// Work allowed for one expression; one unit pays an instruction or 64 bytes.
const FUEL: u64 = 50_000;

/// The filters there are, by name. Each depends on nothing but its input.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lines",
    "lower",
    "replace",
    "round",
    "split",
    "string",
    "title",
    "tojson",
    "trim",
    "upper",
];
/// The tests there are (`x is …`), by name.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "endingwith",
    "integer",
    "mapping",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::empty();
        // A misspelt name must stop the run, never become an empty text in a path.
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.add_filter("abs", filters::abs);
        env.add_filter("capitalize", filters::capitalize);
        env.add_filter("default", filters::default);
        env.add_filter("first", filters::first);
        env.add_filter("float", filters::float);
        env.add_filter("int", filters::int);
        env.add_filter("join", filters::join);
        env.add_filter("last", filters::last);
        env.add_filter("length", filters::length);
        env.add_filter("lines", filters::lines);
        env.add_filter("lower", filters::lower);
        env.add_filter("replace", filters::replace);
        env.add_filter("round", filters::round);
        env.add_filter("split", filters::split);
        env.add_filter("string", filters::string);
        env.add_filter("title", filters::title);
        env.add_filter("tojson", to_json);
        env.add_filter("trim", filters::trim);
        env.add_filter("upper", filters::upper);
        env.add_test("boolean", tests::is_boolean);
        env.add_test("defined", tests::is_defined);
        env.add_test("endingwith", tests::is_endingwith);
        env.add_test("integer", tests::is_integer);
        env.add_test("mapping", tests::is_mapping);
        env.add_test("none", tests::is_none);
        env.add_test("number", tests::is_number);
        env.add_test("sequence", tests::is_sequence);
        env.add_test("startingwith", tests::is_startingwith);
        env.add_test("string", tests::is_string);
        env.add_test("undefined", tests::is_undefined);
        env
    })
}

/// `tojson`: the canonical text of a value (the engine's own escapes for HTML, which would alter file names).
fn to_json(value: &Jinja) -> Result<String, minijinja::Error> {
    let invalid = |reason: String| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, reason);
    let mut budget = MAX_VALUE_BYTES;
    let value = to_value(value, MAX_DEPTH, &mut budget).map_err(invalid)?;
    Ok(super::canonical::canonical_json(&value))
}

/// An expression, checked when the playbook is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    pub source: String,
}

impl Expression {
    /// Checks the grammar; the reason of a refusal is for people.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let source = source.trim();
        if source.is_empty() {
            return Err("the expression is empty".to_owned());
        }
        if source.len() > MAX_EXPRESSION_BYTES {
            return Err(format!(
                "the expression has {} bytes, at most {MAX_EXPRESSION_BYTES} are possible",
                source.len()
            ));
        }
        environment().compile_expression_owned(source.to_owned()).map_err(|error| describe(&error))?;
        Ok(Self { source: source.to_owned() })
    }

    /// The value in this context.
    pub(super) fn eval(&self, context: &Jinja) -> Result<Value, EvalError> {
        let failed = |error: &minijinja::Error| EvalError::new(&self.source, describe(error));
        let compiled = environment().compile_expression_owned(self.source.clone()).map_err(|e| failed(&e))?;
        let value = compiled.eval(context.clone()).map_err(|e| failed(&e))?;
        let mut budget = MAX_VALUE_BYTES;
        to_value(&value, MAX_DEPTH, &mut budget).map_err(|reason| EvalError::new(&self.source, reason))
    }

    /// The truth of a condition; anything but true or false is an error, since "not empty" is too easily meant wrong.
    pub(super) fn holds(&self, context: &Jinja) -> Result<bool, EvalError> {
        match self.eval(context)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(EvalError::new(
                &self.source,
                format!("a condition must be true or false, and this is {}", kind(&other)),
            )),
        }
    }
}

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Reads a template; a refusal carries the byte offset in it.
    pub(super) fn parse(template: &str) -> Result<Self, scan::Mistake> {
        let mut parts = Vec::new();
        for part in scan::split(template)? {
            parts.push(match part {
                Part::Text(text) => Piece::Text(text),
                Part::Expression(source, at) => {
                    Piece::Expression(Expression::parse(&source).map_err(|reason| (at, reason))?)
                }
            });
        }
        Ok(Self { parts })
    }

    /// The value: what a lone expression gives, type and all, else the text.
    pub(super) fn value(&self, context: &Jinja) -> Result<Value, EvalError> {
        match self.parts.as_slice() {
            [Piece::Expression(expression)] => expression.eval(context),
            _ => self.text(context).map(Value::String),
        }
    }

    /// The text, with scalars put in for expressions.
    pub(super) fn text(&self, context: &Jinja) -> Result<String, EvalError> {
        let mut text = String::new();
        for piece in &self.parts {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Expression(expression) => match expression.eval(context)? {
                    Value::String(value) => text.push_str(&value),
                    value @ (Value::Number(_) | Value::Bool(_)) => text.push_str(&value.to_string()),
                    other => {
                        return Err(EvalError::new(
                            &expression.source,
                            format!(
                                "{} cannot stand inside text; pick a part of it, or write it out with `| tojson`",
                                kind(&other)
                            ),
                        ));
                    }
                },
            }
            if text.len() > MAX_VALUE_BYTES {
                return Err(EvalError::TooLarge { size: text.len(), limit: MAX_VALUE_BYTES });
            }
        }
        Ok(text)
    }
}

/// A value with templates in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Value(Value),
    Template(Template),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// The value in this context.
    pub(super) fn eval(&self, context: &Jinja) -> Result<Value, EvalError> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Template(template) => template.value(context)?,
            Self::List(items) => Value::Array(items.iter().map(|item| item.eval(context)).collect::<Result<_, _>>()?),
            Self::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), item.eval(context)?)))
                    .collect::<Result<_, EvalError>>()?,
            ),
        })
    }
}

/// Plain data as the engine's value.
pub(super) fn jinja<T: serde::Serialize>(data: &T) -> Jinja {
    Jinja::from(Serde(data))
}

/// What an engine's error means, without the engine's own file and line.
fn describe(error: &minijinja::Error) -> String {
    use minijinja::ErrorKind;
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, _) => {
            "something it names does not exist; check the spelling, or give a default with `| default(…)`".to_owned()
        }
        (ErrorKind::OutOfFuel, _) => "it takes too much work".to_owned(),
        (ErrorKind::SyntaxError, Some(detail)) => format!("it is not an expression: {detail}"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// What a value is, for a message.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing (null)",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The engine's value as JSON: exact, or an error; `budget` is what may still be produced, in bytes.
fn to_value(value: &Jinja, levels: usize, budget: &mut usize) -> Result<Value, String> {
    let mut spend = |bytes: usize| {
        *budget =
            budget.checked_sub(bytes).ok_or_else(|| format!("the value is larger than {MAX_VALUE_BYTES} bytes"))?;
        Ok::<(), String>(())
    };
    let deeper = || levels.checked_sub(1).ok_or_else(|| format!("the value nests deeper than {MAX_DEPTH} levels"));
    spend(1)?;
    match value.kind() {
        ValueKind::Undefined => {
            Err("something it names does not exist; check the spelling, or give a default with `| default(…)`"
                .to_owned())
        }
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(value.is_true())),
        ValueKind::Number => number(value),
        ValueKind::String => {
            let text = value.as_str().ok_or("the text cannot be read")?;
            spend(text.len())?;
            Ok(Value::String(text.to_owned()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let levels = deeper()?;
            let mut items = Vec::new();
            for item in value.try_iter().map_err(|error| describe(&error))? {
                items.push(to_value(&item, levels, budget)?);
            }
            Ok(Value::Array(items))
        }
        ValueKind::Map => {
            let levels = deeper()?;
            let mut entries = serde_json::Map::new();
            for key in value.try_iter().map_err(|error| describe(&error))? {
                let name = key.as_str().ok_or("the keys of an object must be text")?.to_owned();
                let item = value.get_item(&key).map_err(|error| describe(&error))?;
                *budget = budget
                    .checked_sub(name.len())
                    .ok_or_else(|| format!("the value is larger than {MAX_VALUE_BYTES} bytes"))?;
                entries.insert(name, to_value(&item, levels, budget)?);
            }
            Ok(Value::Object(entries))
        }
        other => Err(format!("the value is {other}, which is neither text nor number, list nor object")),
    }
}

/// Whole numbers stay whole; what JSON cannot hold is refused instead of becoming null.
fn number(value: &Jinja) -> Result<Value, String> {
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(Value::from)
            .or_else(|_| u64::try_from(value.clone()).map(Value::from))
            .map_err(|_| "the number is too large".to_owned());
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(serde_json::Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| "the number is not finite".to_owned())
}
