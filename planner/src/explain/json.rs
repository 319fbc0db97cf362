//! FORMAT JSON: one value with the keys PostgreSQL uses, laid out as PostgreSQL lays it out.

use super::options::{Format, Options};
use super::show::{Shown, Value};

/// Times of a whole statement, in milliseconds.
pub(crate) struct Times {
    pub(crate) planning: f64,
    pub(crate) execution: Option<f64>,
}

/// The value of a plan.
pub(crate) fn document(shown: &Shown, options: Options, times: &Times) -> String {
    let mut out = String::from("[\n  {\n    \"Plan\": ");
    step(shown, None, options, 4, &mut out);
    if options.summary {
        out.push_str(&format!(",\n    \"Planning Time\": {:.3}", times.planning));
    }
    if options.analyze {
        out.push_str(",\n    \"Triggers\": [\n    ]");
    }
    if let Some(execution) = times.execution.filter(|_| options.summary) {
        out.push_str(&format!(",\n    \"Execution Time\": {execution:.3}"));
    }
    out.push_str("\n  }\n]");
    out
}

struct Object<'o> {
    out: &'o mut String,
    indent: usize,
    is_empty: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        let comma = if std::mem::replace(&mut self.is_empty, false) {
            ""
        } else {
            ","
        };
        self.out
            .push_str(&format!("{comma}\n{}{}: ", " ".repeat(self.indent), quoted(key)));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.out.push_str(&quoted(text));
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        self.out.push_str(&value.to_string());
    }

    fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::Text(text) => self.text(key, text),
            Value::Number(number) => self.plain(key, number),
            Value::Truth(truth) => self.plain(key, truth),
            Value::List(list) => self.list(key, list),
        }
    }

    fn list(&mut self, key: &str, list: &[String]) {
        let items: Vec<String> = list.iter().map(|item| quoted(item)).collect();
        self.plain(key, format_args!("[{}]", items.join(", ")));
    }
}

/// Writes one step; `place` is its relationship to the step above, and the name of a subplan.
fn step(shown: &Shown, place: Option<(&str, Option<&str>)>, options: Options, indent: usize, out: &mut String) {
    out.push('{');
    let mut object = Object {
        out,
        indent: indent + 2,
        is_empty: true,
    };
    object.text("Node Type", shown.node_type);
    for (key, value) in shown.attributes.iter().filter(|(key, _)| is_early(key)) {
        object.value(key, value);
    }
    if let Some((relationship, subplan)) = place {
        object.text("Parent Relationship", relationship);
        if let Some(name) = subplan {
            object.text("Subplan Name", name);
        }
    }
    object.plain("Parallel Aware", false);
    object.plain("Async Capable", false);
    for (key, value) in shown
        .attributes
        .iter()
        .filter(|(key, _)| !is_early(key) && *key != "Inner Unique")
    {
        object.value(key, value);
    }
    if options.costs {
        object.plain("Startup Cost", format_args!("{:.2}", shown.cost.startup));
        object.plain("Total Cost", format_args!("{:.2}", shown.cost.total));
        object.plain("Plan Rows", format_args!("{:.0}", shown.rows));
        object.plain("Plan Width", shown.width);
    }
    if let Some(actual) = shown.actual {
        if options.timing {
            object.plain("Actual Startup Time", format_args!("{:.3}", actual.startup));
            object.plain("Actual Total Time", format_args!("{:.3}", actual.total));
        }
        object.plain("Actual Rows", format_args!("{:.0}", actual.rows));
        object.plain("Actual Loops", actual.loops);
    }
    if options.verbose && !shown.output.is_empty() {
        object.list("Output", &shown.output);
    }
    for (key, value) in shown.attributes.iter().filter(|(key, _)| *key == "Inner Unique") {
        object.value(key, value);
    }
    for property in shown
        .properties
        .iter()
        .filter(|property| property.only != Some(Format::Text))
    {
        object.value(&property.label, &property.value);
    }
    if options.buffers {
        for kind in ["Shared", "Local"] {
            for what in ["Hit", "Read", "Dirtied", "Written"] {
                object.plain(&format!("{kind} {what} Blocks"), 0);
            }
        }
        object.plain("Temp Read Blocks", 0);
        object.plain("Temp Written Blocks", 0);
    }
    let mut plans: Vec<(&str, Option<&str>, &Shown)> = Vec::new();
    let of = |is_initial: bool| {
        let subplans = shown.subplans.iter();
        subplans.filter(move |(kind, ..)| (*kind == "InitPlan") == is_initial)
    };
    plans.extend(of(true).map(|(kind, title, plan)| (*kind, Some(title.as_str()), plan)));
    plans.extend(shown.inputs.iter().map(|(kind, input)| (*kind, None, input)));
    plans.extend(of(false).map(|(kind, title, plan)| (*kind, Some(title.as_str()), plan)));
    if !plans.is_empty() {
        object.key("Plans");
        let out = object.out;
        out.push('[');
        for (number, (relationship, subplan, plan)) in plans.into_iter().enumerate() {
            out.push_str(if number > 0 { ",\n" } else { "\n" });
            out.push_str(&" ".repeat(indent + 4));
            step(plan, Some((relationship, subplan)), options, indent + 4, out);
        }
        out.push_str(&format!("\n{}]", " ".repeat(indent + 2)));
        out.push_str(&format!("\n{}}}", " ".repeat(indent)));
        return;
    }
    out.push_str(&format!("\n{}}}", " ".repeat(indent)));
}

/// Properties that PostgreSQL prints right behind the type.
fn is_early(key: &str) -> bool {
    matches!(key, "Strategy" | "Partial Mode" | "Operation" | "Command")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
