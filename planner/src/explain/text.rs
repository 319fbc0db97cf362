//! FORMAT TEXT: one line a row, indented as PostgreSQL indents.

use super::options::{Format, Options};
use super::show::{Shown, Value};

/// The lines of a plan.
pub(crate) fn lines(shown: &Shown, options: Options) -> Vec<String> {
    let mut writer = Writer {
        lines: Vec::new(),
        options,
    };
    writer.step(shown, 0);
    writer.lines
}

struct Writer {
    lines: Vec<String>,
    options: Options,
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        self.lines.push(format!("{}{text}", " ".repeat(indent * 2)));
    }

    fn step(&mut self, shown: &Shown, indent: usize) {
        let mut text = String::new();
        let mut inner = indent;
        if indent > 0 {
            text.push_str("->  ");
            inner += 2;
        }
        text.push_str(&shown.label);
        if self.options.costs {
            text.push_str(&format!(
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                shown.cost.startup, shown.cost.total, shown.rows, shown.width
            ));
        }
        match shown.actual {
            Some(actual) if actual.loops == 0 => text.push_str(" (never executed)"),
            Some(actual) if self.options.timing => text.push_str(&format!(
                " (actual time={:.3}..{:.3} rows={:.0} loops={})",
                actual.startup, actual.total, actual.rows, actual.loops
            )),
            Some(actual) => text.push_str(&format!(" (actual rows={:.0} loops={})", actual.rows, actual.loops)),
            None => {}
        }
        self.line(indent, &text);
        inner += 1;
        if self.options.verbose && !shown.output.is_empty() {
            self.line(inner, &format!("Output: {}", shown.output.join(", ")));
        }
        for property in &shown.properties {
            if property.only == Some(Format::Json) {
                continue;
            }
            let value = match &property.value {
                Value::Text(text) | Value::Number(text) => text.clone(),
                Value::Truth(truth) => truth.to_string(),
                Value::List(list) => list.join(", "),
            };
            self.line(inner, &format!("{}: {value}", property.label));
        }
        for (_, title, plan) in shown.subplans.iter().filter(|(kind, ..)| *kind == "InitPlan") {
            self.line(inner, title);
            self.step(plan, inner + 1);
        }
        for (_, input) in &shown.inputs {
            self.step(input, inner);
        }
        for (_, title, plan) in shown.subplans.iter().filter(|(kind, ..)| *kind != "InitPlan") {
            self.line(inner, title);
            self.step(plan, inner + 1);
        }
    }
}
