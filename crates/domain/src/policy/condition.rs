//! A rule's condition: CEL, checked when a rule is added, and judged under a budget. The CEL crate has no budget of
//! its own, so that the expression is rewritten: whatever makes a value larger, or repeats work, first pays for it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::Value;

use super::{
    Call,
    around::{self, Needs},
};
use crate::playbook::glob::Glob;

/// The longest condition, in bytes.
pub const MAX_CONDITION_BYTES: usize = 2 * 1024;
/// The most that a condition may look at, arguments and task together, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 512 * 1024;
/// How deep an expression may nest.
const MAX_DEPTH: usize = 150;
/// Work allowed for one judgement: a unit is a node evaluated in a loop, or a byte of a value that is made.
const BUDGET: u64 = 2_000_000;
/// Bytes of context that make a node of a loop cost one unit more, if it may look through all of it.
const BYTES_PER_UNIT: u64 = 256;
/// The longest explanation kept from an engine's error, in characters.
const MAX_REASON_CHARS: usize = 300;

/// What conditions can name.
const VARIABLES: &[&str] = &["args", "arguments", "task", "server", "tool", "outside", "provenance", "now"];
/// Names of types, for `type(x) == string`.
const TYPES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
/// What conditions can call.
const FUNCTIONS: &[&str] = &[
    "bytes",
    "calls",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "glob",
    "inside",
    "int",
    "known",
    "local",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
/// Charges for a value made. A name that no source can write.
const MADE: &str = "@made";
/// Charges for a loop over a value.
const LOOP: &str = "@loop";

/// Whether a condition can be read.
pub(super) fn check(source: &str) -> Result<(), String> {
    guarded(|| compile(source).map(|_| ()))
}

/// Whether a condition holds for a call. Every doubt is an error.
pub(super) fn holds(source: &str, call: &Call<'_>) -> Result<bool, String> {
    guarded(|| judge(&compile(source)?, call))
}

/// The periods, in minutes, in which a condition counts calls; and whether it asks who is known, or where the task came from.
/// What can't be read asks nothing: it is an error when it is judged.
pub(super) fn needs(source: &str, needs: &mut Needs) {
    // Most conditions count nothing, and are not read twice.
    needs.contacts |= source.contains("known");
    needs.provenance |= source.contains("provenance");
    if !source.contains(around::CALLS) {
        return;
    }
    let periods = guarded(|| {
        let mut found = Vec::new();
        collect_periods(&compile(source)?, &mut found);
        Ok(found)
    });
    needs.periods.extend(periods.unwrap_or_default());
}

fn collect_periods(node: &IdedExpr, found: &mut Vec<i64>) {
    match &node.expr {
        Expr::Select(select) => collect_periods(&select.operand, found),
        Expr::Call(call) => {
            if call.func_name == around::CALLS {
                found.extend(period_of(&call.args));
            }
            call.target.iter().map(|t| &**t).chain(&call.args).for_each(|part| collect_periods(part, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|item| collect_periods(item, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    collect_periods(&entry.key, found);
                    collect_periods(&entry.value, found);
                }
            }
        }
        Expr::Comprehension(all) => {
            for part in [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result] {
                collect_periods(part, found);
            }
        }
        _ => {}
    }
}

/// The period of `calls(…)`, in minutes: known before anything is judged, and so written out.
fn period_of(args: &[IdedExpr]) -> Result<i64, String> {
    let text = |node: &IdedExpr| match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.to_string()),
        _ => None,
    };
    let advice = "calls needs a pattern and a period, both written out, as in calls(\"send_*\", \"1h\")";
    let [pattern, period] = args else { return Err(advice.to_owned()) };
    let (Some(pattern), Some(period)) = (text(pattern), text(period)) else { return Err(advice.to_owned()) };
    around::pattern(&pattern)?;
    around::minutes(&period)
}

/// A fault in the engine must cost one judgement, not the process.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the condition made the engine fail".to_owned()))
}

fn compile(source: &str) -> Result<IdedExpr, String> {
    if source.trim().is_empty() {
        return Err("it is empty; leave it out if the rule always holds".to_owned());
    }
    if source.len() > MAX_CONDITION_BYTES {
        return Err(format!("it has {} bytes, at most {MAX_CONDITION_BYTES} are possible", source.len()));
    }
    let program = Program::compile(source).map_err(|errors| match errors.errors.first() {
        Some(error) => {
            let (line, column) = error.pos;
            cut(&format!("line {}, column {}: {}", line.max(1), column.max(1), error.msg))
        }
        None => "it is not a CEL expression".to_owned(),
    })?;
    metered(program.expression().clone(), MAX_DEPTH, &mut Vec::new())
}

/// Checks an expression's names and makes it pay. `bound` are the names of the loops around it.
fn metered(node: IdedExpr, levels: usize, bound: &mut Vec<String>) -> Result<IdedExpr, String> {
    let levels = levels.checked_sub(1).ok_or_else(|| format!("it nests deeper than {MAX_DEPTH} levels"))?;
    let id = node.id;
    let expr = match node.expr {
        Expr::Unspecified => return Err("it is not a complete expression".to_owned()),
        Expr::Literal(literal) => Expr::Literal(literal),
        Expr::Ident(name) => {
            let plain = name.trim_start_matches('.');
            if !bound.iter().any(|b| b == plain) && !VARIABLES.contains(&plain) && !TYPES.contains(&plain) {
                return Err(format!("there is nothing named {plain:?} (names: {})", VARIABLES.join(", ")));
            }
            Expr::Ident(name)
        }
        Expr::Select(mut select) => {
            select.operand = Box::new(metered(*select.operand, levels, bound)?);
            Expr::Select(select)
        }
        Expr::Call(mut call) => {
            let operator = call.func_name.starts_with(['_', '@', '!', '-']);
            if !operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                return Err(format!("there is no function {:?} (functions: {})", call.func_name, FUNCTIONS.join(", ")));
            }
            call.target = call.target.map(|target| metered(*target, levels, bound).map(Box::new)).transpose()?;
            call.args = call.args.into_iter().map(|arg| metered(arg, levels, bound)).collect::<Result<_, _>>()?;
            if call.func_name == around::CALLS {
                period_of(&call.args)?;
            }
            let grows = call.func_name == operators::ADD;
            let expr = Expr::Call(call);
            return Ok(if grows { paying(MADE, IdedExpr { id, expr }, &[]) } else { IdedExpr { id, expr } });
        }
        Expr::List(mut list) => {
            list.elements =
                list.elements.into_iter().map(|item| metered(item, levels, bound)).collect::<Result<_, _>>()?;
            return Ok(paying(MADE, IdedExpr { id, expr: Expr::List(list) }, &[]));
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                    return Err("it makes an object of a type that does not exist".to_owned());
                };
                entry.key = metered(std::mem::take(&mut entry.key), levels, bound)?;
                entry.value = metered(std::mem::take(&mut entry.value), levels, bound)?;
            }
            return Ok(paying(MADE, IdedExpr { id, expr: Expr::Map(map) }, &[]));
        }
        Expr::Struct(_) => return Err("it makes an object of a type that does not exist".to_owned()),
        Expr::Comprehension(mut all) => {
            let range = metered(all.iter_range, levels, bound)?;
            let (mut nodes, mut searches) = (0, 0);
            for part in [&all.loop_cond, &all.loop_step] {
                count(part, &mut nodes, &mut searches);
            }
            all.iter_range = paying(LOOP, range, &[nodes, searches]);
            let outer = bound.len();
            bound.extend([all.iter_var.clone(), all.accu_var.clone()]);
            bound.extend(all.iter_var2.clone());
            all.loop_step = step(all.loop_step, &all.accu_var, levels, bound)?;
            bound.truncate(outer);
            return Ok(paying(MADE, IdedExpr { id, expr: Expr::Comprehension(all) }, &[]));
        }
    };
    Ok(IdedExpr { id, expr })
}

/// The step of `map` and `filter` (`result + [item]`, perhaps under a condition) keeps its shape, by which the engine
/// knows to append in place; what is appended pays by itself.
fn step(node: IdedExpr, accu: &str, levels: usize, bound: &mut Vec<String>) -> Result<IdedExpr, String> {
    let IdedExpr { id, expr: Expr::Call(mut call) } = node else { return metered(node, levels, bound) };
    let levels = levels.checked_sub(1).ok_or_else(|| format!("it nests deeper than {MAX_DEPTH} levels"))?;
    let appends = call.func_name == operators::ADD
        && matches!(call.args.as_slice(), [IdedExpr { expr: Expr::Ident(name), .. }, IdedExpr { expr: Expr::List(_), .. }] if name == accu);
    if appends {
        if let Some(IdedExpr { expr: Expr::List(list), .. }) = call.args.get_mut(1) {
            for item in &mut list.elements {
                *item = paying(MADE, metered(std::mem::take(item), levels, bound)?, &[]);
            }
        }
        return Ok(IdedExpr { id, expr: Expr::Call(call) });
    }
    if call.func_name == operators::CONDITIONAL && call.args.len() == 3 {
        let otherwise = call.args.pop().unwrap_or_default();
        let then = call.args.pop().unwrap_or_default();
        let guard = call.args.pop().unwrap_or_default();
        call.args =
            vec![metered(guard, levels, bound)?, step(then, accu, levels, bound)?, metered(otherwise, levels, bound)?];
        return Ok(IdedExpr { id, expr: Expr::Call(call) });
    }
    metered(IdedExpr { id, expr: Expr::Call(call) }, levels, bound)
}

/// Wraps an expression in a charge.
fn paying(function: &str, expr: IdedExpr, numbers: &[i64]) -> IdedExpr {
    let id = expr.id;
    let mut args = vec![expr];
    args.extend(numbers.iter().map(|n| IdedExpr { id, expr: Expr::Literal(LiteralValue::Int((*n).into())) }));
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }) }
}

/// Counts the nodes of an expression, and those that may look through a whole value: the price of a loop's step.
fn count(node: &IdedExpr, nodes: &mut i64, searches: &mut i64) {
    *nodes += 1;
    match &node.expr {
        Expr::Select(select) => count(&select.operand, nodes, searches),
        Expr::Call(call) => {
            let cheap = [
                operators::LOGICAL_AND,
                operators::LOGICAL_OR,
                operators::LOGICAL_NOT,
                operators::CONDITIONAL,
                operators::NOT_STRICTLY_FALSE,
            ];
            if !cheap.contains(&call.func_name.as_str()) {
                *searches += 1;
            }
            for part in call.target.iter().map(|target| &**target).chain(&call.args) {
                count(part, nodes, searches);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|item| count(item, nodes, searches)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    count(&entry.key, nodes, searches);
                    count(&entry.value, nodes, searches);
                }
            }
        }
        Expr::Comprehension(all) => {
            for part in [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result] {
                count(part, nodes, searches);
            }
        }
        _ => {}
    }
}

fn judge(condition: &IdedExpr, call: &Call<'_>) -> Result<bool, String> {
    let arguments = cel(call.arguments);
    let task = cel(call.task);
    let provenance = call.around.provenance.map(cel);
    let context_bytes = weight(&arguments) + weight(&task) + provenance.as_ref().map_or(0, weight);
    if context_bytes > MAX_CONTEXT_BYTES as u64 {
        return Err(format!("the arguments and the task are larger than {MAX_CONTEXT_BYTES} bytes"));
    }
    let left = Arc::new(AtomicU64::new(BUDGET));
    let mut context = Context::default();
    for (name, value) in [("args", arguments.clone()), ("arguments", arguments), ("task", task)] {
        context.add_variable_from_value(name, value);
    }
    // Where it was not looked up the name stands for nothing, and the rule can't be judged.
    if let Some(provenance) = provenance {
        context.add_variable_from_value("provenance", provenance);
    }
    context.add_variable_from_value("server", call.server.to_owned());
    context.add_variable_from_value("tool", call.tool.to_owned());
    context.add_variable_from_value("outside", call.outside);
    context.add_variable_from_value("now", cel(&around::moment(call.around.now, &jiff::tz::TimeZone::UTC)));
    around_functions(&mut context, call).map_err(|error| cut(&error.to_string()))?;
    add_functions(&mut context, &left, context_bytes).map_err(|error| cut(&error.to_string()))?;
    let result = context.resolve(condition);
    // Looked at first: CEL forgets an error beside `|| true`, and work that was cut short proves nothing.
    if left.load(Ordering::Relaxed) == 0 {
        return Err("it takes too much work".to_owned());
    }
    match result {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("it must be true or false, and is {}", other.type_of())),
        Err(error) => Err(describe(&error)),
    }
}

fn add_functions(
    context: &mut Context<'_, '_>,
    left: &Arc<AtomicU64>,
    context_bytes: u64,
) -> Result<(), cel::DeclarationError> {
    let budget = Arc::clone(left);
    context.add_function(MADE, move |value: Cel| {
        spend(&budget, weight(&value))?;
        Ok::<Cel, ExecutionError>(value)
    })?;
    let budget = Arc::clone(left);
    context.add_function(LOOP, move |value: Cel, nodes: i64, searches: i64| {
        let items = match &value {
            Cel::List(items) => items.len(),
            Cel::Map(map) => map.map.len(),
            _ => 0,
        };
        let whole = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
        let step = whole(nodes).saturating_add(whole(searches).saturating_mul(context_bytes / BYTES_PER_UNIT));
        let steps = u64::try_from(items).unwrap_or(u64::MAX).saturating_mul(step);
        spend(&budget, weight(&value).saturating_add(steps))?;
        Ok::<Cel, ExecutionError>(value)
    })?;
    context.add_function("inside", |path: Arc<String>, root: Arc<String>| {
        inside(&path, &root).map_err(|reason| ExecutionError::function_error("inside", reason))
    })?;
    context.add_function("glob", |text: Arc<String>, pattern: Arc<String>| {
        glob(&text, &pattern).map_err(|reason| ExecutionError::function_error("glob", reason))
    })
}

/// What a condition asks of the world around the call.
fn around_functions(context: &mut Context<'_, '_>, call: &Call<'_>) -> Result<(), cel::DeclarationError> {
    let failed = |name: &'static str| move |reason: String| ExecutionError::function_error(name, reason);
    let now = call.around.now;
    context.add_function("local", move |zone: Arc<String>| {
        let zone =
            jiff::tz::TimeZone::get(&zone).map_err(|_| failed("local")(format!("there is no time zone {zone:?}")))?;
        Ok::<Cel, ExecutionError>(cel(&around::moment(now, &zone)))
    })?;
    let counts = call.around.counts.cloned();
    context.add_function(around::CALLS, move |pattern: Arc<String>, period: Arc<String>| {
        let made = around::count(counts.as_ref(), &pattern, &period).map_err(failed(around::CALLS))?;
        Ok::<Cel, ExecutionError>(Cel::Int(made))
    })?;
    let known = call.around.known.cloned();
    context.add_function("known", move |who: Cel| {
        let Some(known) = &known else {
            return Err(failed("known")("who is known can't be said here".to_owned()));
        };
        let is_known = |text: &str| known.contains(&around::address(text));
        match &who {
            Cel::String(text) => Ok(is_known(text)),
            Cel::List(items) => {
                Ok(!items.is_empty() && items.iter().all(|item| matches!(item, Cel::String(text) if is_known(text))))
            }
            other => Err(failed("known")(format!("it needs a text or a list of texts, and not {}", other.type_of()))),
        }
    })
}

fn spend(left: &AtomicU64, cost: u64) -> Result<(), ExecutionError> {
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(cost)));
    match before {
        Ok(before) if before > cost => Ok(()),
        _ => Err(ExecutionError::function_error("budget", "it takes too much work")),
    }
}

/// Whether a path lies in a folder, judged by its words alone. A path that could be read in two ways is an error, so
/// that neither an allowing nor a denying rule can be talked around with `..`.
fn inside(path: &str, root: &str) -> Result<bool, String> {
    let parts = |text: &str| -> Result<Vec<String>, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} is not an absolute path"));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") || text.contains('\0') {
            return Err(format!("{text:?} is not a plain path"));
        }
        Ok(parts.into_iter().map(str::to_owned).collect())
    };
    Ok(parts(path)?.starts_with(&parts(root)?))
}

/// Whether a text fits a pattern; case matters, and `*` stands for anything.
fn glob(text: &str, pattern: &str) -> Result<bool, String> {
    let glob = Glob::new(pattern, false).map_err(|reason| format!("{pattern:?} is not a pattern: {reason}"))?;
    Ok(glob.fits(text))
}

/// JSON as CEL. Whole numbers are `int`, so that they compare and add with those written in a condition.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Cel::Int(whole),
            (None, Some(whole)) => Cel::UInt(whole),
            _ => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(cel).collect())),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, item)| (Key::from(key.as_str()), cel(item)));
            Cel::Map(Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
        }
    }
}

/// The size of a value, about in bytes.
fn weight(value: &Cel) -> u64 {
    let bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    1 + match value {
        Cel::String(text) => bytes(text.len()),
        Cel::Bytes(data) => bytes(data.len()),
        Cel::List(items) => items.iter().map(weight).sum(),
        Cel::Map(map) => map
            .map
            .iter()
            .map(|(key, item)| weight(item) + if let Key::String(key) = key { bytes(key.len()) } else { 1 })
            .sum(),
        _ => 0,
    }
}

/// What an engine's error means. Values stay out of it where they could be long or private.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field {:?}; ask for it with `has(…)` first", cut(key)),
        ExecutionError::NoSuchOverload(overload) => cut(&overload.to_string()),
        ExecutionError::UndeclaredReference(name) => format!("there is nothing named {name:?} for such a value"),
        ExecutionError::ValuesNotComparable(..) => "it compares values of different types".to_owned(),
        ExecutionError::UnexpectedType { got, want } => cut(&format!("a value should be {want} and is {got}")),
        ExecutionError::FunctionError { message, .. } => cut(message),
        ExecutionError::IndexOutOfBounds(_) => "it looks past the end of a list".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number grows too large".to_owned(),
        _ => "it uses a value in a way its type does not allow".to_owned(),
    }
}

fn cut(text: &str) -> String {
    let mut kept: String = text.chars().take(MAX_REASON_CHARS).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
